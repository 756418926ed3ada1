// What a stress run may ask for, and how large its pieces are. Every bound of this room is here.

/** CPUs and devices, each a worker thread; together they share the 64 cells of a page. */
export const CPUS_MAX = 32;
export const DEVICES_MAX = 16;

/** Longest run: sequence numbers of 31 bits last much longer. */
export const SECONDS_MAX = 24 * 60 * 60;

export const SEED_MAX = 2 ** 31 - 1;

/** Memory of the machine: 64 MiB of page frames. */
export const FRAMES = 16_384;

/** Files that all CPUs and devices write to: together larger than memory, so that reclaim works. */
export const SHARED_FILES = 4;
export const SHARED_PAGES = 4_608;

/** Pages at the start of each shared file that only long pins go to: a torn one of them is H1-b. */
export const REGISTERED_PAGES = 24;
/** Pages after those that most operations go to, so that they meet. */
export const HOT_PAGES = 72;

/** Pages in a row that a CPU stores to or loads from at one time, at most. */
export const RUN_PAGES = 8;

/** Each CPU's own files: one for direct I/O, one whose mapped pages are the buffers of direct I/O. */
export const DIRECT_PAGES = 128;
export const BUFFER_PAGES = 128;
/** Pages of anonymous memory that a CPU writes from with direct I/O. */
export const ANONYMOUS_PAGES = 16;

/** Pages that one direct I/O moves, or one short pin takes, at most. */
export const BATCH_PAGES = 8;
/** Short pins that a CPU has handed over and not yet taken back. */
export const OUTSTANDING_MAX = 8;
/** How long a short pin is held after the device is done, at most. */
export const SHORT_PIN_MS = 1;
/** Slots of the queue of one device. */
export const DMA_SLOTS = 64;

/** Pages of one long-lived registration, and how long it is held. */
export const REGISTRATION_PAGES = 16;
export const REGISTRATION_MS_MIN = 100;
export const REGISTRATION_MS_MAX = 800;

/** Blocks of the journal of the volume. */
export const JOURNAL_BLOCKS = 1_024;
/** Blocks for metadata, beyond two for each page (checksummed data are never overwritten in place). */
export const SPARE_BLOCKS = 4_096;

/** How often the main thread looks for findings, and tells of its progress. */
export const LOOK_MS = 50;
export const PROGRESS_MS = 500;

/** Crashes by KernelBug after which a run ends early: something fundamental is broken. */
export const EPOCHS_MAX = 10_000;

/** Files of a run against a daemon, whose volume may be small, and their pages. */
export const SOCKET_FILES = 2;
export const SOCKET_PAGES = 256;

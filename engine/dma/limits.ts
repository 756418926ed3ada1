// The limits of devices, in one place.

/** Pages of one device transfer (BIO_MAX_VECS). */
export const TRANSFER_PAGES_MAX = 256;

/** Pages that one call of process_vm_writev pins at a time (PVM_MAX_PP_ARRAY_COUNT is 16). */
export const REMOTE_PAGES_MAX = 16;

/** Pages of a pipe (PIPE_DEF_BUFFERS is 16; F_SETPIPE_SZ goes up to 1 MiB). */
export const PIPE_PAGES_MAX = 256;

/** Pages of one registration (2^20 pages are 4 GiB). */
export const REGISTRATION_PAGES_MAX = 2 ** 20;

/** RLIMIT_MEMLOCK as a share of the machine's frames: pages that one process may register. */
export const LOCKED_PERCENT = 50;

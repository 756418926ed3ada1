// The limits of system calls, in one place.

/** PATH_MAX, in bytes of UTF-8, without the final zero. */
export const PATH_BYTES_MAX = 4095;

/** NAME_MAX. */
export const NAME_BYTES_MAX = 255;

/** Symbolic links followed in one path (MAXSYMLINKS). */
export const SYMLINKS_MAX = 40;

/** Files that one process has open (RLIMIT_NOFILE). */
export const OPEN_FILES_MAX = 1024;

/** Bytes of one read or write; more is cut down to it (MAX_RW_COUNT). */
export const IO_BYTES_MAX = 0x7ffff000;

/** Largest size of a file: 2^30 pages of 4 KiB. */
export const FILE_BYTES_MAX = 2 ** 42;

// Opening what is behind a block device: a backing file, locked against a second user, or memory.

/** An open disk; its descriptor may be used by all threads of the process. */
export interface Disk {
  readonly fd: number;
  readonly sizeBytes: number;
  /** For messages. */
  readonly name: string;
  /** Closes the descriptor, which also gives the lock up. */
  close(): void;
}

/**
 * Opens a backing file and locks it.
 * @param createBytes makes the file, or lets an empty one grow, to this size; 0: it must be there
 * @param leastBytes fail if it is smaller
 * @throws Errno EBUSY (lock held by pid N), ENOENT, EACCES, EINVAL (too small, no regular file), ENOSPC, EIO
 */
export declare function openDisk(path: string, createBytes: number, leastBytes: number): Disk;

/** A disk in memory that vanishes with the process (memfd). */
export declare function memoryDisk(sizeBytes: number): Disk;

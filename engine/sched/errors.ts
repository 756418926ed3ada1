// The three ways in which engine code fails: an errno for the caller, a finding of the emulated
// kernel, and a defect of our own.

/** The errno names that engine code returns to its callers. */
export type ErrnoCode =
  | 'EPERM'
  | 'ENOENT'
  | 'EINTR'
  | 'EIO'
  | 'EBADF'
  | 'EAGAIN'
  | 'ENOMEM'
  | 'EACCES'
  | 'EFAULT'
  | 'EBUSY'
  | 'EEXIST'
  | 'ENOTDIR'
  | 'EISDIR'
  | 'EINVAL'
  | 'ENFILE'
  | 'EMFILE'
  | 'EFBIG'
  | 'ENOSPC'
  | 'EROFS'
  | 'EDOM'
  | 'ENAMETOOLONG'
  | 'ENOTEMPTY'
  | 'ELOOP'
  | 'EOVERFLOW'
  | 'EOPNOTSUPP'
  | 'ETIMEDOUT'
  | 'ESHUTDOWN'
  | 'EUCLEAN';

/** An operation failed as a system call fails: with an errno, and a sentence on what to do. */
export class Errno extends Error {
  override readonly name = 'Errno';
  readonly code: ErrnoCode;

  constructor(code: ErrnoCode, message: string, options?: ErrorOptions) {
    super(`${code}: ${message}`, options);
    this.code = code;
  }
}

/**
 * The emulated kernel's BUG under the rules in force. It is a finding, not a defect of Pinfold: the
 * machine panics, its waiters get EIO, and the run reports it.
 */
export class KernelBug extends Error {
  override readonly name = 'KernelBug';
  readonly code = 'KERNEL_BUG';

  /** @param hazard of kernel.md section 1 that this is an instance of, where the detector can tell */
  constructor(
    message: string,
    readonly hazard: string | null = null,
  ) {
    super(message);
  }
}

/** A broken promise of Pinfold's own code. It stops the process; nobody may handle it. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
  readonly code = 'INVARIANT';
}

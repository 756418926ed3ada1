// The error codes that travel in frames, and the error that carries one. docs/errors.md lists them all.

/** Stable: clients branch on them. The names are Linux's. */
export const ERROR_CODES = [
  'EPERM',
  'ENOENT',
  'EINTR',
  'EIO',
  'EBADF',
  'EAGAIN',
  'ENOMEM',
  'EACCES',
  'EFAULT',
  'EBUSY',
  'EEXIST',
  'ENODEV',
  'ENOTDIR',
  'EISDIR',
  'EINVAL',
  'ENFILE',
  'EMFILE',
  'EFBIG',
  'ENOSPC',
  'EROFS',
  'EDOM',
  'ENAMETOOLONG',
  'ENOSYS',
  'ENOTEMPTY',
  'ELOOP',
  'EPROTO',
  'EBADMSG',
  'EOVERFLOW',
  'EUSERS',
  'EMSGSIZE',
  'EPROTONOSUPPORT',
  'EOPNOTSUPP',
  'EADDRINUSE',
  'ECONNRESET',
  'ECONNREFUSED',
  'ENOTCONN',
  'ESHUTDOWN',
  'ETIMEDOUT',
  'EUCLEAN',
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

/** True for a code that frames may carry. */
export function isErrorCode(code: unknown): code is ErrorCode {
  return ERROR_CODES.some((known) => known === code);
}

/** A request that was refused or failed, or a connection that broke. */
export class PinfoldError extends Error {
  override readonly name: string = 'PinfoldError';
  readonly code: ErrorCode;

  /** @param message what happened and what to do, without the code */
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(`${code}: ${message}`, options);
    this.code = code;
  }
}

/** The call was withdrawn by its AbortSignal; `cause` is the signal's reason. */
export class AbortError extends PinfoldError {
  override readonly name = 'AbortError';

  constructor(message: string, options?: ErrorOptions) {
    super('EINTR', message, options);
  }
}

/** A stream of frames that can't be trusted any more: the connection is closed after saying so. */
export class ProtocolError extends PinfoldError {
  override readonly name = 'ProtocolError';

  /** @param requestId of the frame that broke the rules, 0 if it can't be told */
  constructor(
    code: ErrorCode,
    message: string,
    readonly requestId: number,
  ) {
    super(code, message);
  }
}

// The error that every function of native/ throws.

/** A call that failed: the system refused it, or an argument was wrong. */
export class NativeError extends Error {
  override readonly name = 'NativeError';
  /** Linux's name of the error: `'EBADF'`, `'EINVAL'`, `'ENOSPC'`. */
  readonly code: string;
  /** The system call that failed, or that would have been made had the arguments been right. */
  readonly syscall: string;

  constructor(code: string, syscall: string, message: string) {
    super(message);
    this.code = code;
    this.syscall = syscall;
  }
}

/** Throws EINVAL unless `value` is an integer from `min` to `max` and a multiple of `unit`. */
export function checkInteger(
  syscall: string,
  name: string,
  value: number,
  min: number,
  max = Number.MAX_SAFE_INTEGER,
  unit = 1,
): void {
  if (Number.isSafeInteger(value) && value >= min && value <= max && value % unit === 0) return;
  const multiple = unit === 1 ? '' : ` and a multiple of ${unit}`;
  throw new NativeError(
    'EINVAL',
    syscall,
    `${syscall}: ${name} is ${String(value)}, expected an integer from ${min} to ${max}${multiple}`,
  );
}

// Turns whatever a request threw into the code and message that its client gets.

import { isErrorCode, PinfoldError } from './protocol/errors.js';
import { ERROR_MESSAGE_CHARACTERS_MAX } from './protocol/limits.js';

/** Null: not an error of the request but a defect of ours, which nobody may swallow. */
export function toWireError(error: unknown): PinfoldError | null {
  if (error instanceof PinfoldError) return error;
  if (!(error instanceof Error) || !('code' in error)) return null;
  if (error.code === 'KERNEL_BUG') {
    return new PinfoldError('EIO', `the emulated kernel stopped: ${error.message}`);
  }
  if (isErrorCode(error.code)) {
    return new PinfoldError(error.code, withoutCode(error.message, error.code), { cause: error });
  }
  // A rarer errno of the host.
  if (typeof error.code !== 'string' || !/^E[A-Z0-9]+$/.test(error.code)) return null;
  return new PinfoldError('EIO', error.message, { cause: error });
}

/** The payload of an ERROR frame. */
export function errorPayload(error: PinfoldError): { code: string; message: string } {
  const message = withoutCode(error.message, error.code).slice(0, ERROR_MESSAGE_CHARACTERS_MAX);
  return { code: error.code, message };
}

function withoutCode(message: string, code: string): string {
  return message.startsWith(`${code}: `) ? message.slice(code.length + 2) : message;
}

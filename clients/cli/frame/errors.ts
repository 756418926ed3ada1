// What went wrong, as one line for the user: `pinfold: CODE: what, with which value, what to do`.

import { CommanderError } from 'commander';
import { EXIT, type ExitCode } from './exit-codes.js';

/** A command that cannot be carried out; `message` says what to do. */
export class CliError extends Error {
  override readonly name = 'CliError';

  constructor(
    readonly code: string,
    readonly reason: string,
    readonly exit: ExitCode = EXIT.failed,
    options?: ErrorOptions,
  ) {
    super(`${code}: ${reason}`, options);
  }
}

/** The command line is wrong. */
export function usageError(reason: string): CliError {
  return new CliError('EUSAGE', reason, EXIT.usage);
}

/** An error as users see it. */
export interface ErrorReport {
  readonly code: string;
  readonly message: string;
  readonly exit: ExitCode;
  /** Where in the code; only for defects of Pinfold itself. */
  readonly stack: string | null;
}

export function describeError(error: unknown): ErrorReport {
  if (error instanceof CommanderError && error.exitCode === 0) {
    return { code: error.code, message: '', exit: EXIT.ok, stack: null };
  }
  if (error instanceof CliError) {
    return { code: error.code, message: oneLine(error.reason), exit: error.exit, stack: null };
  }
  if (!(error instanceof Error)) return defect(String(error), null);
  const code = codeOf(error);
  if (code === null || code === 'INVARIANT') return defect(error.message, error.stack ?? null);
  if (code === 'KERNEL_BUG') {
    return { code, message: oneLine(error.message), exit: EXIT.findings, stack: null };
  }
  return {
    code,
    message: oneLine(withoutCode(error.message, code)),
    exit: EXIT.failed,
    stack: null,
  };
}

/** The stable code of an error of the engine, the daemon or the system; null if it has none. */
export function codeOf(error: unknown): string | null {
  if (!(error instanceof Error) || !('code' in error)) return null;
  const { code } = error;
  if (typeof code !== 'string') return null;
  // Node's own ERR_... codes mean that we called it wrongly.
  return /^(?:E[A-Z0-9]+|KERNEL_BUG|INVARIANT)$/.test(code) ? code : null;
}

/** The sentence of an error, without its code. */
export function reasonOf(error: unknown): string {
  return describeError(error).message;
}

function defect(message: string, stack: string | null): ErrorReport {
  return {
    code: 'EDEFECT',
    message: `${oneLine(message)}; this is a defect of Pinfold, please report it with the lines below`,
    exit: EXIT.defect,
    stack,
  };
}

function withoutCode(message: string, code: string): string {
  return message.startsWith(`${code}: `) ? message.slice(code.length + 2) : message;
}

function oneLine(message: string): string {
  return message.replace(/\s*\n\s*/g, ' ').trim();
}

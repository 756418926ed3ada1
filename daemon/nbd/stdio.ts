// Standard input and output as the connection of one NBD client: one socket, as inetd has it, or two pipes.

import { fstatSync, type Stats } from 'node:fs';
import { Socket } from 'node:net';
import { dup, socketPair } from '../../native/index.js';
import { PinfoldError } from '../protocol/errors.js';

export interface StandardConnection {
  /** A socket that the caller owns. */
  readonly fd: number;
  /** Resolves when what was sent to it before its close has left this process. */
  readonly flushed: Promise<void>;
}

/** @throws PinfoldError EINVAL if no client is there: a terminal, a file; NativeError EMFILE */
export function standardConnection(): StandardConnection {
  const input = statusOf(0);
  const output = statusOf(1);
  if (!carriesBytes(input) || !carriesBytes(output)) {
    const wrong = carriesBytes(input) ? 'output' : 'input';
    throw new PinfoldError(
      'EINVAL',
      `standard ${wrong} is neither a socket nor a pipe: an NBD client starts this with --stdio, ` +
        'such as inetd or libnbd; by hand, use --nbd-socket',
    );
  }
  if (input?.isSocket() === true && input.dev === output?.dev && input.ino === output.ino) {
    return { fd: dup(0), flushed: Promise.resolve() };
  }
  return carryPipes();
}

function statusOf(fd: number): Stats | null {
  try {
    return fstatSync(fd);
  } catch {
    return null; // closed
  }
}

function carriesBytes(status: Stats | null): boolean {
  return status !== null && (status.isSocket() || status.isFIFO());
}

/** The server knows sockets only: the bytes of two pipes go through a pair of them. */
function carryPipes(): StandardConnection {
  const [fd, other] = socketPair();
  const inner = new Socket({ fd: other, allowHalfOpen: true });
  const input = new Socket({ fd: 0, readable: true, writable: false });
  const output = new Socket({ fd: 1, readable: false, writable: true });
  for (const each of [input, output]) each.on('error', () => inner.destroy());
  inner.on('error', () => undefined);
  input.pipe(inner);
  inner.pipe(output);
  const flushed = new Promise<void>((resolve) => {
    output.once('finish', resolve);
    output.once('close', resolve);
    inner.once('error', resolve);
  });
  return { fd, flushed };
}

// A fuzzing client of a daemon that listens: nobody judges what it is answered, but others have to be served meanwhile.

import { connect } from 'node:net';
import { clientBytes, damaged, type FuzzCase } from './client-bytes.js';

/** Sends a case piece by piece and goes away. */
export async function fuzz(path: string, fuzzed: FuzzCase): Promise<void> {
  const socket = connect(path);
  socket.on('error', () => undefined);
  const closed = new Promise((resolve) => socket.once('close', resolve));
  if (!fuzzed.lazy) socket.resume();
  const bytes = damaged(clientBytes(fuzzed), fuzzed.damage);
  let at = 0;
  for (const length of [...fuzzed.segments, bytes.length]) {
    const piece = bytes.subarray(at, at + length);
    at += piece.length;
    const taken = new Promise<void>((resolve) => socket.write(piece, () => resolve()));
    await (fuzzed.lazy ? new Promise(setImmediate) : Promise.race([taken, closed]));
  }
  if (fuzzed.damage[0] % 2 === 0) socket.end();
  else socket.destroy();
  socket.resume();
  // A server that waits for the rest of a request sees the end.
  await closed;
}

// The table of data checksums: one CRC-32C per block of the volume, as metadata.

import { write } from '../memory/word.js';
import type { Op, Task } from '../sched/op.js';
import { changeBlock, readWord, type Vol } from './core.js';
import type { Handle } from './journal.js';
import { BLOCK_WORDS } from './layout.js';

/** Credits of storeChecksums() for one batch. */
export const CHECKSUM_CREDITS = 2;

/** Enters checksums of `count` blocks from `block` on, in a handle; they are sums[from], ... */
export function* storeChecksums(
  task: Task,
  v: Vol,
  handle: Handle,
  block: number,
  count: number,
  sums: Int32Array,
  from: number,
): Op<void> {
  for (let done = 0; done < count; ) {
    const first = (block + done) % BLOCK_WORDS;
    const here = Math.min(count - done, BLOCK_WORDS - first);
    const table = v.sb.checksumStart + Math.floor((block + done) / BLOCK_WORDS);
    const source = from + done;
    yield* changeBlock(task, v, handle, table, (words, at) => {
      for (let i = 0; i < here; i++) write(words, at + first + i, sums[source + i]);
    });
    done += here;
  }
}

/** The checksum on record for a block. */
export function* loadChecksum(task: Task, v: Vol, block: number): Op<number> {
  const table = v.sb.checksumStart + Math.floor(block / BLOCK_WORDS);
  return yield* readWord(task, v, table, block % BLOCK_WORDS);
}

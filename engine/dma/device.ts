// What a device does to memory: it stores and loads through pfns that it was given, and asks nobody.
// No lock, no page table, no flag; in the lab each word is a step of its own.

import type { Machine } from '../machine.js';
import { loadBytes, moveBytes, storeBytes } from '../mm/content.js';
import { Errno } from '../sched/errors.js';
import type { Op } from '../sched/op.js';
import { lab } from '../sched/step.js';

/** Stores `data` at a byte offset of the pages, across page borders. */
export function* deviceStore(
  m: Machine,
  pfns: Int32Array,
  count: number,
  offsetBytes: number,
  data: Uint8Array,
): Op<void> {
  const { pageBytes } = m.geometry;
  checkRange(offsetBytes, data.byteLength, count * pageBytes);
  if ((offsetBytes & (pageBytes - 1)) + data.byteLength <= pageBytes) {
    if (data.byteLength === 0) return;
    const page = Math.floor(offsetBytes / pageBytes);
    const within = offsetBytes & (pageBytes - 1);
    if (lab === null) moveBytes(m, pfns[page], within, data);
    else yield* storeBytes(m, pfns[page], within, data);
    return;
  }
  for (let done = 0; done < data.byteLength; ) {
    const page = Math.floor((offsetBytes + done) / pageBytes);
    const within = (offsetBytes + done) % pageBytes;
    const length = Math.min(pageBytes - within, data.byteLength - done);
    yield* storeBytes(m, pfns[page], within, data.subarray(done, done + length));
    done += length;
  }
}

/**
 * Works off a chain of descriptors, as a device does after one doorbell: stores `data` at the start
 * of page chain[0], chain[1], ... of its pages.
 * @param data at most a page
 */
export function* deviceStoreChain(
  m: Machine,
  pfns: Int32Array,
  chain: Int32Array,
  count: number,
  data: Uint8Array,
): Op<void> {
  checkRange(0, data.byteLength, m.geometry.pageBytes);
  for (let i = 0; i < count; i++) {
    const page = chain[i];
    if (page < 0 || page >= pfns.length) checkRange(page, 1, pfns.length);
    if (lab === null) moveBytes(m, pfns[page], 0, data);
    else yield* storeBytes(m, pfns[page], 0, data);
  }
}

/** Loads bytes at a byte offset of the pages, across page borders. */
export function* deviceLoad(
  m: Machine,
  pfns: Int32Array,
  count: number,
  offsetBytes: number,
  target: Uint8Array,
): Op<void> {
  const { pageBytes } = m.geometry;
  checkRange(offsetBytes, target.byteLength, count * pageBytes);
  for (let done = 0; done < target.byteLength; ) {
    const page = Math.floor((offsetBytes + done) / pageBytes);
    const within = (offsetBytes + done) % pageBytes;
    const length = Math.min(pageBytes - within, target.byteLength - done);
    yield* loadBytes(m, pfns[page], within, target.subarray(done, done + length));
    done += length;
  }
}

function checkRange(offsetBytes: number, lengthBytes: number, limitBytes: number): void {
  if (offsetBytes >= 0 && offsetBytes + lengthBytes <= limitBytes) return;
  throw new Errno(
    'EINVAL',
    `a transfer of ${String(lengthBytes)} bytes at ${String(offsetBytes)}: the device holds ${String(limitBytes)} bytes`,
  );
}

// process_vm_writev: one process writes into the memory of another, through pins and a kernel
// mapping, not through page tables (Linux: mm/process_vm_access.c; the reproducer of H0-b).

import type { Machine } from '../machine.js';
import { FOLL, pinUserPagesRemote } from '../mm/gup.js';
import { Errno } from '../sched/errors.js';
import type { Op, Task } from '../sched/op.js';
import { deviceStore } from './device.js';
import { dmaReference, dropPages } from './hold.js';
import { REMOTE_PAGES_MAX } from './limits.js';

/**
 * Copies `data` to virtual address `address` (bytes) of address space `mm`.
 * @param scratch at least REMOTE_PAGES_MAX words, the caller's own
 * @returns bytes written; fewer if the memory ends before
 * @throws Errno EFAULT if not even the first page can be written
 */
export function* processVmWritev(
  task: Task,
  m: Machine,
  mm: number,
  address: number,
  data: Uint8Array,
  scratch: Int32Array,
): Op<number> {
  const { pageBytes } = m.geometry;
  const reference = dmaReference(m) === 'pin' ? FOLL.pin | FOLL.write : FOLL.write;
  for (let done = 0; done < data.byteLength; ) {
    const vpn = Math.floor((address + done) / pageBytes);
    const within = (address + done) % pageBytes;
    const left = data.byteLength - done;
    const pages = Math.min(
      REMOTE_PAGES_MAX,
      scratch.length,
      Math.ceil((within + left) / pageBytes),
    );
    let held: number;
    try {
      held = yield* pinUserPagesRemote(task, m, mm, vpn, pages, reference, scratch);
    } catch (error) {
      if (done > 0 && error instanceof Errno) return done;
      throw error;
    }
    const length = Math.min(left, held * pageBytes - within);
    yield* deviceStore(m, scratch, held, within, data.subarray(done, done + length));
    yield* dropPages(task, m, scratch, held, dmaReference(m), true, FOLL.write);
    done += length;
    if (held < pages) return done;
  }
  return data.byteLength;
}

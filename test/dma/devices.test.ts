// Devices on pinned pages: direct I/O, registrations, process_vm_writev, vmsplice; each gives back
// what it took, also when it fails half way (kernel.md 4.8).

import test from 'ava';
import { directReadInto, directWriteFrom, type Transfer } from '../../engine/dma/direct-io.js';
import {
  lockedPagesMax,
  rdmaDeregister,
  rdmaRead,
  rdmaRegister,
  rdmaWrite,
} from '../../engine/dma/rdma.js';
import { closePipe, readPipe, SplicePipe, vmsplice } from '../../engine/dma/vmsplice.js';
import { processVmWritev } from '../../engine/dma/vmwritev.js';
import { PG } from '../../engine/mm/folio.js';
import {
  breakLease,
  endBreak,
  giveLease,
  isLeaseBroken,
  takeLease,
} from '../../engine/mm/lease.js';
import { shrink } from '../../engine/mm/reclaim.js';
import { pinBalance, VM } from '../../engine/mm/vma.js';
import { Errno } from '../../engine/sched/errors.js';
import { assertAtRest, PAGE, type Rig, rig } from '../support/mm-machine.js';

const ANON = VM.read | VM.write;
const PROFILES = ['linux-5.2', 'linux-6.12', 'linux-6.12+P7-bounce', 'best-known'];

/** The device's side of a direct read: fills each page with its number + 1. */
function filling(r: Rig): Transfer {
  return function* fill(page, pfns, count) {
    for (let i = 0; i < count; i++) r.m.frames.view(pfns[i]).fill(page + i + 1);
  };
}

for (const profile of PROFILES) {
  test(`${profile}: a direct read into a mapped file dirties its pages before and after`, (t) => {
    const r = rig({ profile });
    const inode = r.file(0, 8);
    const vpn = r.map(inode, 8);
    const scratch = new Int32Array(4);
    const fill = filling(r);
    const cleaning: Transfer = function* clean(page, pfns, count) {
      t.true([...pfns.subarray(0, count)].every((p) => (r.m.state.flags[p] & PG.dirty) !== 0));
      // fsync comes by before the device has stored.
      if (page === 0) yield* r.fs.writepages(r.task, inode, 'all', 0, 7);
      yield* fill(page, pfns, count);
    };
    t.is(r.run(directReadInto(r.task, r.m, r.mm, vpn, 8, cleaning, scratch)), 8);
    r.fsync(inode);
    t.deepEqual(
      [0, 3, 7].map((i) => r.fs.block(inode, i)[100]),
      [1, 4, 8],
    );
    r.truncate(inode, 0);
    r.unmap(vpn);
    assertAtRest(t, r.m);
    t.deepEqual(r.m.findings().kept, []);
  });
}

test('a direct transfer that fails gives its pages back', (t) => {
  const r = rig();
  const vpn = r.map(-1, 4, ANON);
  const broken: Transfer = function* fail() {
    throw new Errno('EIO', 'the disk is gone');
  };
  const scratch = new Int32Array(4);
  t.throws(() => r.run(directReadInto(r.task, r.m, r.mm, vpn, 4, broken, scratch)), {
    code: 'EIO',
  });
  t.throws(() => r.run(directWriteFrom(r.task, r.m, r.mm, vpn, 4, broken, scratch)), {
    code: 'EIO',
  });
  r.unmap(vpn);
  assertAtRest(t, r.m);
});

test('a direct write takes its data from a read-only mapping, and ends where the buffer ends', (t) => {
  const r = rig();
  const inode = r.file(0, 3);
  r.fs.block(inode, 1).fill(42);
  const vpn = r.map(inode, 6, VM.read | VM.shared);
  const seen: number[] = [];
  const take: Transfer = function* take(_page, pfns, count) {
    for (let i = 0; i < count; i++) seen.push(r.m.frames.view(pfns[i])[0]);
  };
  t.is(r.run(directWriteFrom(r.task, r.m, r.mm, vpn, 6, take, new Int32Array(16))), 3);
  t.deepEqual(seen, [0, 42, 0]);
  t.throws(
    () => r.run(directReadInto(r.task, r.m, r.mm, vpn, 1, take, new Int32Array(16))),
    { code: 'EFAULT' },
    'a direct read stores to the buffer',
  );
  r.truncate(inode, 0);
  r.unmap(vpn);
  assertAtRest(t, r.m);
});

test('a registration is written and read by its peer until it ends', (t) => {
  const r = rig({ profile: 'linux-5.2' });
  const inode = r.file(0, 4);
  const vpn = r.map(inode, 4);
  const mr = r.run(rdmaRegister(r.task, r.m, r.mm, vpn, 4));
  const data = Uint8Array.from({ length: PAGE + 8 }, (_, i) => i & 0xff);
  r.run(rdmaWrite(r.m, mr, 1, 16, data));
  r.fsync(inode); // cleans the pages
  r.run(rdmaWrite(r.m, mr, 3, 0, data.subarray(0, 8)));
  const back = new Uint8Array(PAGE + 8);
  r.run(rdmaRead(r.m, mr, 1, 16, back));
  t.deepEqual(back, data);
  t.throws(() => r.run(rdmaWrite(r.m, mr, 3, 16, data)), { code: 'EINVAL' });
  r.run(rdmaDeregister(r.task, r.m, mr));
  r.fsync(inode); // what was written late is dirty by now
  t.deepEqual(r.fs.block(inode, 3).slice(0, 8), data.slice(0, 8));
  t.throws(() => r.run(rdmaWrite(r.m, mr, 0, 0, data)), { code: 'EINVAL' });
  t.throws(() => r.run(rdmaDeregister(r.task, r.m, mr)), { code: 'EINVAL' });
  r.truncate(inode, 0);
  r.unmap(vpn);
  t.is(r.m.state.mmLocked[r.mm], 0);
  assertAtRest(t, r.m);
});

test('a registration over the limit, of nothing, or of too little holds nothing afterwards', (t) => {
  const r = rig();
  const vpn = r.map(-1, 8, ANON);
  const tooMany = lockedPagesMax(r.m) + 1;
  t.throws(() => r.run(rdmaRegister(r.task, r.m, r.mm, vpn, tooMany)), { code: 'ENOMEM' });
  t.throws(() => r.run(rdmaRegister(r.task, r.m, r.mm, vpn, 9)), { code: 'EFAULT' });
  t.throws(() => r.run(rdmaRegister(r.task, r.m, r.mm, vpn + 100, 1)), { code: 'EFAULT' });
  for (const pages of [0, -1, 1.5, Number.NaN]) {
    t.throws(() => r.run(rdmaRegister(r.task, r.m, r.mm, vpn, pages)), { code: 'EINVAL' });
  }
  t.is(r.m.state.mmLocked[r.mm], 0);
  const mr = r.run(rdmaRegister(r.task, r.m, r.mm, vpn, 8, false));
  t.throws(() => r.run(rdmaWrite(r.m, mr, 0, 0, new Uint8Array(4))), { code: 'EACCES' });
  r.run(rdmaDeregister(r.task, r.m, mr));
  r.unmap(vpn);
  assertAtRest(t, r.m);
});

test('best-known: a file is registered under a layout lease, which a truncate breaks', (t) => {
  const r = rig({ profile: 'best-known' });
  const inode = r.file(0, 4);
  const vpn = r.map(inode, 4);
  t.throws(() => r.run(rdmaRegister(r.task, r.m, r.mm, vpn, 4)), {
    code: 'EFAULT',
    message: /layout lease/,
  });
  r.run(takeLease(r.m, inode, r.mm));
  t.throws(() => r.run(takeLease(r.m, inode, r.mm + 1)), { code: 'EAGAIN' });
  const mr = r.run(rdmaRegister(r.task, r.m, r.mm, vpn, 4));
  t.false(isLeaseBroken(r.m, inode));
  const error = t.throws(() => r.run(breakLease(r.task, r.m, inode, 20)), { code: 'ETIMEDOUT' });
  t.regex(error.message, /end the registrations/);
  t.false(isLeaseBroken(r.m, inode), 'a break that failed is over');
  r.run(rdmaDeregister(r.task, r.m, mr));
  r.run(giveLease(r.m, inode, r.mm));
  t.throws(() => r.run(giveLease(r.m, inode, r.mm)), { code: 'EINVAL' });
  r.run(breakLease(r.task, r.m, inode, 20));
  t.throws(() => r.run(takeLease(r.m, inode, r.mm)), { code: 'EAGAIN' });
  r.run(endBreak(r.m, inode));
  r.run(takeLease(r.m, inode, r.mm));
  r.run(giveLease(r.m, inode, r.mm));
  r.truncate(inode, 0);
  r.unmap(vpn);
  assertAtRest(t, r.m);
  t.deepEqual(r.m.findings().kept, []);
});

for (const profile of PROFILES) {
  test(`${profile}: process_vm_writev writes across pages, and stops where the memory stops`, (t) => {
    const r = rig({ profile });
    const inode = r.file(0, 20);
    const vpn = r.map(inode, 20);
    const data = new Uint8Array(20 * PAGE).fill(5);
    const scratch = new Int32Array(16);
    const at = vpn * PAGE + 100;
    t.is(r.run(processVmWritev(r.task, r.m, r.mm, at, data, scratch)), 20 * PAGE - 100);
    t.throws(() => r.run(processVmWritev(r.task, r.m, r.mm, 2000 * PAGE, data, scratch)), {
      code: 'EFAULT',
    });
    r.fsync(inode);
    t.is(r.fs.block(inode, 0)[99], 0);
    t.is(r.fs.block(inode, 0)[100], 5);
    t.is(r.fs.block(inode, 19)[PAGE - 1], 5);
    r.truncate(inode, 0);
    r.unmap(vpn);
    assertAtRest(t, r.m);
    t.deepEqual(r.m.findings().kept, []);
  });
}

test('spliced pages stay in the pipe by plain references, and show what was stored since', (t) => {
  const r = rig();
  const inode = r.file(0, 4);
  const vpn = r.map(inode, 4);
  r.store32(vpn, 1);
  const pipe = new SplicePipe(3);
  t.is(r.run(vmsplice(r.task, r.m, r.mm, vpn, 4, pipe)), 3);
  t.deepEqual(pinBalance(r.m), { acquired: 0, released: 0 });
  t.throws(() => r.run(vmsplice(r.task, r.m, r.mm, vpn, 1, pipe)), { code: 'EAGAIN' });
  r.fsync(inode);
  t.true(r.run(shrink(r.task, r.m, 64)) <= 1, 'a page in a pipe is not reclaimed');
  r.store32(vpn, 77);
  const target = new Uint8Array(PAGE);
  t.is(r.run(readPipe(r.task, r.m, pipe, target)), 1);
  t.is(new Int32Array(target.buffer)[0], 77);
  r.truncate(inode, 0);
  r.run(closePipe(r.task, r.m, pipe));
  r.unmap(vpn);
  assertAtRest(t, r.m);
});

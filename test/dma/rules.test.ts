// What the rules in force make of a device's access to file pages: bounce buffers (7.0), private
// copies (W3) and a device that pins nothing (P9).

import test from 'ava';
import { directReadInto, directWriteFrom, type Transfer } from '../../engine/dma/direct-io.js';
import { ODP_WORDS, OdpPage } from '../../engine/dma/odp.js';
import { rdmaDeregister, rdmaRegister, rdmaWrite } from '../../engine/dma/rdma.js';
import { PG } from '../../engine/mm/folio.js';
import { copyBack } from '../../engine/mm/private-copy.js';
import { PTE, pteIndex } from '../../engine/mm/pte.js';
import { Errno } from '../../engine/sched/errors.js';
import { assertAtRest, type Rig, rig } from '../support/mm-machine.js';

const bytesOf = (value: number): Uint8Array => new Uint8Array(Int32Array.of(value).buffer);

function atRest(r: Rig, inode: number, vpn: number): void {
  r.unmap(vpn);
  r.truncate(inode, 0);
}

test('linux-7.0: the device of a direct read stores into bounce frames, and the data arrive', (t) => {
  const r = rig({ profile: 'linux-7.0' });
  const inode = r.file(0, 3);
  const vpn = r.map(inode, 3);
  const seen: number[] = [];
  const fill: Transfer = function* fill(page, pfns, count) {
    for (let i = 0; i < count; i++) {
      seen.push(pfns[i]);
      r.m.frames.view(pfns[i]).fill(page + i + 1);
    }
  };
  t.is(r.run(directReadInto(r.task, r.m, r.mm, vpn, 3, fill, new Int32Array(2))), 3);
  const mapped = [0, 1, 2].map((i) => r.pfnAt(vpn + i));
  t.deepEqual(
    mapped.map((pfn) => r.m.frames.view(pfn)[7]),
    [1, 2, 3],
  );
  t.false(mapped.some((pfn, i) => pfn === seen[i]));
  atRest(r, inode, vpn);
  assertAtRest(t, r.m);
});

test('linux-7.0: the device of a direct write loads from bounce frames, which go back if it fails', (t) => {
  const r = rig({ profile: 'linux-7.0' });
  const inode = r.file(0, 2);
  const vpn = r.map(inode, 2);
  r.store32(vpn, 41);
  r.store32(vpn + 1, 42);
  const got: number[] = [];
  const drain: Transfer = function* drain(_page, pfns, count) {
    for (let i = 0; i < count; i++) {
      t.not(pfns[i], r.pfnAt(vpn + i));
      got.push(r.m.frames.view(pfns[i])[0]);
    }
  };
  const scratch = new Int32Array(2);
  r.run(directWriteFrom(r.task, r.m, r.mm, vpn, 2, drain, scratch));
  t.deepEqual(got, [41, 42]);
  const broken: Transfer = function* fail() {
    throw new Errno('EIO', 'the disk is gone');
  };
  for (const direct of [directReadInto, directWriteFrom]) {
    t.throws(() => r.run(direct(r.task, r.m, r.mm, vpn, 2, broken, scratch)), { code: 'EIO' });
  }
  atRest(r, inode, vpn);
  assertAtRest(t, r.m);
});

test('W3: a registration gets a copy that the process sees, and fsync brings it into the file', (t) => {
  const r = rig({ profile: 'linux-6.12+W3-copy-on-fsync' });
  const inode = r.file(0, 2);
  const vpn = r.map(inode, 2);
  const other = r.map(inode, 2);
  r.store32(vpn, 1);
  const file = r.pfnAt(vpn);
  const registration = r.run(rdmaRegister(r.task, r.m, r.mm, vpn, 2));
  t.not(r.pfnAt(vpn), file);
  t.true((r.m.state.flags[r.pfnAt(vpn)] & PG.anon) !== 0);
  r.run(rdmaWrite(r.m, registration, 0, 0, bytesOf(2)));
  r.run(rdmaWrite(r.m, registration, 1, 0, bytesOf(3)));
  t.deepEqual([r.load32(vpn), r.load32(other)], [2, 1], 'nobody else sees it before fsync');
  r.run(copyBack(r.task, r.m, inode, 0, 100));
  r.fsync(inode);
  t.deepEqual([r.fs.block(inode, 0)[0], r.fs.block(inode, 1)[0]], [2, 3]);
  t.is(r.load32(other), 2);
  r.run(rdmaDeregister(r.task, r.m, registration));
  r.unmap(other);
  atRest(r, inode, vpn);
  assertAtRest(t, r.m);
});

test('W3: a copy of a page that was cut off is not brought back, and fsync does not fail', (t) => {
  const r = rig({ profile: 'linux-6.12+W3-copy-on-fsync' });
  const inode = r.file(0, 2);
  const vpn = r.map(inode, 2);
  const registration = r.run(rdmaRegister(r.task, r.m, r.mm, vpn, 2));
  r.truncate(inode, 1);
  r.run(rdmaWrite(r.m, registration, 1, 0, bytesOf(3)));
  r.run(copyBack(r.task, r.m, inode, 0, 100));
  r.fsync(inode);
  t.is(r.fs.block(inode, 1)[0], 0);
  r.run(rdmaDeregister(r.task, r.m, registration));
  atRest(r, inode, vpn);
  assertAtRest(t, r.m);
});

test('P9: a device that pins nothing faults after each cleaning, and after the page was taken away', (t) => {
  const r = rig({ profile: 'linux-6.12+P9-odp', extraWords: ODP_WORDS });
  const inode = r.file(0, 1);
  const vpn = r.map(inode, 1);
  const { extra, pte } = r.m.state;
  const odp = new OdpPage(r.m, r.mm, vpn, extra, 0);
  r.m.notifier = odp;
  const at = pteIndex(r.m, r.mm, vpn);
  for (const value of [5, 6]) {
    r.run(odp.store(r.task, 0, bytesOf(value)));
    t.true((pte[at] & PTE.write) !== 0, 'the fault made the PTE writable');
    r.fsync(inode);
    t.is(r.fs.block(inode, 0)[0], value);
    t.is(pte[at] & PTE.write, 0);
  }
  t.is(r.m.state.refcount[r.pfnAt(vpn)], 3, 'cache, mapping and buffers: no pin');
  r.truncate(inode, 0);
  t.throws(() => r.run(odp.store(r.task, 0, bytesOf(7))), { code: 'EIO' });
  r.unmap(vpn);
  t.throws(() => r.run(odp.store(r.task, 0, bytesOf(7))), { code: 'EFAULT' });
  t.is(extra.join(), [extra[0], 0, 0, 0].join(), 'nothing runs, and the device knows no page');
  assertAtRest(t, r.m);
});

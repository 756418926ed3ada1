// Truncation, unmapping of ranges, invalidation: what goes, what stays, what it costs.

import test from 'ava';
import { putFolio } from '../../engine/mm/alloc.js';
import { findFolio } from '../../engine/mm/filemap.js';
import { PG, PIN_BIAS } from '../../engine/mm/folio.js';
import { FOLL, pinUserPagesFast, unpinUserPages } from '../../engine/mm/gup.js';
import { anyMarked, MARK } from '../../engine/mm/pagecache.js';
import { invalidateRange, unmapRange } from '../../engine/mm/truncate.js';
import { type LabHooks, setLab } from '../../engine/sched/step.js';
import { assertAtRest, rig } from '../support/mm-machine.js';

/** Counts the steps of what it watches, and never interferes. */
class StepCount implements LabHooks {
  steps = 0;
  point(): boolean {
    this.steps++;
    return false;
  }
  onLoad(): void {}
  onStore(): void {}
  onUpdate(): void {}
  onRead(): void {}
  onWrite(): void {}
  onWake(): void {}
}

function stepsOf(action: () => void): number {
  const count = new StepCount();
  setLab(count);
  try {
    action();
  } finally {
    setLab(null);
  }
  return count.steps;
}

test('truncate takes dirty, clean and mapped pages out, and gives all frames back', (t) => {
  const r = rig();
  const inode = r.file(0, 8);
  const vpn = r.map(inode, 8);
  for (let i = 0; i < 8; i++) r.store32(vpn + i, i + 1);
  r.fsync(inode);
  for (let i = 4; i < 6; i++) r.store32(vpn + i, 100 + i);
  r.truncate(inode, 2);
  t.is(r.m.state.nrPages[inode], 2);
  t.is(r.load32(vpn + 1), 2);
  t.throws(() => r.load32(vpn + 2), { code: 'EIO' });
  t.false(anyMarked(r.m, inode, MARK.dirty));
  r.truncate(inode, 0);
  r.unmap(vpn);
  assertAtRest(t, r.m);
});

test('a pinned page survives its truncation detached, and the next fault gets a new one', (t) => {
  const r = rig();
  const inode = r.file(0, 2);
  const vpn = r.map(inode, 2);
  r.store32(vpn, 7);
  const pfns = new Int32Array(1);
  const flags = FOLL.pin | FOLL.write;
  t.is(r.run(pinUserPagesFast(r.task, r.m, r.mm, vpn, 1, flags, pfns)), 1);
  r.truncate(inode, 0);
  t.is(r.m.state.mapping[pfns[0]], 0);
  t.is(r.m.state.refcount[pfns[0]], PIN_BIAS);
  r.m.frames.view(pfns[0]).fill(9); // the device goes on
  r.file(0, 2);
  r.store32(vpn, 8);
  t.not(r.pfnAt(vpn), pfns[0]);
  // The late dirtying of a page without a file only sets its flag.
  r.run(unpinUserPages(r.task, r.m, pfns, 1, PIN_BIAS, true));
  t.is(r.load32(vpn), 8);
  r.truncate(inode, 0);
  r.unmap(vpn);
  assertAtRest(t, r.m);
});

test('unmapping a range costs by what is mapped, not by its length', (t) => {
  const r = rig({ mmPages: 2 ** 18, pages: 64 });
  const inode = r.file(0, 200);
  const small = r.map(inode, 200);
  r.store32(small, 1);
  const one = stepsOf(() => r.run(unmapRange(r.task, r.m, inode, 0, 2 ** 30 - 1)));
  r.unmap(small);
  const large = r.map(inode, 2 ** 17);
  r.store32(large, 1);
  const many = stepsOf(() => r.run(unmapRange(r.task, r.m, inode, 0, 2 ** 30 - 1)));
  t.is(r.pfnAt(large), 0);
  t.true(
    many < one + 512 + 2 * 256 + 100,
    `${String(many)} steps for one page of 2^17, ${String(one)} of 200`,
  );
  r.truncate(inode, 0);
  r.unmap(large);
  assertAtRest(t, r.m);
});

test('a page-table lock counts its entries', (t) => {
  const r = rig({ mmPages: 2048 });
  const inode = r.file(0, 40);
  const vpn = r.map(inode, 40);
  for (let i = 0; i < 40; i++) r.store32(vpn + i, i);
  r.run(unmapRange(r.task, r.m, inode, 10, 19));
  t.is(r.m.state.pteCount[0], 30);
  r.unmap(vpn);
  t.is(r.m.state.pteCount[0], 0);
});

test('invalidation takes clean pages, and leaves dirty ones', (t) => {
  const r = rig();
  const inode = r.file(0, 4);
  const vpn = r.map(inode, 4);
  for (let i = 0; i < 4; i++) r.store32(vpn + i, i + 1);
  r.fsync(inode);
  r.store32(vpn + 2, 33);
  t.is(r.run(invalidateRange(r.task, r.m, inode, 0, 100)), 1);
  t.is(r.m.state.nrPages[inode], 1);
  t.is(r.load32(vpn + 1), 2, 'read again from the store');
  t.is(r.load32(vpn + 2), 33);
  r.truncate(inode, 0);
  r.unmap(vpn);
  assertAtRest(t, r.m);
});

for (const [profile, taken] of [
  ['linux-6.12', true],
  ['best-known', false],
] as const) {
  test(`invalidation ${taken ? 'takes' : 'leaves'} a pinned page under ${profile}`, (t) => {
    const r = rig({ profile });
    const inode = r.file(0, 1);
    const vpn = r.map(inode, 1);
    const pfns = new Int32Array(1);
    r.run(pinUserPagesFast(r.task, r.m, r.mm, vpn, 1, FOLL.pin, pfns)); // for reading
    t.is(r.run(invalidateRange(r.task, r.m, inode, 0, 0)), taken ? 0 : 1);
    t.is(r.m.state.nrPages[inode], taken ? 0 : 1);
    r.run(unpinUserPages(r.task, r.m, pfns, 1, PIN_BIAS, false));
    r.truncate(inode, 0);
    r.unmap(vpn);
    assertAtRest(t, r.m);
  });
}

test('a page that finds no room in the tree costs no frame', (t) => {
  const r = rig({ nodes: 2 });
  const inode = r.file(0, 256);
  const vpn = r.map(inode, 256);
  r.store32(vpn, 1);
  r.fsync(inode);
  const pfns = new Int32Array(1);
  r.run(pinUserPagesFast(r.task, r.m, r.mm, vpn, 1, FOLL.pin, pfns));
  const { free } = r;
  t.throws(() => r.store32(vpn + 200, 1), { code: 'ENOMEM', message: /tree nodes/ });
  t.is(r.free, free);
  r.run(unpinUserPages(r.task, r.m, pfns, 1, PIN_BIAS, false));
  r.truncate(inode, 0);
  r.unmap(vpn);
  assertAtRest(t, r.m);
});

test('a dirty page that is taken out of its file leaves the account of dirty pages', (t) => {
  const r = rig();
  const inode = r.file(0, 1);
  const vpn = r.map(inode, 1);
  r.store32(vpn, 5);
  const pfn = r.run(findFolio(r.task, r.m, inode, 0));
  t.not(r.m.state.flags[pfn] & PG.dirty, 0);
  r.truncate(inode, 0);
  t.is(r.m.state.flags[pfn] & PG.dirty, 0);
  r.run(putFolio(r.task, r.m, pfn));
  r.unmap(vpn);
  assertAtRest(t, r.m);
});

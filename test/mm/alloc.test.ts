// Frames and passing references: a try to get a frame that nobody owns changes nothing.

import test from 'ava';
import { allocPage, putFolio, undoGet } from '../../engine/mm/alloc.js';
import { FREE, getFolio, PG, PIN_BIAS, tryGet } from '../../engine/mm/folio.js';
import { KernelBug } from '../../engine/sched/errors.js';
import { assertAtRest, rig } from '../support/mm-machine.js';

test('two passing references to a free frame neither share it nor free it twice', (t) => {
  const r = rig();
  const pfn = r.run(allocPage(r.task, r.m));
  r.run(putFolio(r.task, r.m, pfn));
  t.false(tryGet(r.m, pfn, PIN_BIAS));
  t.false(
    tryGet(r.m, pfn, PIN_BIAS),
    'the first one, not yet taken back, must not look like an owner',
  );
  t.is(r.run(allocPage(r.task, r.m)), pfn, 'they do not stop the allocator');
  r.run(undoGet(r.task, r.m, pfn, PIN_BIAS));
  r.run(putFolio(r.task, r.m, pfn));
  t.is(r.m.state.refcount[pfn], PIN_BIAS, 'the owner is gone, one passing reference is left');
  t.is(r.free, r.m.geometry.pages - 2);
  r.run(undoGet(r.task, r.m, pfn, PIN_BIAS));
  assertAtRest(t, r.m);
});

test('dropping more references than there are is a BUG of the emulated kernel', (t) => {
  const r = rig();
  const pfn = r.run(allocPage(r.task, r.m));
  getFolio(r.m, pfn);
  t.throws(() => r.run(putFolio(r.task, r.m, pfn, 3)), { instanceOf: KernelBug });
});

test('freeing a locked page is a bad page state', (t) => {
  const r = rig();
  const pfn = r.run(allocPage(r.task, r.m));
  r.m.state.flags[pfn] |= PG.locked;
  t.throws(() => r.run(putFolio(r.task, r.m, pfn)), { instanceOf: KernelBug, message: /Bad page/ });
});

test('all frames are handed out once each, and frame 0 never', (t) => {
  const r = rig({ pages: 32 });
  const got = new Set<number>();
  for (let pfn = r.run(allocPage(r.task, r.m)); pfn !== 0; pfn = r.run(allocPage(r.task, r.m))) {
    got.add(pfn);
  }
  t.is(got.size, 31);
  t.false(got.has(0));
  for (const pfn of got) r.run(putFolio(r.task, r.m, pfn));
  t.true([...r.m.state.refcount].slice(1).every((count) => count === FREE));
  assertAtRest(t, r.m);
});

// Reclaim: files larger than memory, what is left alone, and what old kernels did (kernel.md 4.9).

import test from 'ava';
import { GLOBAL } from '../../engine/memory/layout.js';
import { PG, PIN_BIAS } from '../../engine/mm/folio.js';
import { FOLL, pinUserPagesFast, unpinUserPages } from '../../engine/mm/gup.js';
import { shrink } from '../../engine/mm/reclaim.js';
import { VM } from '../../engine/mm/vma.js';
import { assertAtRest, rig } from '../support/mm-machine.js';

test('a file four times as large as memory is written and read through a mapping', (t) => {
  const r = rig({ pages: 64 });
  const inode = r.file(0, 256);
  const vpn = r.map(inode, 256);
  for (let i = 0; i < 256; i++) r.store32(vpn + i, i * 3 + 1);
  for (let i = 0; i < 256; i++) t.is(r.load32(vpn + i), i * 3 + 1);
  t.true(r.m.state.nrPages[inode] < 64);
  r.truncate(inode, 0);
  r.unmap(vpn);
  assertAtRest(t, r.m);
});

test('pages that are cached alone, each in a node of its own, make room for one another', (t) => {
  const r = rig({ pages: 64, nodes: 12, filePages: 2048, mmPages: 2048 });
  const inode = r.file(0, 2048);
  const vpn = r.map(inode, 2048);
  for (let i = 0; i < 32; i++) {
    r.store32(vpn + i * 64, i + 1);
    if (i % 4 === 3) r.fsync(inode);
  }
  for (let i = 0; i < 32; i++) t.is(r.load32(vpn + i * 64), i + 1);
  r.truncate(inode, 0);
  r.unmap(vpn);
  assertAtRest(t, r.m);
});

test('anonymous memory that is all in use ends in ENOMEM, and is given back', (t) => {
  const r = rig({ pages: 32 });
  const vpn = r.map(-1, 64, VM.read | VM.write);
  let stored = 0;
  const error = t.throws(
    () => {
      for (; stored < 64; stored++) r.store32(vpn + stored, stored);
    },
    { code: 'ENOMEM' },
  );
  t.regex(error.message, /no page frames left: of 32/);
  t.is(stored, 31);
  for (let i = 0; i < stored; i++) t.is(r.load32(vpn + i), i);
  r.unmap(vpn);
  assertAtRest(t, r.m);
});

for (const [profile, foll, reference, buffers] of [
  ['linux-6.12', FOLL.pin | FOLL.write, PIN_BIAS, true],
  ['linux-5.2', FOLL.write, 1, false],
  ['best-known', FOLL.pin | FOLL.write, PIN_BIAS, true],
] as const) {
  test(`${profile}: a clean page that a device holds ${buffers ? 'keeps' : 'loses'} its buffers, and stays`, (t) => {
    const r = rig({ profile });
    const inode = r.file(0, 4);
    const vpn = r.map(inode, 4);
    for (let i = 0; i < 4; i++) r.store32(vpn + i, i);
    const out = new Int32Array(1);
    r.run(pinUserPagesFast(r.task, r.m, r.mm, vpn, 1, foll, out));
    // Write it out once, whatever the rules say of pinned pages: then let it be clean.
    r.run(unpinUserPages(r.task, r.m, out, 1, reference, false));
    r.fsync(inode);
    r.m.state.refcount[out[0]] += reference;
    t.is(r.run(shrink(r.task, r.m, 64)), 3);
    t.is(r.m.state.nrPages[inode], 1);
    t.is(r.pfnAt(vpn), 0, 'unmapped');
    t.is((r.m.state.flags[out[0]] & PG.private) !== 0, buffers);
    r.m.state.refcount[out[0]] -= reference;
    r.truncate(inode, 0);
    r.unmap(vpn);
    assertAtRest(t, r.m);
  });
}

test('a dirty page is left to the flusher, but old kernels write it from kswapd', (t) => {
  for (const [profile, written] of [
    ['linux-6.12', false],
    ['linux-5.2', true],
  ] as const) {
    const r = rig({ profile });
    const inode = r.file(0, 4);
    const vpn = r.map(inode, 4);
    for (let i = 0; i < 4; i++) r.store32(vpn + i, i + 1);
    r.run(shrink(r.task, r.m, 64, true));
    t.is(r.m.state.global[GLOBAL.nrDirty], written ? 0 : 4, profile);
    r.run(shrink(r.task, r.m, 64, true));
    t.is(r.m.state.nrPages[inode], written ? 0 : 4, profile);
    t.is(r.load32(vpn + 3), 4);
    r.truncate(inode, 0);
    r.unmap(vpn);
    assertAtRest(t, r.m);
  }
});

// The tree of the page cache against a plain map: sparse files, marks, and no node lost.

import test from 'ava';
import { GLOBAL } from '../../engine/memory/layout.js';
import { addFolio } from '../../engine/mm/filemap.js';
import { PG } from '../../engine/mm/folio.js';
import {
  cacheDelete,
  cacheInsert,
  cacheLookup,
  clearMark,
  giveNodes,
  hasMark,
  MARK,
  nextCached,
  nextMarked,
  nodesMissing,
  setMark,
  takeNodes,
} from '../../engine/mm/pagecache.js';
import { assertAtRest, type Rig, rig } from '../support/mm-machine.js';

const LAST = 2 ** 30 - 1;

function insert(r: Rig, index: number, pfn: number): void {
  const missing = nodesMissing(r.m, 0, index);
  const chain = missing === 0 ? 0 : r.run(takeNodes(r.task, r.m, missing));
  const spare = cacheInsert(r.m, 0, index, pfn, chain);
  if (spare !== 0) throw new Error(`nodesMissing() said ${String(missing)}, which was too many`);
}

test('sparse insertions take exactly the nodes that are missing, and deletions give all back', (t) => {
  const seed = (Date.now() & 0xffffff) | 1;
  t.log(`seed ${String(seed)}`);
  let state = seed;
  const random = (limit: number): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
  for (let run = 0; run < 40; run++) {
    const r = rig({ nodes: 512 });
    const model = new Map<number, number>();
    const dirty = new Set<number>();
    for (let i = 0; i < 120; i++) {
      const index = random(2 ** (1 + random(30)));
      if (model.has(index)) {
        t.is(cacheLookup(r.m, 0, index), model.get(index) ?? 0);
        if (random(2) === 0) {
          setMark(r.m, 0, index, MARK.dirty);
          dirty.add(index);
        } else {
          r.run(giveNodes(r.task, r.m, cacheDelete(r.m, 0, index)));
          model.delete(index);
          dirty.delete(index);
        }
        continue;
      }
      t.is(cacheLookup(r.m, 0, index), 0);
      insert(r, index, i + 1);
      model.set(index, i + 1);
      if (random(3) === 0) {
        setMark(r.m, 0, index, MARK.dirty);
        dirty.add(index);
      }
    }
    const walk = (next: (from: number) => number): number[] => {
      const found: number[] = [];
      for (let at = next(0); at >= 0; at = next(at + 1)) found.push(at);
      return found;
    };
    const sorted = (keys: Iterable<number>): number[] => [...keys].sort((a, b) => a - b);
    t.deepEqual(
      walk((from) => nextCached(r.m, 0, from, LAST)),
      sorted(model.keys()),
    );
    t.deepEqual(
      walk((from) => nextMarked(r.m, 0, from, LAST, MARK.dirty)),
      sorted(dirty),
    );
    for (const index of dirty) {
      clearMark(r.m, 0, index, MARK.dirty);
      t.false(hasMark(r.m, 0, index, MARK.dirty));
    }
    t.is(nextMarked(r.m, 0, 0, LAST, MARK.dirty), -1);
    for (const index of model.keys()) {
      r.run(giveNodes(r.task, r.m, cacheDelete(r.m, 0, index)));
    }
    t.is(r.m.state.global[GLOBAL.nodeFreeCount], 512, 'nodes lost');
    t.is(r.m.state.iPagesRoot[0], 0);
  }
});

test('a page at the end of the largest file, beside one at its start', (t) => {
  const r = rig({ nodes: 16 });
  insert(r, 0, 1);
  insert(r, LAST, 2);
  insert(r, 2 ** 18, 3);
  insert(r, 5, 4);
  t.deepEqual(
    [0, LAST, 2 ** 18, 5].map((index) => cacheLookup(r.m, 0, index)),
    [1, 2, 3, 4],
  );
  t.is(nextCached(r.m, 0, 2 ** 18 + 1, LAST), LAST);
});

test('a locked folio that comes too late for its place is freed unlocked', (t) => {
  const r = rig();
  const inode = r.file(0, 4);
  const vpn = r.map(inode, 4);
  r.store32(vpn, 1);
  const { free } = r;
  t.is(r.run(addFolio(r.task, r.m, inode, 0, true)), 0);
  t.is(r.free, free);
  const pfn = r.run(addFolio(r.task, r.m, inode, 1, true));
  t.not(r.m.state.flags[pfn] & PG.locked, 0);
  r.m.state.flags[pfn] &= ~PG.locked;
  r.m.state.refcount[pfn]--;
  r.truncate(inode, 0);
  r.unmap(vpn);
  assertAtRest(t, r.m);
});

// The words of the state buffer by their Linux names, and their changes in words.

import test from 'ava';
import { createMachine } from '../../engine/machine.js';
import { GLOBAL } from '../../engine/memory/layout.js';
import { WordNames } from '../../engine/memory/word-names.js';
import { FREE, PG } from '../../engine/mm/folio.js';
import { PTE } from '../../engine/mm/pte.js';
import { profileByName } from '../../engine/profile/profiles.js';
import { LOCK_BITS } from '../../engine/sched/lock.js';

const GEOMETRY = {
  pageBytes: 8,
  pages: 4,
  cpus: 1,
  mms: 2,
  mmPages: 3,
  vmas: 1,
  inodes: 2,
  nodes: 2,
  framesInState: true,
  extraWords: 8,
};
const m = createMachine(GEOMETRY, profileByName('linux-6.12'), [], true);
const names = new WordNames(GEOMETRY, {
  nameOfExtra: (word) => (word === 5 ? 'mailbox' : `extra[${String(word)}]`),
  nameOfTask: (id) => (id === 7 ? 'flusher' : 'somebody'),
});

/** The address by which the lab's driver calls an element. */
function at(words: Int32Array | Uint8Array | BigInt64Array, index: number): number {
  return (words.byteOffset >>> 2) + index;
}

test('every word that the lab sees has the name that Linux gives it', (t) => {
  const s = m.state;
  for (const [address, name] of [
    [at(s.flags, 1), 'flags of page 1'],
    [at(s.pte, 4), 'pte 1 of mm 1'],
    [at(s.ptl, 1), 'page-table lock 0 of mm 1'],
    [at(s.iRwsem, 0), 'i_rwsem of inode 0'],
    [at(s.iSize, 2), 'i_size of inode 1'],
    [at(s.iPrivate, 17), 'private word 1 of inode 1'],
    [at(s.frames, 3), 'page 1 word 1'],
    [at(s.extra, 5), 'mailbox'],
    [at(s.extra, 2), 'extra[2]'],
    [at(s.global, GLOBAL.zoneLock), 'zone lock'],
    [at(s.global, GLOBAL.nrDirty), 'nr_dirty'],
  ] as const) {
    t.is(names.name(address), name);
  }
  t.is(names.address('frames', 3), at(s.frames, 3));
  t.is(new WordNames(GEOMETRY).name(at(s.extra, 5)), 'extra[5]');
  t.is(names.word(10 ** 6), null);
});

test('changes are told in words', (t) => {
  const s = m.state;
  const rw = (1 << PTE.pfnShift) | PTE.present | PTE.write | PTE.dirty;
  const ro = (1 << PTE.pfnShift) | PTE.present;
  for (const [words, before, after, said] of [
    [s.flags, PG.locked, PG.dirty, '+dirty -locked'],
    [s.refcount, 2, 1026, '+1 pin'],
    [s.refcount, 1026, 1025, '-1 get'],
    [s.refcount, FREE, 1, 'allocated'],
    [s.refcount, 0, FREE, 'freed'],
    [s.pte, rw, ro, 'page 1 rw dirty -> page 1 ro clean'],
    [s.pte, ro, 0, 'page 1 ro clean -> none'],
    [s.ptl, 0, 7, 'taken by flusher'],
    [s.ptl, 7, 0, 'released'],
    [s.iRwsem, 0, LOCK_BITS.writer, 'taken for writing'],
    [s.iRwsem, 1, LOCK_BITS.writerWaiting + LOCK_BITS.sleepers + 1, 'a writer waits'],
    [s.iRwsem, 2, 1, 'released by a reader'],
    [s.mapping, 1, 0, 'inode 0 -> none'],
    [s.frames, 1, 2, '1 -> 2'],
    [s.frames, 2, 2, ''],
  ] as const) {
    t.is(names.change(at(words, 1), before, after), said);
  }
});

test('values are told in words', (t) => {
  const s = m.state;
  t.is(names.value(at(s.refcount, 1), 2050), '2 + 2 pins');
  t.is(names.value(at(s.refcount, 1), FREE + 1), 'free');
  t.is(names.value(at(s.flags, 1), 0), 'none');
  t.is(names.value(at(s.mmapLock, 0), 2), 'held by 2 readers');
});

// get_user_pages and pin_user_pages: what is refused, with which error, and that nothing is kept
// of what was refused (kernel.md 4.5 and 4.6).

import test from 'ava';
import { PIN_BIAS } from '../../engine/mm/folio.js';
import { FOLL, pinUserPagesFast, unpinUserPages } from '../../engine/mm/gup.js';
import { mmap, pinBalance, VM } from '../../engine/mm/vma.js';
import type { ErrnoCode } from '../../engine/sched/errors.js';
import { assertAtRest, type Rig, rig } from '../support/mm-machine.js';

const READ = VM.read | VM.shared;
const WRITE = VM.read | VM.write | VM.shared;
const LONG = FOLL.pin | FOLL.longterm | FOLL.write;

interface Case {
  readonly what: string;
  readonly vm: number;
  readonly anon?: boolean;
  readonly foll: number;
  readonly profile: string;
  readonly fails?: ErrnoCode;
}

const CASES: readonly Case[] = [
  { what: 'reading a readable file', vm: READ, foll: FOLL.pin, profile: 'linux-6.12' },
  {
    what: 'writing a read-only mapping',
    vm: READ,
    foll: FOLL.pin | FOLL.write,
    profile: 'linux-6.12',
    fails: 'EFAULT',
  },
  {
    what: 'writing a writable file',
    vm: WRITE,
    foll: FOLL.pin | FOLL.write,
    profile: 'linux-6.12',
  },
  { what: 'a long-term read', vm: WRITE, foll: FOLL.pin | FOLL.longterm, profile: 'linux-6.12' },
  {
    what: 'a long-term write of a file',
    vm: WRITE,
    foll: LONG,
    profile: 'linux-6.12',
    fails: 'EFAULT',
  },
  { what: 'a long-term write of a file', vm: WRITE, foll: LONG, profile: 'linux-5.2' },
  {
    what: 'a long-term write of a file without a lease',
    vm: WRITE,
    foll: LONG,
    profile: 'best-known',
    fails: 'EFAULT',
  },
  {
    what: 'a long-term write of anonymous memory',
    vm: VM.read | VM.write,
    anon: true,
    foll: LONG,
    profile: 'linux-6.12',
  },
  { what: 'a plain get for writing', vm: WRITE, foll: FOLL.write, profile: 'linux-5.2' },
];

function take(r: Rig, vpn: number, count: number, flags: number, out: Int32Array): number {
  return r.run(pinUserPagesFast(r.task, r.m, r.mm, vpn, count, flags, out));
}

for (const { what, vm, anon, foll, profile, fails } of CASES) {
  test(`${profile}: ${what} ${fails === undefined ? 'works' : `is ${fails}`}, slow and fast`, (t) => {
    const r = rig({ profile });
    const inode = r.file(0, 4);
    const vpn = r.map(anon === true ? -1 : inode, 4, vm);
    const out = new Int32Array(4);
    const reference = (foll & FOLL.pin) !== 0 ? PIN_BIAS : 1;
    for (const way of ['slow', 'fast']) {
      if (fails !== undefined) {
        t.throws(() => take(r, vpn, 4, foll, out), { code: fails }, way);
        continue;
      }
      t.is(take(r, vpn, 4, foll, out), 4, way);
      t.deepEqual(
        [...out],
        [0, 1, 2, 3].map((i) => r.pfnAt(vpn + i)),
      );
      t.is(pinBalance(r.m).acquired - pinBalance(r.m).released, reference === 1 ? 0 : 4);
      r.run(unpinUserPages(r.task, r.m, out, 4, reference, false));
    }
    r.truncate(inode, 0);
    r.unmap(vpn);
    assertAtRest(t, r.m);
  });
}

test('nothing mapped is EFAULT, beyond the address space too, and takes no page of a neighbour', (t) => {
  const r = rig({ mmPages: 512 });
  const out = new Int32Array(8);
  t.throws(() => take(r, 5, 1, FOLL.pin, out), { code: 'EFAULT' });
  t.throws(() => take(r, 512, 1, FOLL.pin, out), { code: 'EFAULT' });
  t.throws(() => take(r, -1, 1, FOLL.pin, out), { code: 'EFAULT' });
  const vpn = r.run(mapAt(r, 510, 2));
  t.is(take(r, vpn, 4, FOLL.pin, out), 2, 'what could be had, as Linux returns it');
  r.run(unpinUserPages(r.task, r.m, out, 2, PIN_BIAS, false));
  r.unmap(vpn);
  assertAtRest(t, r.m);
});

function mapAt(r: Rig, vpn: number, pages: number): ReturnType<typeof mmap> {
  return mmap(r.task, r.m, r.mm, { pages, flags: VM.read | VM.write, inode: -1, pgoff: 0, vpn });
}

test('a file that ends within the range: the pages before its end are pinned', (t) => {
  const r = rig();
  const inode = r.file(0, 2);
  const vpn = r.map(inode, 4);
  const out = new Int32Array(4);
  t.is(take(r, vpn, 4, FOLL.pin | FOLL.write, out), 2);
  t.throws(() => take(r, vpn + 2, 1, FOLL.pin, out), { code: 'EIO' });
  r.run(unpinUserPages(r.task, r.m, out, 2, PIN_BIAS, true));
  r.truncate(inode, 0);
  r.unmap(vpn);
  assertAtRest(t, r.m);
});

test('a page takes no more pins than it can count', (t) => {
  const r = rig();
  const vpn = r.map(-1, 1, VM.read | VM.write);
  r.store32(vpn, 1);
  const pfn = r.pfnAt(vpn);
  const out = new Int32Array(1);
  r.m.state.refcount[pfn] = 2 ** 31 - 2 ** 20;
  t.throws(() => take(r, vpn, 1, FOLL.pin, out), { code: 'ENOMEM' });
  t.is(r.m.state.refcount[pfn], 2 ** 31 - 2 ** 20);
  r.m.state.refcount[pfn] = 1;
  r.unmap(vpn);
  assertAtRest(t, r.m);
});

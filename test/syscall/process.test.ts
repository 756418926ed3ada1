// System calls of a process: what they do together, what they refuse and with which errno, and that
// an ended process leaves nothing behind.

import test from 'ava';
import { rdmaWrite } from '../../engine/dma/rdma.js';
import { closePipe, SplicePipe } from '../../engine/dma/vmsplice.js';
import { S_IF } from '../../engine/fs/layout.js';
import type { ErrnoCode } from '../../engine/sched/errors.js';
import type { Op } from '../../engine/sched/op.js';
import { O } from '../../engine/syscall/file-table.js';
import { OPEN_FILES_MAX } from '../../engine/syscall/limits.js';
import { Process } from '../../engine/syscall/process.js';
import { MemoryFiles } from '../support/memory-files.js';
import { assertAtRest, PAGE, type Rig, rig } from '../support/mm-machine.js';

interface World {
  readonly r: Rig;
  readonly files: MemoryFiles;
  readonly p: Process;
}

function world(profile = 'linux-6.12', pages = 64): World {
  const r = rig({ profile, inodes: 8, pages });
  const files = new MemoryFiles(r);
  return { r, files, p: new Process(r.m, files) };
}

const RW = O.rdwr | O.creat;
const SHARED = { read: true, write: true, shared: true, offsetBytes: 0, address: null } as const;

function bytes(length: number, first: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (first + i) & 0xff);
}

test('what is written is read, by file and by mapping, at positions and at offsets', (t) => {
  const { r, p, files } = world();
  const fd = r.run(p.open(r.task, '/a', RW));
  t.is(r.run(p.write(r.task, fd, bytes(5000, 1))), 5000);
  t.is(r.run(p.pwrite(r.task, fd, bytes(10, 77), 4090)), 10);
  const back = new Uint8Array(6000);
  t.is(r.run(p.pread(r.task, fd, back, 0)), 5000);
  t.deepEqual(back.slice(4090, 4100), bytes(10, 77));
  t.is(r.run(p.read(r.task, fd, back)), 0, 'the position is at the end');
  const at = r.run(p.mmap(r.task, { ...SHARED, fd, lengthBytes: 5000 }));
  r.run(p.store(r.task, at + 4000, bytes(200, 9)));
  t.is(r.run(p.pread(r.task, fd, back.subarray(0, 200), 4000)), 200);
  t.deepEqual(back.slice(0, 200), bytes(200, 9));
  const append = r.run(p.open(r.task, '/a', O.wronly | O.append));
  t.is(r.run(p.write(r.task, append, bytes(3, 1))), 3);
  r.run(p.fsync(r.task, fd));
  t.deepEqual([...r.fs.block(r.run(files.lookup(r.task, 0, 'a')), 1).slice(904, 907)], [1, 2, 3]);
  r.run(p.ftruncate(r.task, fd, 0));
  t.deepEqual(r.run(p.exit(r.task)), { files: 2, mappings: 1, registeredPages: 0, leases: 0 });
  assertAtRest(t, r.m);
});

test('a file larger than memory goes through buffered writes and reads', (t) => {
  const { r, p } = world('linux-6.12', 64);
  const fd = r.run(p.open(r.task, 'big', RW));
  const page = new Uint8Array(PAGE);
  for (let i = 0; i < 200; i++) t.is(r.run(p.write(r.task, fd, page.fill(i + 1))), PAGE);
  for (let i = 0; i < 200; i++) {
    r.run(p.pread(r.task, fd, page, i * PAGE));
    t.is(page[5], i + 1);
  }
  r.run(p.ftruncate(r.task, fd, 0));
  r.run(p.exit(r.task));
  assertAtRest(t, r.m);
});

test('direct I/O between two files, the buffer being a mapping of a third', (t) => {
  const { r, p } = world();
  const from = r.run(p.open(r.task, 'from', RW));
  const to = r.run(p.open(r.task, 'to', RW));
  const via = r.run(p.open(r.task, 'via', RW));
  r.run(p.pwrite(r.task, from, bytes(3 * PAGE, 5), 0));
  r.run(p.ftruncate(r.task, via, 4 * PAGE));
  const at = r.run(p.mmap(r.task, { ...SHARED, fd: via, lengthBytes: 4 * PAGE }));
  t.is(r.run(p.directRead(r.task, from, at, 4 * PAGE, 0)), 3 * PAGE);
  t.is(r.run(p.directWrite(r.task, to, at, 3 * PAGE, 0)), 3 * PAGE);
  const back = new Uint8Array(3 * PAGE);
  t.is(r.run(p.pread(r.task, to, back, 0)), 3 * PAGE);
  t.deepEqual(back, bytes(3 * PAGE, 5));
  t.is(r.run(p.pread(r.task, via, back, 0)), 3 * PAGE);
  t.deepEqual(back, bytes(3 * PAGE, 5));
  for (const fd of [from, to, via]) r.run(p.ftruncate(r.task, fd, 0));
  r.run(p.exit(r.task));
  assertAtRest(t, r.m);
});

test('a hole reads as zeroes, in mappings too', (t) => {
  const { r, p } = world();
  const fd = r.run(p.open(r.task, 'f', RW));
  r.run(p.write(r.task, fd, bytes(3 * PAGE, 1)));
  const at = r.run(p.mmap(r.task, { ...SHARED, fd, lengthBytes: 3 * PAGE }));
  const some = new Uint8Array(8);
  r.run(p.load(r.task, at + PAGE, some));
  r.run(p.punchHole(r.task, fd, PAGE, PAGE));
  r.run(p.load(r.task, at + PAGE, some));
  t.deepEqual([...some], [0, 0, 0, 0, 0, 0, 0, 0]);
  r.run(p.ftruncate(r.task, fd, 0));
  r.run(p.exit(r.task));
  assertAtRest(t, r.m);
});

test('a process that ends gives back pins, leases, mappings and files, and says so', (t) => {
  const { r, p } = world('best-known');
  const fd = r.run(p.open(r.task, 'f', RW));
  r.run(p.ftruncate(r.task, fd, 4 * PAGE));
  const at = r.run(p.mmap(r.task, { ...SHARED, fd, lengthBytes: 4 * PAGE }));
  r.run(p.takeLayoutLease(fd));
  const mr = r.run(p.register(r.task, at, 4));
  r.run(rdmaWrite(r.m, mr, 3, 0, bytes(8, 1)));
  const error = t.throws(() => r.run(p.ftruncate(r.task, fd, 0)), { code: 'EBUSY' });
  t.regex(error.message, /give it back/);
  const anon = { ...SHARED, fd: null, lengthBytes: PAGE };
  r.run(p.store(r.task, r.run(p.mmap(r.task, anon)), bytes(4, 1)));
  const pipe = new SplicePipe(4);
  t.is(r.run(p.vmsplice(r.task, at, 2, pipe)), 2);
  t.deepEqual(r.run(p.exit(r.task)), { files: 1, mappings: 2, registeredPages: 4, leases: 1 });
  r.run(closePipe(r.task, r.m, pipe));
  const next = new Process(r.m, new MemoryFiles(r));
  t.is(next.mm, p.mm, 'its address space is free again');
  t.is(r.m.state.iCount[1], 0);
  r.truncate(1, 0);
  assertAtRest(t, r.m);
});

test('one process writes into the memory of another', (t) => {
  const { r, p, files } = world();
  const other = new Process(r.m, files);
  const anon = { ...SHARED, fd: null, lengthBytes: 2 * PAGE };
  const at = r.run(other.mmap(r.task, anon));
  t.is(r.run(p.processVmWritev(r.task, other.mm, at + 4090, bytes(12, 3))), 12);
  const back = new Uint8Array(12);
  r.run(other.load(r.task, at + 4090, back));
  t.deepEqual(back, bytes(12, 3));
  r.run(p.exit(r.task));
  r.run(other.exit(r.task));
  assertAtRest(t, r.m);
});

interface Refusal {
  readonly what: string;
  readonly code: ErrnoCode;
  readonly call: (
    w: World,
    fds: Readonly<Record<'rw' | 'ro' | 'wo' | 'dir', number>>,
  ) => Op<unknown>;
}

const map = (w: World, fd: number | null, over: object): Op<unknown> =>
  w.p.mmap(w.r.task, { ...SHARED, lengthBytes: PAGE, ...over, fd });
const some = new Uint8Array(8);

const REFUSALS: readonly Refusal[] = [
  { what: 'open of nothing', code: 'ENOENT', call: (w) => w.p.open(w.r.task, '/x', O.rdonly) },
  { what: 'open of an empty path', code: 'ENOENT', call: (w) => w.p.open(w.r.task, '', O.rdonly) },
  { what: 'open with a zero byte', code: 'EINVAL', call: (w) => w.p.open(w.r.task, 'a\0b', RW) },
  {
    what: 'a long name',
    code: 'ENAMETOOLONG',
    call: (w) => w.p.open(w.r.task, 'n'.repeat(256), RW),
  },
  {
    what: 'a long path',
    code: 'ENAMETOOLONG',
    call: (w) => w.p.open(w.r.task, 'n/'.repeat(2048), RW),
  },
  {
    what: 'a file as directory',
    code: 'ENOTDIR',
    call: (w) => w.p.open(w.r.task, '/f/g', O.rdonly),
  },
  { what: 'creating below a file', code: 'ENOTDIR', call: (w) => w.p.open(w.r.task, '/f/g', RW) },
  {
    what: 'O_EXCL of a file that is',
    code: 'EEXIST',
    call: (w) => w.p.open(w.r.task, '/f', RW | O.excl),
  },
  { what: 'writing the root', code: 'EISDIR', call: (w) => w.p.open(w.r.task, '/', O.rdwr) },
  { what: 'links in a circle', code: 'ELOOP', call: (w) => w.p.open(w.r.task, '/loop', O.rdonly) },
  { what: 'unknown flags', code: 'EINVAL', call: (w) => w.p.open(w.r.task, '/f', 0o4) },
  { what: 'access mode 3', code: 'EINVAL', call: (w) => w.p.open(w.r.task, '/f', 3) },
  { what: 'close of no file', code: 'EBADF', call: (w) => w.p.close(w.r.task, 99) },
  { what: 'close of -1', code: 'EBADF', call: (w) => w.p.close(w.r.task, -1) },
  {
    what: 'reading a write-only file',
    code: 'EBADF',
    call: (w, { wo }) => w.p.read(w.r.task, wo, some),
  },
  {
    what: 'writing a read-only file',
    code: 'EBADF',
    call: (w, { ro }) => w.p.write(w.r.task, ro, some),
  },
  {
    what: 'reading a directory',
    code: 'EISDIR',
    call: (w, { dir }) => w.p.read(w.r.task, dir, some),
  },
  {
    what: 'a negative offset',
    code: 'EINVAL',
    call: (w, { rw }) => w.p.pread(w.r.task, rw, some, -1),
  },
  {
    what: 'half an offset',
    code: 'EINVAL',
    call: (w, { rw }) => w.p.pwrite(w.r.task, rw, some, 0.5),
  },
  {
    what: 'writing past the largest file',
    code: 'EFBIG',
    call: (w, { rw }) => w.p.pwrite(w.r.task, rw, some, 2 ** 42),
  },
  {
    what: 'truncating a read-only file',
    code: 'EINVAL',
    call: (w, { ro }) => w.p.ftruncate(w.r.task, ro, 0),
  },
  {
    what: 'truncating below zero',
    code: 'EINVAL',
    call: (w, { rw }) => w.p.ftruncate(w.r.task, rw, -1),
  },
  {
    what: 'truncating too far',
    code: 'EFBIG',
    call: (w, { rw }) => w.p.ftruncate(w.r.task, rw, 2 ** 42 + 1),
  },
  { what: 'an empty hole', code: 'EINVAL', call: (w, { rw }) => w.p.punchHole(w.r.task, rw, 0, 0) },
  {
    what: 'a hole in a read-only file',
    code: 'EBADF',
    call: (w, { ro }) => w.p.punchHole(w.r.task, ro, 0, 1),
  },
  { what: 'an empty mapping', code: 'EINVAL', call: (w, { rw }) => map(w, rw, { lengthBytes: 0 }) },
  { what: 'a crooked offset', code: 'EINVAL', call: (w, { rw }) => map(w, rw, { offsetBytes: 1 }) },
  { what: 'a crooked address', code: 'EINVAL', call: (w, { rw }) => map(w, rw, { address: 5 }) },
  {
    what: 'mapping a write-only file',
    code: 'EACCES',
    call: (w, { wo }) => map(w, wo, { write: false }),
  },
  {
    what: 'mapping a read-only file to write',
    code: 'EACCES',
    call: (w, { ro }) => map(w, ro, {}),
  },
  { what: 'mapping a directory', code: 'EACCES', call: (w, { dir }) => map(w, dir, {}) },
  {
    what: 'a private writable file',
    code: 'EOPNOTSUPP',
    call: (w, { rw }) => map(w, rw, { shared: false }),
  },
  {
    what: 'mapping beyond the largest file',
    code: 'EOVERFLOW',
    call: (w, { rw }) => map(w, rw, { offsetBytes: 2 ** 42 }),
  },
  {
    what: 'a mapping without room',
    code: 'ENOMEM',
    call: (w) => map(w, null, { lengthBytes: 2049 * PAGE }),
  },
  { what: 'mapping of no file', code: 'EBADF', call: (w) => map(w, 99, {}) },
  { what: 'munmap of nothing much', code: 'EINVAL', call: (w) => w.p.munmap(w.r.task, 0, 0) },
  {
    what: 'a store to nowhere',
    code: 'EFAULT',
    call: (w) => w.p.store(w.r.task, 2000 * PAGE, some),
  },
  { what: 'a store far out', code: 'EFAULT', call: (w) => w.p.store(w.r.task, 2 ** 50, some) },
  { what: 'a load below zero', code: 'EFAULT', call: (w) => w.p.load(w.r.task, -4, some) },
  {
    what: 'crooked direct I/O',
    code: 'EINVAL',
    call: (w, { rw }) => w.p.directRead(w.r.task, rw, 0, 100, 0),
  },
  {
    what: 'direct I/O to nowhere',
    code: 'EFAULT',
    call: (w, { rw }) => w.p.directWrite(w.r.task, rw, 2000 * PAGE, PAGE, 0),
  },
  {
    what: 'writing to no address space',
    code: 'EINVAL',
    call: (w) => w.p.processVmWritev(w.r.task, 77, 0, some),
  },
  {
    what: 'registering nothing',
    code: 'EFAULT',
    call: (w) => w.p.register(w.r.task, 2000 * PAGE, 1),
  },
];

for (const { what, code, call } of REFUSALS) {
  test(`${what} is ${code}, and holds nothing`, (t) => {
    const w = world();
    const { r, p, files } = w;
    const rw = r.run(p.open(r.task, 'f', RW));
    const fds = {
      rw,
      ro: r.run(p.open(r.task, 'f', O.rdonly)),
      wo: r.run(p.open(r.task, 'f', O.wronly)),
      dir: r.run(p.open(r.task, '/', O.rdonly)),
    };
    const link = r.run(files.create(r.task, 0, 'loop', S_IF.link | 0o777));
    files.links.set(link, '/loop');
    const counts = [...r.m.state.iCount];
    t.throws(() => r.run(call(w, fds)), { code });
    t.deepEqual([...r.m.state.iCount], counts, 'references');
    r.run(p.exit(r.task));
    assertAtRest(t, r.m);
  });
}

test('a process has only so many open files', (t) => {
  const { r, p } = world();
  r.run(p.open(r.task, 'f', RW));
  for (let i = 1; i < OPEN_FILES_MAX; i++) r.run(p.open(r.task, 'f', O.rdonly));
  t.throws(() => r.run(p.open(r.task, 'f', O.rdonly)), { code: 'EMFILE' });
  r.run(p.close(r.task, 500));
  t.is(r.run(p.open(r.task, 'f', O.rdonly)), 500);
  t.is(r.run(p.exit(r.task)).files, OPEN_FILES_MAX);
  t.is(r.m.state.iCount[1], 0);
});

test('munmap takes whole mappings, and minds no gaps', (t) => {
  const { r, p } = world();
  const anon = { ...SHARED, fd: null, lengthBytes: 4 * PAGE };
  const at = r.run(p.mmap(r.task, { ...anon, address: 8 * PAGE }));
  t.throws(() => r.run(p.munmap(r.task, at, 2 * PAGE)), { code: 'EINVAL' });
  r.run(p.store(r.task, at, bytes(4, 1)));
  r.run(p.munmap(r.task, 0, 100 * PAGE));
  t.throws(() => r.run(p.store(r.task, at, bytes(4, 1))), { code: 'EFAULT' });
  r.run(p.munmap(r.task, 0, 100 * PAGE));
  r.run(p.exit(r.task));
  assertAtRest(t, r.m);
});

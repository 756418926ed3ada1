// File I/O straight between descriptors and the arena, and checksums.

import { readFileSync } from 'node:fs';
import test from 'ava';
import fc from 'fast-check';
import {
  Arena,
  closeDescriptor,
  crc32c,
  createMemory,
  HUGE_PAGE_BYTES,
  openFile,
  preadInto,
  pwriteFrom,
  truncateFile,
} from '../../native/index.js';
import { hugeBytes } from '../support/memfd.js';
import {
  closedDescriptor,
  NO_OFFSETS,
  PAGE_BYTES,
  refuses,
  temporaryFile,
} from './surroundings.js';

const SEGMENTS = 16;
const LENGTH = SEGMENTS * PAGE_BYTES;

/** An arena of 16 segments of one page, each byte telling its place. */
function makeArena(): { arena: Arena; views: Uint8Array[]; content: () => Uint8Array } {
  const memory = createMemory(LENGTH, { segmentBytes: PAGE_BYTES });
  memory.close();
  const views = memory.segments.map((segment) => new Uint8Array(segment));
  views.forEach((view, segment) => {
    for (let at = 0; at < PAGE_BYTES; at++) view[at] = ((segment * PAGE_BYTES + at) * 131) >> 3;
  });
  return { arena: new Arena(views), views, content: () => Uint8Array.from(Buffer.concat(views)) };
}

function pairs(...ranges: readonly (readonly [number, number])[]): Float64Array {
  return Float64Array.from(ranges.flat());
}

const range = fc
  .tuple(fc.nat(LENGTH), fc.nat(LENGTH))
  .map(([a, b]): [number, number] => [Math.min(a, b), Math.abs(a - b)]);

test('pwritev writes what the ranges hold, wherever segments end', (t) => {
  const { arena, content } = makeArena();
  t.is(arena.lengthBytes, LENGTH);
  const all = content();
  const { path, fd } = temporaryFile(t);
  fc.assert(
    fc.property(fc.array(range, { maxLength: 8 }), fc.nat(10_000), (ranges, fileOffset) => {
      truncateFile(fd, 0);
      const wanted = Buffer.concat(ranges.map(([at, length]) => all.subarray(at, at + length)));
      t.is(arena.pwritev(fd, pairs(...ranges), ranges.length, fileOffset), wanted.length);
      t.true(wanted.equals(readFileSync(path).subarray(wanted.length > 0 ? fileOffset : 0)));
    }),
    { numRuns: 50 },
  );
});

test('write and read copy a part of a view, wherever segments end', (t) => {
  const { arena, content } = makeArena();
  const bytes = Uint8Array.from({ length: LENGTH }, (_, at) => at % 251);
  fc.assert(
    fc.property(range, fc.nat(LENGTH), ([from, length], to) => {
      const at = Math.min(to, LENGTH - length);
      const wanted = content();
      wanted.set(bytes.subarray(from, from + length), at);
      arena.write(at, bytes, from, from + length);
      t.deepEqual(content(), wanted);
      const got = new Uint8Array(LENGTH);
      arena.read(at, got, from, from + length);
      wanted.fill(0);
      wanted.set(bytes.subarray(from, from + length), from);
      t.deepEqual(got, wanted);
    }),
    { numRuns: 50 },
  );
  refuses(t, 'EINVAL', '2 bytes at 65535 reach past its 65536', () =>
    arena.write(LENGTH - 1, bytes, 0, 2),
  );
  refuses(t, 'EINVAL', '2 bytes at 65535', () => arena.read(LENGTH - 1, bytes, 0, 2));
  refuses(t, 'EINVAL', 'until is 1,', () => arena.write(0, bytes, 2, 1));
  refuses(t, 'EINVAL', 'at is 65537', () => arena.write(LENGTH + 1, bytes, 0, 0));
});

test('preadv fills the ranges in order and leaves the rest alone', (t) => {
  const { arena, views, content } = makeArena();
  const { fd } = temporaryFile(t);
  const file = Uint8Array.from({ length: LENGTH }, (_, at) => (at * 7) >> 2);
  pwriteFrom(fd, file, 0);
  fc.assert(
    fc.property(fc.array(range, { maxLength: 8 }), fc.nat(2 * LENGTH), (ranges, fileOffset) => {
      for (const view of views) view.fill(0xee);
      const wanted = new Uint8Array(LENGTH).fill(0xee);
      let at = fileOffset;
      for (const [offset, length] of ranges) {
        wanted.set(file.subarray(at, at + length), offset);
        at += length;
      }
      const readable = Math.max(0, Math.min(at, LENGTH) - fileOffset);
      t.is(arena.preadv(fd, pairs(...ranges), ranges.length, fileOffset), readable);
      t.true(Buffer.from(wanted).equals(content()));
    }),
    { numRuns: 50 },
  );
});

test('more ranges than one system call takes, each across two segments', (t) => {
  const { arena, content } = makeArena();
  const all = content();
  const { path, fd } = temporaryFile(t);
  const ranges = Array.from({ length: 2500 }, (_, index): [number, number] => [
    (1 + (index % (SEGMENTS - 1))) * PAGE_BYTES - 10,
    20,
  ]);
  t.is(arena.pwritev(fd, pairs(...ranges), ranges.length, 3), 2500 * 20);
  const wanted = Buffer.concat(ranges.map(([at, length]) => all.subarray(at, at + length)));
  t.true(wanted.equals(readFileSync(path).subarray(3)));

  const back = pairs(...ranges.map((_, index): [number, number] => [index * 20, 20]));
  t.is(arena.preadv(fd, back, 2500, 3), 2500 * 20);
  t.true(wanted.equals(content().subarray(0, wanted.length)));
});

test('only the first `count` ranges are used, and empty ones are none', (t) => {
  const { arena, content } = makeArena();
  const { path, fd } = temporaryFile(t);
  t.is(arena.pwritev(fd, pairs([0, 5], [-1, -1]), 1, 0), 5);
  t.is(arena.pwritev(fd, pairs([0, 0], [LENGTH, 0], [5, 5], [1, 0]), 4, 5), 5);
  t.is(arena.pwritev(fd, new Float64Array(5000), 2500, 0), 0);
  t.is(arena.pwritev(fd, new Float64Array(0), 0, 0), 0);
  t.deepEqual(new Uint8Array(readFileSync(path)), content().slice(0, 10));
});

test('preadv is short at the end of the file only', (t) => {
  const { arena } = makeArena();
  const { fd } = temporaryFile(t);
  t.is(arena.preadv(fd, pairs([0, 100]), 1, 0), 0);
  pwriteFrom(fd, new Uint8Array(150), 0);
  t.is(arena.preadv(fd, pairs([0, 100], [8000, 300]), 2, 0), 150);
  t.is(arena.preadv(fd, pairs([0, 100]), 1, 150), 0);
  t.is(arena.preadv(fd, pairs([0, 100]), 1, 2 ** 50), 0);
});

test('a write that fails says how far it got', (t) => {
  const { arena } = makeArena();
  const full = openFile('/dev/full');
  refuses(t, 'ENOSPC', 'after 0 of 4096 bytes', () => arena.pwritev(full, pairs([0, 4096]), 1, 0));
  refuses(t, 'ENOSPC', 'no space left', () => pwriteFrom(full, new Uint8Array(1), 0));
  closeDescriptor(full);
  // A sealed memfd takes the pages that fit, then refuses to grow.
  const memory = createMemory(2 * PAGE_BYTES);
  const ranges = pairs([0, PAGE_BYTES], [PAGE_BYTES, 3 * PAGE_BYTES]);
  refuses(t, 'EPERM', 'after 8192 of 16384 bytes', () => arena.pwritev(memory.fd, ranges, 2, 0));
  refuses(t, 'EPERM', 'after 4096 of 8192', () =>
    pwriteFrom(memory.fd, new Uint8Array(8192), 4096),
  );
  memory.close();
});

test('a wrong range is refused before anything is transferred', (t) => {
  const { arena } = makeArena();
  const { path, fd } = temporaryFile(t);
  const wrong: [number, number][] = [
    ...NO_OFFSETS.map((offset): [number, number] => [offset, 1]),
    ...NO_OFFSETS.map((length): [number, number] => [0, length]),
    [LENGTH, 1],
    [1, LENGTH],
    [LENGTH + 1, 0],
    [2 ** 53 - 1, 2 ** 53 - 1],
  ];
  for (const pair of wrong) {
    const iov = pairs([0, 10], pair);
    refuses(t, 'EINVAL', 'iov entry 1', () => arena.pwritev(fd, iov, 2, 0));
    refuses(t, 'EINVAL', 'iov entry 1', () => arena.preadv(fd, iov, 2, 0));
  }
  const late = new Float64Array(2 * 3000).fill(1);
  late[2 * 2999] = LENGTH;
  refuses(t, 'EINVAL', 'iov entry 2999', () => arena.pwritev(fd, late, 3000, 0));
  t.is(readFileSync(path).length, 0);
});

test('wrong counts, offsets and descriptors are refused', (t) => {
  const { arena } = makeArena();
  const { fd } = temporaryFile(t);
  const iov = pairs([0, 10]);
  for (const number of NO_OFFSETS) {
    refuses(t, 'EINVAL', `count is ${number}`, () => arena.pwritev(fd, iov, number, 0));
    refuses(t, 'EINVAL', `fileOffset is ${number}`, () => arena.preadv(fd, iov, 1, number));
    refuses(t, 'EBADF', `fd is ${number}`, () => arena.preadv(number, iov, 1, 0));
  }
  refuses(t, 'EINVAL', 'count is 2', () => arena.pwritev(fd, iov, 2, 0));
  refuses(t, 'EINVAL', 'largest possible', () => arena.pwritev(fd, iov, 1, 2 ** 53 - 5));
  refuses(t, 'EBADF', 'fd', () => arena.pwritev(closedDescriptor(), iov, 1, 0));
  refuses(t, 'EISDIR', 'fd', () => {
    const folder = openFile('/', { readOnly: true });
    try {
      arena.preadv(folder, iov, 1, 0);
    } finally {
      closeDescriptor(folder);
    }
  });
});

test('collapse brings pages together in huge ones, which keep their bytes and can be discarded in part', (t) => {
  const name = 'pinfold-huge-test';
  const memory = createMemory(4 * HUGE_PAGE_BYTES, { name, segmentBytes: 2 * HUGE_PAGE_BYTES });
  t.teardown(() => memory.close());
  const arena = new Arena(memory.segments.map((segment) => new Uint8Array(segment)));
  const bytes = new Uint8Array(HUGE_PAGE_BYTES).map((_, at) => at % 251);
  // The end of the first segment, and the beginning of the next.
  for (const nth of [1, 2]) arena.write(nth * HUGE_PAGE_BYTES, bytes, 0, bytes.length);
  t.is(memory.residentBytes(), 2 * HUGE_PAGE_BYTES);
  if (!arena.collapse(HUGE_PAGE_BYTES, 2 * HUGE_PAGE_BYTES)) {
    t.log('SKIPPED: this kernel has no MADV_COLLAPSE, or no huge page is free');
    t.pass();
    return;
  }
  t.true(arena.collapse(HUGE_PAGE_BYTES, 2 * HUGE_PAGE_BYTES), 'once more');
  t.is(hugeBytes(name), 2 * HUGE_PAGE_BYTES);
  t.is(memory.residentBytes(), 2 * HUGE_PAGE_BYTES, 'no more memory than before');
  memory.discard(HUGE_PAGE_BYTES + PAGE_BYTES, PAGE_BYTES);
  t.is(memory.residentBytes(), 2 * HUGE_PAGE_BYTES - PAGE_BYTES);
  const read = new Uint8Array(HUGE_PAGE_BYTES);
  arena.read(HUGE_PAGE_BYTES, read, 0, read.length);
  t.deepEqual(read, bytes.fill(0, PAGE_BYTES, 2 * PAGE_BYTES));
});

test('collapse refuses what lies outside the arena', (t) => {
  const { arena } = makeArena();
  refuses(t, 'EINVAL', 'lengthBytes', () => arena.collapse(0, LENGTH + 1));
  refuses(t, 'EINVAL', 'offsetBytes', () => arena.collapse(-1, 0));
});

test('an arena is made of equally long views of shared memory only', (t) => {
  const shared = (length: number): Uint8Array => new Uint8Array(new SharedArrayBuffer(length));
  t.is(new Arena([shared(100), shared(100), shared(1)]).lengthBytes, 201);
  refuses(t, 'EINVAL', 'got 0', () => new Arena([]));
  refuses(t, 'EINVAL', 'got 1025', () => new Arena(Array.from({ length: 1025 }, () => shared(8))));
  refuses(t, 'EINVAL', 'segment 1 has 99', () => new Arena([shared(100), shared(99), shared(1)]));
  refuses(t, 'EINVAL', 'segment 1 has 101', () => new Arena([shared(100), shared(101)]));
  refuses(t, 'EINVAL', 'segment 0 has 0', () => new Arena([shared(0)]));
  // This one could be detached, and its memory freed.
  refuses(t, 'EINVAL', 'SharedArrayBuffer', () => new Arena([new Uint8Array(100)]));
});

test('preadInto and pwriteFrom move single views, shared or not', (t) => {
  const { views } = makeArena();
  const { fd } = temporaryFile(t);
  const [view = new Uint8Array(0)] = views;
  t.is(pwriteFrom(fd, view.subarray(10, 110), 5), 100);
  const back = new Uint8Array(200);
  t.is(preadInto(fd, back, 5), 100);
  t.deepEqual(back.slice(0, 100), Uint8Array.from(view.subarray(10, 110)));
  t.is(preadInto(fd, Buffer.alloc(0), 0), 0);
  t.is(pwriteFrom(fd, new Uint8Array(0), 0), 0);
  for (const offset of NO_OFFSETS) {
    refuses(t, 'EINVAL', `fileOffset is ${offset}`, () => preadInto(fd, back, offset));
    refuses(t, 'EBADF', `fd is ${offset}`, () => pwriteFrom(offset, back, 0));
  }
  refuses(t, 'EINVAL', 'fileOffset', () => pwriteFrom(fd, back, 2 ** 53 - 100));
  const detached = new Uint8Array(100);
  structuredClone(detached.buffer, { transfer: [detached.buffer] });
  t.is(pwriteFrom(fd, detached, 0), 0, 'a detached view has no bytes');
});

test('crc32c gives the sums of RFC 3720, with and without the instruction', (t) => {
  const ascending = Uint8Array.from({ length: 32 }, (_, index) => index);
  for (const tables of [false, true]) {
    t.is(crc32c(new Uint8Array(0), 0, { tables }), 0);
    t.is(crc32c(Buffer.from('123456789'), 0, { tables }), 0xe3069283);
    t.is(crc32c(new Uint8Array(32), 0, { tables }), 0x8a9136aa);
    t.is(crc32c(new Uint8Array(32).fill(0xff), 0, { tables }), 0x62a8ab43);
    t.is(crc32c(ascending, 0, { tables }), 0x46dd794e);
    t.is(crc32c(ascending.toReversed(), 0, { tables }), 0x113fdb5c);
  }
});

test('crc32c of a range is the same in pieces, across segments and by tables', (t) => {
  const { arena, content } = makeArena();
  const all = content();
  fc.assert(
    fc.property(range, fc.nat(LENGTH), fc.nat(0xffffffff), ([at, length], cut, seed) => {
      const part = all.subarray(at, at + length);
      const sum = crc32c(part, seed, { tables: true });
      t.is(crc32c(part, seed), sum);
      t.is(arena.crc32c(at, length, seed), sum);
      t.is(crc32c(part.subarray(cut), crc32c(part.subarray(0, cut), seed)), sum);
    }),
    { numRuns: 100 },
  );
});

test('crc32c refuses ranges outside the arena and wrong seeds', (t) => {
  const { arena } = makeArena();
  t.is(arena.crc32c(LENGTH, 0), 0);
  for (const number of NO_OFFSETS) {
    refuses(t, 'EINVAL', `offsetBytes is ${number}`, () => arena.crc32c(number, 1));
    refuses(t, 'EINVAL', `lengthBytes is ${number}`, () => arena.crc32c(0, number));
    refuses(t, 'EINVAL', `seed is ${number}`, () => arena.crc32c(0, 1, number));
    refuses(t, 'EINVAL', `seed is ${number}`, () => crc32c(new Uint8Array(1), number));
  }
  refuses(t, 'EINVAL', 'lengthBytes is 2', () => arena.crc32c(LENGTH - 1, 2));
});

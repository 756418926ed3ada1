// Memory from createMemory, mapMemory and mapFile, as threads of this process see it.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import test from 'ava';
import {
  closeDescriptor,
  createMemory,
  dup,
  fileStatus,
  mapFile,
  mapMemory,
  openFile,
  preadInto,
  pwriteFrom,
  truncateFile,
} from '../../native/index.js';
import {
  closedDescriptor,
  collectsUntil,
  exitCode,
  NO_OFFSETS,
  PAGE_BYTES,
  refuses,
  startProcess,
  startWorker,
  temporaryFile,
} from './surroundings.js';

const GIB = 2 ** 30;

/** The only segment of a small mapping. */
function bytesOf(mapping: { readonly segments: readonly SharedArrayBuffer[] }): Uint8Array {
  const segment = mapping.segments.at(0);
  if (segment === undefined) throw new Error('no segment');
  return new Uint8Array(segment);
}

test('segments are true SharedArrayBuffers, which workers share', async (t) => {
  const memory = createMemory(PAGE_BYTES);
  const segment = memory.segments.at(0);
  t.true(segment instanceof SharedArrayBuffer);
  t.is(Object.prototype.toString.call(segment), '[object SharedArrayBuffer]');
  const word = new Int32Array(segment ?? new SharedArrayBuffer(0));
  const workers = [1, 2].map(() => startWorker('add-many', { segment, times: 100_000 }));
  await Promise.all(workers.map((worker) => once(worker, 'exit')));
  t.is(Atomics.load(word, 0), 200_000);
  t.is(Atomics.load(word, 1), 2, 'each worker woke this thread by Atomics.notify');
  memory.close();
});

test('memory beyond 4 GiB is sparse, and its segments follow each other in the memfd', (t) => {
  const memory = createMemory(6 * GIB + PAGE_BYTES);
  t.is(memory.lengthBytes, 6 * GIB + PAGE_BYTES);
  t.deepEqual(
    memory.segments.map((segment) => segment.byteLength),
    [GIB, GIB, GIB, GIB, GIB, GIB, PAGE_BYTES],
  );
  t.is(memory.residentBytes(), 0);
  memory.segments.forEach((segment, index) => {
    new Uint8Array(segment, segment.byteLength - 1)[0] = index + 1;
  });
  const one = new Uint8Array(1);
  for (let index = 0; index < 6; index++) {
    preadInto(memory.fd, one, (index + 1) * GIB - 1);
    t.is(one[0], index + 1);
  }
  preadInto(memory.fd, one, memory.lengthBytes - 1);
  t.is(one[0], 7);
  t.true(memory.residentBytes() >= 7 * PAGE_BYTES);
  memory.close();
});

test('discard gives memory back, and the range reads as zeroes', (t) => {
  const memory = createMemory(64 * PAGE_BYTES);
  const bytes = bytesOf(memory).fill(7);
  t.is(memory.residentBytes(), 64 * PAGE_BYTES);
  memory.discard(16 * PAGE_BYTES, 32 * PAGE_BYTES);
  t.is(memory.residentBytes(), 32 * PAGE_BYTES);
  t.true(bytes.subarray(16 * PAGE_BYTES, 48 * PAGE_BYTES).every((byte) => byte === 0));
  t.is(bytes[16 * PAGE_BYTES - 1], 7);
  t.is(bytes[48 * PAGE_BYTES], 7);
  memory.discard(0, 0);
  memory.discard(0, memory.lengthBytes);
  t.is(memory.residentBytes(), 0);
  memory.discard(10, 20);
  t.is(bytes[10], 0, 'part of a page');
  memory.close();
});

test('discard refuses ranges outside the memory', (t) => {
  const memory = createMemory(4 * PAGE_BYTES);
  for (const offset of NO_OFFSETS) {
    refuses(t, 'EINVAL', `offsetBytes is ${offset}`, () => memory.discard(offset, 1));
    refuses(t, 'EINVAL', `lengthBytes is ${offset}`, () => memory.discard(0, offset));
  }
  refuses(t, 'EINVAL', 'lengthBytes is 2', () => memory.discard(4 * PAGE_BYTES - 1, 2));
  refuses(t, 'EINVAL', 'offsetBytes', () => memory.discard(4 * PAGE_BYTES + 1, 0));
  memory.close();
});

test('the seals refuse to change the size', (t) => {
  const memory = createMemory(2 * PAGE_BYTES);
  refuses(t, 'EPERM', 'size 4096', () => truncateFile(memory.fd, PAGE_BYTES));
  refuses(t, 'EPERM', 'size 12288', () => truncateFile(memory.fd, 3 * PAGE_BYTES));
  t.is(fileStatus(memory.fd).sizeBytes, 2 * PAGE_BYTES);
  memory.close();
});

test('wrong sizes and names are refused', (t) => {
  for (const length of [...NO_OFFSETS, 0, 1, PAGE_BYTES + 1]) {
    refuses(t, 'EINVAL', `lengthBytes is ${length}`, () => createMemory(length));
    refuses(t, 'EINVAL', `segmentBytes is ${length}`, () =>
      createMemory(PAGE_BYTES, { segmentBytes: length }),
    );
  }
  refuses(t, 'EINVAL', 'segmentBytes', () => createMemory(PAGE_BYTES, { segmentBytes: 8 * GIB }));
  refuses(t, 'EINVAL', 'lengthBytes', () =>
    createMemory(2000 * PAGE_BYTES, { segmentBytes: PAGE_BYTES }),
  );
  refuses(t, 'EINVAL', 'name', () => createMemory(PAGE_BYTES, { name: '' }));
  refuses(t, 'EINVAL', 'NUL', () => createMemory(PAGE_BYTES, { name: 'a\0b' }));
  refuses(t, 'ENAMETOOLONG', '250', () => createMemory(PAGE_BYTES, { name: 'x'.repeat(250) }));
});

test('a closed memory says so, but its mapping lives on', (t) => {
  const memory = createMemory(PAGE_BYTES);
  memory.close();
  memory.close();
  t.is(memory.fd, -1);
  refuses(t, 'EBADF', 'closed', () => memory.residentBytes());
  refuses(t, 'EBADF', 'closed', () => memory.discard(0, PAGE_BYTES));
  const bytes = bytesOf(memory);
  bytes[0] = 9;
  t.is(bytes[0], 9);
});

test('a mapping goes away with its last SharedArrayBuffer', async (t) => {
  const isMapped = (): boolean => readFileSync('/proc/self/maps', 'utf8').includes('collect-me');
  (() => {
    const memory = createMemory(4 * PAGE_BYTES, {
      name: 'collect-me',
      segmentBytes: PAGE_BYTES,
    });
    memory.close();
    t.true(isMapped());
  })();
  t.true(await collectsUntil(() => !isMapped()));
});

test('memory outlives the worker that made it, even the only one that loaded the addon', async (t) => {
  const child = startProcess(t, 'outlive');
  if (child.stdout === null) throw new Error('no pipe');
  t.is(await text(child.stdout), 'read 42, then unmapped\n');
  t.is(await exitCode(child), 0);
});

test('mapMemory maps what another descriptor of the memfd holds', (t) => {
  const memory = createMemory(3 * PAGE_BYTES);
  bytesOf(memory)[2 * PAGE_BYTES] = 5;
  const second = mapMemory(dup(memory.fd), 3 * PAGE_BYTES, { segmentBytes: PAGE_BYTES });
  t.is(second.segments.length, 3);
  t.is(new Uint8Array(second.segments.at(2) ?? new SharedArrayBuffer(1))[0], 5);
  bytesOf(second)[1] = 6;
  t.is(bytesOf(memory)[1], 6);
  second.close();
  memory.close();
});

test('a read-only mapping can be read, and the kernel does not write into it', (t) => {
  const memory = createMemory(PAGE_BYTES);
  bytesOf(memory)[3] = 8;
  const readOnly = mapMemory(dup(memory.fd), PAGE_BYTES, { readOnly: true });
  const view = bytesOf(readOnly);
  t.is(view[3], 8);
  refuses(t, 'EFAULT', 'fd', () => preadInto(memory.fd, view, 0));
  readOnly.close();
  memory.close();
});

test('mapMemory refuses what could shrink, is too short, or is no memfd', (t) => {
  const memory = createMemory(PAGE_BYTES);
  refuses(t, 'EINVAL', 'expected at least 8192', () => mapMemory(memory.fd, 2 * PAGE_BYTES));
  refuses(t, 'EINVAL', 'lengthBytes', () => mapMemory(memory.fd, 100));
  memory.close();
  refuses(t, 'EBADF', 'fd', () => mapMemory(closedDescriptor(), PAGE_BYTES));
  refuses(t, 'EBADF', 'fd is -1', () => mapMemory(-1, PAGE_BYTES));
  const shared = temporaryFile(t, '/dev/shm');
  truncateFile(shared.fd, PAGE_BYTES);
  refuses(t, 'EPERM', 'not sealed', () => mapMemory(shared.fd, PAGE_BYTES));
  const device = openFile('/dev/null');
  refuses(t, 'EINVAL', 'memfd', () => mapMemory(device, PAGE_BYTES));
  closeDescriptor(device);
});

test('mapFile allocates a sparse range; stores reach the file, which may be closed', (t) => {
  const { path, fd } = temporaryFile(t);
  truncateFile(fd, 16 * PAGE_BYTES);
  const own = openFile(path);
  const mapping = mapFile(own, 4 * PAGE_BYTES, 8 * PAGE_BYTES);
  closeDescriptor(own);
  t.is(mapping.lengthBytes, 8 * PAGE_BYTES);
  t.true(fileStatus(fd).allocatedBytes >= 8 * PAGE_BYTES);
  pwriteFrom(fd, Uint8Array.of(1, 2, 3), 4 * PAGE_BYTES);
  const bytes = bytesOf(mapping);
  t.deepEqual([...bytes.subarray(0, 3)], [1, 2, 3]);
  bytes[8 * PAGE_BYTES - 1] = 4;
  const one = new Uint8Array(1);
  preadInto(fd, one, 12 * PAGE_BYTES - 1);
  t.is(one[0], 4);
});

test('mapFile refuses what a store could not reach', (t) => {
  const { path, fd } = temporaryFile(t);
  truncateFile(fd, 2 * PAGE_BYTES);
  refuses(t, 'EINVAL', 'past the end', () => mapFile(fd, 0, 3 * PAGE_BYTES));
  refuses(t, 'EINVAL', 'past the end', () => mapFile(fd, 2 * PAGE_BYTES, PAGE_BYTES));
  refuses(t, 'EINVAL', 'past the end', () => mapFile(fd, 2 ** 52, PAGE_BYTES));
  for (const offset of [...NO_OFFSETS, 1]) {
    refuses(t, 'EINVAL', `offsetBytes is ${offset}`, () => mapFile(fd, offset, PAGE_BYTES));
    refuses(t, 'EINVAL', `lengthBytes is ${offset}`, () => mapFile(fd, 0, offset));
  }
  const device = openFile('/dev/null');
  refuses(t, 'EINVAL', 'regular file', () => mapFile(device, 0, PAGE_BYTES));
  closeDescriptor(device);
  refuses(t, 'EBADF', 'fd', () => mapFile(closedDescriptor(), 0, PAGE_BYTES));
  const readOnly = openFile(path, { readOnly: true });
  refuses(t, 'EBADF', '4096 bytes', () => mapFile(readOnly, 0, PAGE_BYTES));
  closeDescriptor(readOnly);
});

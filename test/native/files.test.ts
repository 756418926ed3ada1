// Plain descriptors of files: opening, sizes, allocation, locks, and what is refused.

import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import {
  closeDescriptor,
  dup,
  fallocate,
  fdatasync,
  fileStatus,
  lockFile,
  NativeError,
  openFile,
  preadInto,
  pwriteFrom,
  truncateFile,
} from '../../native/index.js';
import {
  closedDescriptor,
  exitCode,
  NO_OFFSETS,
  nextEvent,
  PAGE_BYTES,
  refuses,
  startProcess,
  temporaryFile,
  temporaryFolder,
} from './surroundings.js';

/** The flags of a descriptor as the kernel shows them. */
function flagsOf(fd: number): number {
  const line = /^flags:\s+(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'));
  return Number.parseInt(line?.at(1) ?? '', 8);
}

const O_CLOEXEC = 0o2000000;

test('errors have a class, a code, a system call and a message that names what was wrong', (t) => {
  const error = t.throws(() => openFile('/no/such/file'), { instanceOf: NativeError });
  t.true(error instanceof Error);
  t.is(error.name, 'NativeError');
  t.is(error.code, 'ENOENT');
  t.is(error.syscall, 'open');
  t.is(error.message, 'open: no such file or directory (/no/such/file)');
  t.true(error.stack?.includes('files.test'));
});

test('openFile creates with the mode that is asked for, and exclusively', (t) => {
  const path = join(temporaryFolder(t), 'file');
  refuses(t, 'ENOENT', path, () => openFile(path));
  const fd = openFile(path, { create: true, exclusive: true, mode: 0o600 });
  t.is(statSync(path).mode & 0o777, 0o600);
  t.is(flagsOf(fd) & O_CLOEXEC, O_CLOEXEC);
  refuses(t, 'EEXIST', path, () => openFile(path, { create: true, exclusive: true }));
  const readOnly = openFile(path, { readOnly: true });
  refuses(t, 'EBADF', `fd ${readOnly}`, () => pwriteFrom(readOnly, Uint8Array.of(1), 0));
  closeDescriptor(fd);
  closeDescriptor(readOnly);
});

test('openFile refuses wrong paths and modes', (t) => {
  refuses(t, 'EINVAL', 'path is a string', () => openFile(''));
  refuses(t, 'EINVAL', 'NUL', () => openFile('a\0b'));
  refuses(t, 'ENAMETOOLONG', '4096 bytes', () => openFile('x'.repeat(4096)));
  refuses(t, 'EINVAL', 'mode is 512', () => openFile('/tmp/x', { create: true, mode: 0o1000 }));
  refuses(t, 'EISDIR', '/', () => openFile('/'));
});

test('direct I/O demands alignment, where the file system has it', (t) => {
  const { path } = temporaryFile(t);
  let fd: number;
  try {
    fd = openFile(path, { direct: true });
  } catch (error) {
    t.true(error instanceof NativeError && error.code === 'EINVAL');
    t.log('this file system has no direct I/O');
    return;
  }
  t.not(flagsOf(fd) & 0o40000, 0);
  closeDescriptor(fd);
});

test('dup gives a close-on-exec descriptor of the same open file', (t) => {
  const { fd } = temporaryFile(t);
  const copy = dup(fd);
  t.not(copy, fd);
  t.is(flagsOf(copy) & O_CLOEXEC, O_CLOEXEC);
  pwriteFrom(copy, Uint8Array.of(1, 2), 0);
  t.is(fileStatus(fd).sizeBytes, 2);
  closeDescriptor(copy);
  refuses(t, 'EBADF', `fd ${copy}`, () => closeDescriptor(copy));
});

test('sizes and allocation', (t) => {
  const { fd } = temporaryFile(t);
  t.deepEqual(fileStatus(fd), { sizeBytes: 0, allocatedBytes: 0, blockDevice: false });
  truncateFile(fd, 100 * PAGE_BYTES);
  t.deepEqual(fileStatus(fd), {
    sizeBytes: 100 * PAGE_BYTES,
    allocatedBytes: 0,
    blockDevice: false,
  });
  fallocate(fd, 'allocate', 50 * PAGE_BYTES, 100 * PAGE_BYTES);
  t.is(fileStatus(fd).sizeBytes, 150 * PAGE_BYTES);
  t.true(fileStatus(fd).allocatedBytes >= 100 * PAGE_BYTES);
  fdatasync(fd);
  truncateFile(fd, 0);
  t.is(fileStatus(fd).sizeBytes, 0);
});

test('punch and zero make zeroes, and leave the size alone', (t) => {
  const { fd } = temporaryFile(t);
  const modes = ['punch', 'zero'] as const;
  for (const mode of modes) {
    pwriteFrom(fd, new Uint8Array(4 * PAGE_BYTES).fill(7), 0);
    try {
      fallocate(fd, mode, PAGE_BYTES, 10 * PAGE_BYTES);
    } catch (error) {
      t.true(error instanceof NativeError && error.code === 'EOPNOTSUPP');
      t.log(`this file system cannot ${mode}`);
      continue;
    }
    t.is(fileStatus(fd).sizeBytes, 4 * PAGE_BYTES);
    const back = new Uint8Array(4 * PAGE_BYTES);
    preadInto(fd, back, 0);
    t.true(back.subarray(0, PAGE_BYTES).every((byte) => byte === 7));
    t.true(back.subarray(PAGE_BYTES).every((byte) => byte === 0));
  }
});

test('descriptors that are not open are EBADF in every call', (t) => {
  const calls: ((fd: number) => unknown)[] = [
    closeDescriptor,
    dup,
    fdatasync,
    fileStatus,
    lockFile,
    (fd) => preadInto(fd, new Uint8Array(1), 0),
    (fd) => pwriteFrom(fd, new Uint8Array(1), 0),
    (fd) => fallocate(fd, 'allocate', 0, 1),
    (fd) => truncateFile(fd, 0),
  ];
  for (const call of calls) {
    for (const fd of [...NO_OFFSETS, 2 ** 31, closedDescriptor()]) {
      refuses(t, 'EBADF', String(fd), () => call(fd));
    }
  }
});

test('offsets and lengths that are none are EINVAL in every call', (t) => {
  const { fd } = temporaryFile(t);
  for (const number of NO_OFFSETS) {
    refuses(t, 'EINVAL', `sizeBytes is ${number}`, () => truncateFile(fd, number));
    refuses(t, 'EINVAL', `offsetBytes is ${number}`, () => fallocate(fd, 'punch', number, 1));
    refuses(t, 'EINVAL', `lengthBytes is ${number}`, () => fallocate(fd, 'zero', 0, number));
  }
  refuses(t, 'EINVAL', 'lengthBytes is 0', () => fallocate(fd, 'allocate', 0, 0));
  refuses(t, 'EINVAL', 'lengthBytes', () => fallocate(fd, 'allocate', 2 ** 53 - 1, 1));
});

test('a call that the kernel cannot do on this kind of file fails with its code', (t) => {
  const device = openFile('/dev/null');
  refuses(t, 'EINVAL', 'fd', () => fdatasync(device));
  refuses(t, 'ENODEV', 'fd', () => fallocate(device, 'allocate', 0, 1));
  refuses(t, 'EINVAL', 'fd', () => truncateFile(device, 0));
  closeDescriptor(device);
});

test('lockFile tells who holds the lock', async (t) => {
  const { path, fd } = temporaryFile(t);
  const child = startProcess(t, 'hold-lock', path);
  if (child.stdout === null || child.stdin === null) throw new Error('no pipe');
  const line = await nextEvent(child.stdout.setEncoding('utf8'), 'data');
  t.is(line, 'locked\n');
  t.deepEqual(lockFile(fd), { locked: false, pid: child.pid ?? 0 });
  child.stdin.end();
  t.is(await exitCode(child), 0);
  t.deepEqual(lockFile(fd), { locked: true });
  t.deepEqual(lockFile(fd), { locked: true }, 'its own lock is no obstacle');
  const other = openFile(path);
  t.deepEqual(lockFile(other), { locked: false, pid: process.pid });
  closeDescriptor(other);
});

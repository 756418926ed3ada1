// System calls on an address space: mmap, munmap, and the loads and stores of a program. Addresses
// are in bytes, from 0 to the size of the address space.

import { S_IF } from '../fs/layout.js';
import type { Machine } from '../machine.js';
import { loadUser, storeUser } from '../mm/access.js';
import { PAGE_INDEX_MAX } from '../mm/address-space.js';
import { mappingsIn, mmap, munmap, VM } from '../mm/vma.js';
import { Errno } from '../sched/errors.js';
import type { Op, Task } from '../sched/op.js';
import { canRead, canWrite, type OpenFile } from './file-table.js';
import type { Files } from './files.js';
import { isType } from './path.js';

/** What to map, as mmap(2) has it. */
export interface MmapRequest {
  readonly lengthBytes: number;
  /** Protection: PROT_READ, PROT_WRITE. */
  readonly read: boolean;
  readonly write: boolean;
  /** MAP_SHARED, else MAP_PRIVATE. */
  readonly shared: boolean;
  /** Null: anonymous memory. */
  readonly file: OpenFile | null;
  readonly offsetBytes: number;
  /** MAP_FIXED_NOREPLACE at this address, or null. */
  readonly address: number | null;
}

/**
 * @returns the address
 * @throws Errno EINVAL, EACCES, EOVERFLOW, ENOMEM; EOPNOTSUPP for a writable private mapping of a file
 */
export function* mapMemory(
  task: Task,
  m: Machine,
  files: Files,
  mm: number,
  request: MmapRequest,
): Op<number> {
  const { pageBytes } = m.geometry;
  const { file, offsetBytes, lengthBytes, address } = request;
  checkAligned('offset of the file', offsetBytes, pageBytes);
  if (address !== null) checkAligned('address', address, pageBytes);
  if (!Number.isSafeInteger(lengthBytes) || lengthBytes <= 0) {
    throw new Errno('EINVAL', `a mapping of ${String(lengthBytes)} bytes: it has at least one`);
  }
  const pages = Math.ceil(lengthBytes / pageBytes);
  const pgoff = offsetBytes / pageBytes;
  if (file !== null) checkMappable(m, file, request);
  if (pgoff + pages - 1 > PAGE_INDEX_MAX) {
    throw new Errno('EOVERFLOW', 'the mapping ends beyond the largest offset of a file');
  }
  const flags =
    (request.read ? VM.read : 0) |
    (request.write ? VM.write | VM.read : 0) |
    (request.shared ? VM.shared : 0);
  const inode = file === null ? -1 : file.inode;
  if (inode >= 0) files.ihold(inode);
  try {
    const vpn = address === null ? -1 : address / pageBytes;
    return (yield* mmap(task, m, mm, { pages, flags, inode, pgoff, vpn })) * pageBytes;
  } catch (error) {
    if (inode >= 0) yield* files.iput(task, inode);
    throw error;
  }
}

function checkMappable(m: Machine, file: OpenFile, request: MmapRequest): void {
  if (!isType(m, file.inode, S_IF.file)) {
    throw new Errno('EACCES', 'only regular files can be mapped');
  }
  if (!canRead(file)) throw new Errno('EACCES', 'a mapped file must be open for reading');
  if (!request.write) return;
  if (!request.shared) {
    throw new Errno(
      'EOPNOTSUPP',
      'private mappings of a file are read-only here (there is no copy-on-write): map it shared',
    );
  }
  if (!canWrite(file)) {
    throw new Errno('EACCES', 'a file mapped for writing must be open for reading and writing');
  }
}

/**
 * Unmaps all mappings in the range. Where nothing is mapped nothing happens, as in Linux.
 * @throws Errno EINVAL: not aligned, or the range cuts a mapping in two
 */
export function* unmapMemory(
  task: Task,
  m: Machine,
  files: Files,
  mm: number,
  address: number,
  lengthBytes: number,
): Op<void> {
  const { pageBytes } = m.geometry;
  checkAligned('address', address, pageBytes);
  if (!Number.isSafeInteger(lengthBytes) || lengthBytes <= 0) {
    throw new Errno('EINVAL', `munmap of ${String(lengthBytes)} bytes: it takes at least one`);
  }
  const vpn = address / pageBytes;
  const starts = yield* mappingsIn(task, m, mm, vpn, Math.ceil(lengthBytes / pageBytes));
  for (const start of starts) {
    const inode = yield* munmap(task, m, mm, start);
    if (inode >= 0) yield* files.iput(task, inode);
  }
}

/** A program's store of any length. @throws as storeUser(); what lies before the fault is stored */
export function* storeMemory(
  task: Task,
  m: Machine,
  mm: number,
  address: number,
  data: Uint8Array,
): Op<void> {
  const { pageBytes } = m.geometry;
  checkAddress(address);
  for (let done = 0; done < data.byteLength; ) {
    const within = (address + done) % pageBytes;
    const length = Math.min(pageBytes - within, data.byteLength - done);
    const vpn = Math.floor((address + done) / pageBytes);
    const whole = done === 0 && length === data.byteLength;
    const part = whole ? data : data.subarray(done, done + length);
    yield* storeUser(task, m, mm, vpn, within, part);
    done += length;
  }
}

/** A program's load of any length. @throws as loadUser() */
export function* loadMemory(
  task: Task,
  m: Machine,
  mm: number,
  address: number,
  target: Uint8Array,
): Op<void> {
  const { pageBytes } = m.geometry;
  checkAddress(address);
  for (let done = 0; done < target.byteLength; ) {
    const within = (address + done) % pageBytes;
    const length = Math.min(pageBytes - within, target.byteLength - done);
    const vpn = Math.floor((address + done) / pageBytes);
    yield* loadUser(task, m, mm, vpn, within, target.subarray(done, done + length));
    done += length;
  }
}

/** @throws Errno EINVAL */
export function checkAligned(what: string, bytes: number, pageBytes: number): void {
  if (Number.isSafeInteger(bytes) && bytes >= 0 && bytes % pageBytes === 0) return;
  throw new Errno('EINVAL', `${what} ${String(bytes)} is no multiple of ${String(pageBytes)}`);
}

/** @throws Errno EFAULT */
export function checkAddress(address: number): void {
  if (Number.isSafeInteger(address) && address >= 0) return;
  throw new Errno('EFAULT', `${String(address)} is no address`);
}

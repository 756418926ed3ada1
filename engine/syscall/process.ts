// A process: an address space, open files, registrations and leases, and the system calls on them.
// The face of the engine for stress, daemon and command line.
//
// What processes share (memory, files) is in shared memory; a Process itself belongs to the thread
// that made it, and runs one system call per task at a time.

import { directReadInto, directWriteFrom } from '../dma/direct-io.js';
import { TRANSFER_PAGES_MAX } from '../dma/limits.js';
import { type Registration, rdmaDeregister, rdmaRegister } from '../dma/rdma.js';
import { type SplicePipe, vmsplice } from '../dma/vmsplice.js';
import { processVmWritev } from '../dma/vmwritev.js';
import { S_IF } from '../fs/layout.js';
import type { Machine } from '../machine.js';
import { loadLong } from '../memory/long.js';
import { breakLease, endBreak, giveLease, hasLease, takeLease } from '../mm/lease.js';
import { createMm, freeMm, mappingsIn, munmap } from '../mm/vma.js';
import { Errno } from '../sched/errors.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { canRead, canWrite, checkOpenFlags, FileTable, O, type OpenFile } from './file-table.js';
import type { Files } from './files.js';
import { FILE_BYTES_MAX, IO_BYTES_MAX } from './limits.js';
import {
  checkAddress,
  checkAligned,
  loadMemory,
  type MmapRequest,
  mapMemory,
  storeMemory,
  unmapMemory,
} from './memory-calls.js';
import { isType, resolve, resolveParent } from './path.js';

/** What a process still had when it ended. */
export interface Leftovers {
  readonly files: number;
  readonly mappings: number;
  readonly registeredPages: number;
  readonly leases: number;
}

export class Process {
  /** Its address space. */
  readonly mm: number;
  private readonly table = new FileTable();
  private readonly registrations = new Set<Registration>();
  /** Layout leases: how often each inode's was taken. */
  private readonly leases = new Map<number, number>();
  private readonly scratch = new Int32Array(TRANSFER_PAGES_MAX);

  /** @throws Errno ENOMEM if all address spaces are in use */
  constructor(
    private readonly m: Machine,
    private readonly files: Files,
  ) {
    this.mm = createMm(m);
  }

  /**
   * Opens a file. @returns its descriptor
   * @throws Errno ENOENT, EEXIST, EISDIR, ENOTDIR, EMFILE, EINVAL, ENAMETOOLONG, ELOOP, ENOSPC, EIO
   */
  *open(task: Task, path: string, flags: number, mode = 0o644): Op<number> {
    checkOpenFlags(flags);
    const inode =
      (flags & O.creat) !== 0
        ? yield* this.openOrCreate(task, path, flags, mode)
        : yield* resolve(task, this.m, this.files, path);
    try {
      const writes = (flags & O.accmode) !== O.rdonly;
      if (writes && isType(this.m, inode, S_IF.dir)) {
        throw new Errno('EISDIR', `${path} is a directory: open it for reading`);
      }
      if ((flags & O.trunc) !== 0 && writes) yield* this.cut(task, inode, 0);
      return this.table.install(inode, flags, yield* this.files.sampleErrors(inode));
    } catch (error) {
      yield* this.files.iput(task, inode);
      throw error;
    }
  }

  private *openOrCreate(task: Task, path: string, flags: number, mode: number): Op<number> {
    const { files } = this;
    const { dir, name } = yield* resolveParent(task, this.m, files, path);
    try {
      for (;;) {
        try {
          return yield* files.create(task, dir, name, S_IF.file | (mode & 0o7777));
        } catch (error) {
          if (!isErrno(error, 'EEXIST') || (flags & O.excl) !== 0) throw error;
        }
        try {
          return yield* resolve(task, this.m, files, path);
        } catch (error) {
          if (!isErrno(error, 'ENOENT')) throw error; // unlinked in between: create it after all
        }
      }
    } finally {
      yield* files.iput(task, dir);
    }
  }

  /** @throws Errno EBADF */
  *close(task: Task, fd: number): Op<void> {
    yield* this.files.iput(task, this.table.remove(fd).inode);
  }

  /** Reads at the file position. @returns bytes read. @throws Errno EBADF, EISDIR, EIO */
  *read(task: Task, fd: number, target: Uint8Array): Op<number> {
    const file = this.readable(fd);
    const done = yield* this.files.readFile(task, file.inode, file.positionBytes, clip(target));
    file.positionBytes += done;
    return done;
  }

  /** Writes at the file position, or at the end with O_APPEND. @throws Errno EBADF, ENOSPC, EFBIG, EIO */
  *write(task: Task, fd: number, data: Uint8Array): Op<number> {
    const file = this.writable(fd);
    if ((file.flags & O.append) !== 0) {
      if (lab?.point()) yield STEP;
      file.positionBytes = loadLong(this.m.state.iSize, file.inode);
    }
    const done = yield* this.writeAt(task, file, file.positionBytes, data);
    file.positionBytes += done;
    return done;
  }

  /** @throws Errno EBADF, EINVAL (offset), EISDIR, EIO */
  *pread(task: Task, fd: number, target: Uint8Array, offsetBytes: number): Op<number> {
    const file = this.readable(fd);
    checkOffset(offsetBytes);
    return yield* this.files.readFile(task, file.inode, offsetBytes, clip(target));
  }

  /** @throws Errno EBADF, EINVAL (offset), ENOSPC, EFBIG, EIO */
  *pwrite(task: Task, fd: number, data: Uint8Array, offsetBytes: number): Op<number> {
    const file = this.writable(fd);
    checkOffset(offsetBytes);
    return yield* this.writeAt(task, file, offsetBytes, data);
  }

  private *writeAt(task: Task, file: OpenFile, offset: number, data: Uint8Array): Op<number> {
    if (data.byteLength === 0) return 0;
    if (offset >= FILE_BYTES_MAX) throw tooLarge(offset);
    const room = Math.min(data.byteLength, FILE_BYTES_MAX - offset, IO_BYTES_MAX);
    return yield* this.files.writeFile(task, file.inode, offset, data.subarray(0, room));
  }

  /** @throws Errno EBADF; EIO, ENOSPC: also of background writeback since this file was opened, once */
  *fsync(task: Task, fd: number): Op<void> {
    const file = this.table.get(fd);
    yield* this.files.fsync(task, file.inode, file);
  }

  /** @throws Errno EBADF, EINVAL (size, or not open for writing), EFBIG, ETIMEDOUT, EBUSY, EIO */
  *ftruncate(task: Task, fd: number, sizeBytes: number): Op<void> {
    const file = this.table.get(fd);
    if (!canWrite(file) || !isType(this.m, file.inode, S_IF.file)) {
      throw new Errno('EINVAL', 'only a file open for writing can be truncated');
    }
    checkOffset(sizeBytes);
    if (sizeBytes > FILE_BYTES_MAX) throw tooLarge(sizeBytes);
    yield* this.cut(task, file.inode, sizeBytes);
  }

  private *cut(task: Task, inode: number, sizeBytes: number): Op<void> {
    yield* this.breakLayout(task, inode);
    try {
      yield* this.files.truncate(task, inode, sizeBytes);
    } finally {
      yield* this.layoutBroken(inode);
    }
  }

  /** fallocate(FALLOC_FL_PUNCH_HOLE | KEEP_SIZE). @throws Errno EBADF, EINVAL, ETIMEDOUT, EBUSY, EIO */
  *punchHole(task: Task, fd: number, offsetBytes: number, lengthBytes: number): Op<void> {
    const file = this.writable(fd);
    checkOffset(offsetBytes);
    if (!Number.isSafeInteger(lengthBytes) || lengthBytes <= 0) {
      throw new Errno('EINVAL', `a hole of ${String(lengthBytes)} bytes: it has at least one`);
    }
    yield* this.breakLayout(task, file.inode);
    try {
      yield* this.files.punchHole(task, file.inode, offsetBytes, lengthBytes);
    } finally {
      yield* this.layoutBroken(file.inode);
    }
  }

  /** Before blocks go: nobody may rest a long-term pin on them any more. */
  private *breakLayout(task: Task, inode: number): Op<void> {
    if (this.m.profile.longtermFilePin !== 'lease') return;
    if (lab?.point()) yield STEP;
    if (hasLease(this.m, inode, this.mm)) {
      throw new Errno('EBUSY', 'the process has a layout lease of the file: give it back first');
    }
    yield* breakLease(task, this.m, inode);
  }

  private *layoutBroken(inode: number): Op<void> {
    if (this.m.profile.longtermFilePin === 'lease') yield* endBreak(this.m, inode);
  }

  /** @returns the address. @throws as mapMemory(); EBADF */
  *mmap(
    task: Task,
    request: Omit<MmapRequest, 'file'> & { readonly fd: number | null },
  ): Op<number> {
    const file = request.fd === null ? null : this.table.get(request.fd);
    return yield* mapMemory(task, this.m, this.files, this.mm, { ...request, file });
  }

  /** @throws Errno EINVAL */
  *munmap(task: Task, address: number, lengthBytes: number): Op<void> {
    yield* unmapMemory(task, this.m, this.files, this.mm, address, lengthBytes);
  }

  /** The program stores. @throws Errno EFAULT (SIGSEGV); EIO, ENOSPC, ENOMEM (SIGBUS) */
  *store(task: Task, address: number, data: Uint8Array): Op<void> {
    yield* storeMemory(task, this.m, this.mm, address, data);
  }

  /** The program loads. @throws as store() */
  *load(task: Task, address: number, target: Uint8Array): Op<void> {
    yield* loadMemory(task, this.m, this.mm, address, target);
  }

  /**
   * read(2) with O_DIRECT: whole pages of a file into memory. @returns bytes read
   * @throws Errno EBADF, EINVAL (alignment), EFAULT, EIO
   */
  *directRead(
    task: Task,
    fd: number,
    address: number,
    lengthBytes: number,
    offsetBytes: number,
  ): Op<number> {
    const { inode } = this.readable(fd);
    const { pageBytes } = this.m.geometry;
    const vpn = this.checkDirect(address, lengthBytes, offsetBytes);
    if (lab?.point()) yield STEP;
    const size = loadLong(this.m.state.iSize, inode);
    const most = Math.max(0, Math.ceil((size - offsetBytes) / pageBytes));
    const pages = Math.min(lengthBytes / pageBytes, most);
    const { files, m, mm, scratch } = this;
    const done = yield* directReadInto(
      task,
      m,
      mm,
      vpn,
      pages,
      (page, pfns, count) =>
        files.directRead(task, inode, offsetBytes + page * pageBytes, pfns, count),
      scratch,
    );
    return Math.min(done * pageBytes, Math.max(0, size - offsetBytes));
  }

  /** write(2) with O_DIRECT. @returns bytes written. @throws as directRead(); ENOSPC, EFBIG */
  *directWrite(
    task: Task,
    fd: number,
    address: number,
    lengthBytes: number,
    offsetBytes: number,
  ): Op<number> {
    const { inode } = this.writable(fd);
    const { pageBytes } = this.m.geometry;
    const vpn = this.checkDirect(address, lengthBytes, offsetBytes);
    if (offsetBytes + lengthBytes > FILE_BYTES_MAX) throw tooLarge(offsetBytes + lengthBytes);
    const { files, m, mm, scratch } = this;
    const done = yield* directWriteFrom(
      task,
      m,
      mm,
      vpn,
      lengthBytes / pageBytes,
      (page, pfns, count) =>
        files.directWrite(task, inode, offsetBytes + page * pageBytes, pfns, count),
      scratch,
    );
    return done * pageBytes;
  }

  private checkDirect(address: number, lengthBytes: number, offsetBytes: number): number {
    const { pageBytes } = this.m.geometry;
    checkAligned('address', address, pageBytes);
    checkAligned('length', lengthBytes, pageBytes);
    checkAligned('offset', offsetBytes, pageBytes);
    return address / pageBytes;
  }

  /** process_vm_writev into address space `mm`. @returns bytes written. @throws Errno EFAULT, EINVAL */
  *processVmWritev(task: Task, mm: number, address: number, data: Uint8Array): Op<number> {
    checkAddress(address);
    if (!Number.isSafeInteger(mm) || mm < 0 || mm >= this.m.geometry.mms) {
      throw new Errno('EINVAL', `${String(mm)} is no address space`);
    }
    return yield* processVmWritev(task, this.m, mm, address, data, this.scratch);
  }

  /** vmsplice of whole pages into a pipe. @returns pages spliced. @throws Errno EINVAL, EFAULT, EAGAIN */
  *vmsplice(task: Task, address: number, pages: number, pipe: SplicePipe): Op<number> {
    checkAligned('address', address, this.m.geometry.pageBytes);
    const vpn = address / this.m.geometry.pageBytes;
    return yield* vmsplice(task, this.m, this.mm, vpn, pages, pipe);
  }

  /**
   * Registers whole pages with an RDMA device (or as fixed buffers) until deregister().
   * @throws Errno EINVAL, EFAULT (also: refused by the rules in force), ENOMEM
   */
  *register(task: Task, address: number, pages: number, writable = true): Op<Registration> {
    checkAligned('address', address, this.m.geometry.pageBytes);
    const vpn = address / this.m.geometry.pageBytes;
    const registration = yield* rdmaRegister(task, this.m, this.mm, vpn, pages, writable);
    this.registrations.add(registration);
    return registration;
  }

  /** @throws Errno EINVAL if it has ended before, or is another process's */
  *deregister(task: Task, registration: Registration): Op<void> {
    if (!this.registrations.delete(registration)) {
      throw new Errno('EINVAL', 'the process has no such registration');
    }
    yield* rdmaDeregister(task, this.m, registration);
  }

  /** A layout lease: the leave to register pages of the file. @throws Errno EBADF, EAGAIN */
  *takeLayoutLease(fd: number): Op<void> {
    const { inode } = this.writable(fd);
    yield* takeLease(this.m, inode, this.mm);
    this.leases.set(inode, (this.leases.get(inode) ?? 0) + 1);
  }

  /** Gives it back once, after the registrations that rest on it. @throws Errno EBADF, EINVAL */
  *giveLayoutLease(fd: number): Op<void> {
    const { inode } = this.table.get(fd);
    yield* giveLease(this.m, inode, this.mm);
    const left = (this.leases.get(inode) ?? 1) - 1;
    if (left > 0) this.leases.set(inode, left);
    else this.leases.delete(inode);
  }

  /** The inode slot of an open file, e.g. for isLeaseBroken(). @throws Errno EBADF */
  inodeOf(fd: number): number {
    return this.table.get(fd).inode;
  }

  /** Ends the process: all that it still has is given back. @returns what that was */
  *exit(task: Task): Op<Leftovers> {
    const { m, mm, files } = this;
    const registeredPages = [...this.registrations].reduce((sum, { pages }) => sum + pages, 0);
    for (const registration of this.registrations) yield* this.deregister(task, registration);
    let leases = 0;
    for (const [inode, times] of this.leases) {
      for (let i = 0; i < times; i++) yield* giveLease(m, inode, mm);
      leases += times;
    }
    this.leases.clear();
    const starts = yield* mappingsIn(task, m, mm, 0, m.geometry.mmPages);
    for (const start of starts) {
      const inode = yield* munmap(task, m, mm, start);
      if (inode >= 0) yield* files.iput(task, inode);
    }
    let open = 0;
    for (let file = this.table.removeAny(); file !== null; file = this.table.removeAny()) {
      yield* files.iput(task, file.inode);
      open++;
    }
    yield* freeMm(m, mm);
    return { files: open, mappings: starts.length, registeredPages, leases };
  }

  private readable(fd: number): OpenFile {
    const file = this.table.get(fd);
    if (!canRead(file)) throw new Errno('EBADF', `file ${String(fd)} is open for writing only`);
    if (isType(this.m, file.inode, S_IF.dir)) throw new Errno('EISDIR', 'a directory has no data');
    return file;
  }

  private writable(fd: number): OpenFile {
    const file = this.table.get(fd);
    if (!canWrite(file)) throw new Errno('EBADF', `file ${String(fd)} is open for reading only`);
    return file;
  }
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Errno && error.code === code;
}

function clip(target: Uint8Array): Uint8Array {
  return target.byteLength > IO_BYTES_MAX ? target.subarray(0, IO_BYTES_MAX) : target;
}

function checkOffset(bytes: number): void {
  if (Number.isSafeInteger(bytes) && bytes >= 0) return;
  throw new Errno('EINVAL', `${String(bytes)} is no offset or size of a file`);
}

function tooLarge(bytes: number): Errno {
  return new Errno('EFBIG', `${String(bytes)} bytes: a file has at most ${String(FILE_BYTES_MAX)}`);
}

// The questions of questions.c, asked of the emulated machine: the same small programs on a volume,
// answered in the same words.

import { closePipe, readPipe, SplicePipe } from '../../engine/dma/vmsplice.js';
import { VolumeFiles } from '../../engine/fs/files.js';
import { Errno } from '../../engine/sched/errors.js';
import type { Op } from '../../engine/sched/op.js';
import { O } from '../../engine/syscall/file-table.js';
import { Process } from '../../engine/syscall/process.js';
import { newDisk, Rig } from '../fs/rig.js';

const PAGE = 4096;
const FILE = '/file';

/** One process on a machine of its own, with what the questions are made of. */
class Asked {
  readonly rig: Rig;
  readonly p: Process;

  constructor(profile: string, diskBytes = 8 * 2 ** 20) {
    this.rig = new Rig(newDisk(diskBytes), { profile });
    this.p = new Process(this.rig.m, new VolumeFiles(this.rig.v));
  }

  run<T>(op: Op<T>): T {
    return this.rig.run(op);
  }

  /** `ok`, or the errno. */
  word(op: Op<unknown>): string {
    try {
      this.run(op);
      return 'ok';
    } catch (error) {
      if (error instanceof Errno) return error.code;
      throw error;
    }
  }

  /** `ok`, or the signal that a load or a store ends in. */
  touched(op: Op<unknown>): string {
    const word = this.word(op);
    if (word === 'EFAULT') return 'SIGSEGV';
    return word === 'EIO' || word === 'ENOSPC' || word === 'ENOMEM' ? 'SIGBUS' : word;
  }

  newFile(bytes: number, path = FILE): number {
    const fd = this.run(this.p.open(this.rig.task, path, O.rdwr | O.creat | O.trunc));
    this.run(this.p.ftruncate(this.rig.task, fd, bytes));
    return fd;
  }

  direct(): number {
    return this.run(this.p.open(this.rig.task, FILE, O.rdwr | O.direct));
  }

  map(fd: number | null, pages: number, write = true): number {
    const request = { read: true, write, shared: fd !== null, offsetBytes: 0, address: null };
    const lengthBytes = pages * PAGE;
    return this.run(this.p.mmap(this.rig.task, { ...request, fd, lengthBytes }));
  }

  store(address: number, character: string): Op<void> {
    return this.p.store(this.rig.task, address, Buffer.from(character));
  }

  load(address: number): Op<void> {
    return this.p.load(this.rig.task, address, new Uint8Array(1));
  }

  fill(fd: number, page: number, character: string): void {
    const data = new Uint8Array(PAGE).fill(character.charCodeAt(0));
    this.run(this.p.pwrite(this.rig.task, fd, data, page * PAGE));
  }

  /** One byte of the file; '.' for 0. */
  byte(fd: number, offset: number): string {
    const data = new Uint8Array(1);
    if (this.run(this.p.pread(this.rig.task, fd, data, offset)) !== 1) return '-';
    return shown(data[0]);
  }

  first(fd: number, page: number): string {
    return this.byte(fd, page * PAGE);
  }

  fsync(fd: number): void {
    this.run(this.p.fsync(this.rig.task, fd));
  }

  truncate(fd: number, bytes: number): void {
    this.run(this.p.ftruncate(this.rig.task, fd, bytes));
  }
}

function shown(value: number): string {
  return value === 0 ? '.' : String.fromCharCode(value);
}

/** A question, answered under a profile. */
type Question = (profile: string) => string;

export const QUESTIONS: ReadonlyMap<string, Question> = new Map<string, Question>([
  [
    'longterm-pin-of-file',
    (profile) => {
      const a = new Asked(profile);
      const fd = a.newFile(PAGE);
      a.fill(fd, 0, 'A');
      return a.word(a.p.register(a.rig.task, a.map(fd, 1), 1));
    },
  ],
  [
    'longterm-pin-of-anonymous',
    (profile) => {
      const a = new Asked(profile);
      return a.word(a.p.register(a.rig.task, a.map(null, 1), 1));
    },
  ],
  [
    'store-past-end',
    (profile) => {
      const a = new Asked(profile);
      const at = a.map(a.newFile(PAGE), 2);
      return `${a.touched(a.store(at + PAGE, 'A'))} ${a.touched(a.load(at + PAGE))}`;
    },
  ],
  ['store-into-hole-on-full', storeIntoHoleOnFull],
  ['direct-read-into-own-mapping', directReadIntoOwnMapping],
  ['direct-write-from-own-mapping', directWriteFromOwnMapping],
  [
    'direct-read-into-read-only',
    (profile) => {
      const a = new Asked(profile);
      const fd = a.newFile(2 * PAGE);
      a.fill(fd, 0, 'A');
      a.fill(fd, 1, 'B');
      return a.word(a.p.directRead(a.rig.task, a.direct(), a.map(fd, 1, false), PAGE, PAGE));
    },
  ],
  [
    'process-vm-writev-to-file',
    (profile) => {
      const a = new Asked(profile);
      const fd = a.newFile(PAGE);
      const at = a.map(fd, 1);
      a.fill(fd, 0, 'A');
      a.fsync(fd);
      const result = a.word(a.p.processVmWritev(a.rig.task, a.p.mm, at, Buffer.from('W')));
      a.fsync(fd);
      const target = a.map(null, 1);
      a.run(a.p.directRead(a.rig.task, a.direct(), target, PAGE, 0));
      const byte = new Uint8Array(1);
      a.run(a.p.load(a.rig.task, target, byte));
      return `${result} ${shown(byte[0])}`;
    },
  ],
  [
    'truncate-under-mapping',
    (profile) => {
      const a = new Asked(profile);
      const fd = a.newFile(PAGE);
      const at = a.map(fd, 1);
      a.run(a.store(at, 'A'));
      a.truncate(fd, 0);
      const gone = a.touched(a.load(at));
      a.truncate(fd, PAGE);
      return `${gone} ${a.first(fd, 0)}`;
    },
  ],
  ['spliced-page-outlives-truncate', splicedPageOutlivesTruncate],
  [
    'tail-past-end-is-zeroed',
    (profile) => {
      const a = new Asked(profile);
      const fd = a.newFile(100);
      const at = a.map(fd, 1);
      a.run(a.store(at, 'A'));
      a.run(a.store(at + 200, 'X'));
      a.fsync(fd);
      a.truncate(fd, PAGE);
      return `${a.first(fd, 0)}${a.byte(fd, 200)}`;
    },
  ],
  [
    'punch-under-mapping',
    (profile) => {
      const a = new Asked(profile);
      const fd = a.newFile(2 * PAGE);
      const at = a.map(fd, 2);
      a.run(a.store(at, 'A'));
      a.run(a.store(at + PAGE, 'B'));
      a.run(a.p.punchHole(a.rig.task, fd, 0, PAGE));
      return `${a.touched(a.load(at))} ${a.first(fd, 0)}${a.first(fd, 1)}`;
    },
  ],
]);

function storeIntoHoleOnFull(profile: string): string {
  const a = new Asked(profile, 2 ** 21);
  const at = a.map(a.newFile(2 * PAGE), 2);
  const filler = a.newFile(0, '/filler');
  const data = new Uint8Array(PAGE).fill(0x46);
  while (a.word(a.p.write(a.rig.task, filler, data)) === 'ok');
  const full = a.touched(a.store(at, 'A'));
  a.truncate(filler, 0);
  a.fsync(filler);
  return `${full} ${a.touched(a.store(at, 'A'))}`;
}

function directReadIntoOwnMapping(profile: string): string {
  const a = new Asked(profile);
  const fd = a.newFile(2 * PAGE);
  const raw = a.direct();
  const at = a.map(fd, 2);
  a.fill(fd, 0, 'A');
  a.fill(fd, 1, 'B');
  const other = a.word(a.p.directRead(a.rig.task, raw, at, PAGE, PAGE));
  a.fsync(fd);
  const same = a.word(a.p.directRead(a.rig.task, raw, at + PAGE, PAGE, PAGE));
  a.fsync(fd);
  return `${other} ${same} ${a.first(fd, 0)}${a.first(fd, 1)}`;
}

function directWriteFromOwnMapping(profile: string): string {
  const a = new Asked(profile);
  const fd = a.newFile(2 * PAGE);
  const raw = a.direct();
  const at = a.map(fd, 2);
  a.fill(fd, 0, 'A');
  a.fill(fd, 1, 'B');
  const other = a.word(a.p.directWrite(a.rig.task, raw, at + PAGE, PAGE, 0));
  a.run(a.store(at + PAGE, 'C'));
  const same = a.word(a.p.directWrite(a.rig.task, raw, at + PAGE, PAGE, PAGE));
  return `${other} ${same} ${a.first(fd, 0)}${a.first(fd, 1)}`;
}

function splicedPageOutlivesTruncate(profile: string): string {
  const a = new Asked(profile);
  const fd = a.newFile(PAGE);
  const at = a.map(fd, 1);
  a.run(a.store(at, 'A'));
  const pipe = new SplicePipe(1);
  const spliced = a.word(a.p.vmsplice(a.rig.task, at, 1, pipe));
  a.truncate(fd, 0);
  const data = new Uint8Array(PAGE);
  a.run(readPipe(a.rig.task, a.rig.m, pipe, data));
  a.run(closePipe(a.rig.task, a.rig.m, pipe));
  return `${spliced} ${shown(data[0])}`;
}

// What the threads of the multi-threaded mm tests share, and what each of them does.

import { deviceStore } from '../../engine/dma/device.js';
import type { Machine, MachineShared } from '../../engine/machine.js';
import { loadUser, storeUser } from '../../engine/mm/access.js';
import { PIN_BIAS } from '../../engine/mm/folio.js';
import { FOLL, pinUserPagesFast, unpinUserPages } from '../../engine/mm/gup.js';
import { shrink } from '../../engine/mm/reclaim.js';
import { mmap, munmap, VM } from '../../engine/mm/vma.js';
import { BlockingDriver } from '../../engine/sched/blocking.js';
import { Errno } from '../../engine/sched/errors.js';
import { Task } from '../../engine/sched/op.js';
import type { MemoryStore } from './memory-fs.js';
import { PAGE, Rig, truncateFile } from './mm-machine.js';

/** File 0 is never cut; file 1 is, all the time. */
export const STABLE = 0;
export const CUT = 1;
export const STABLE_PAGES = 300;
export const CUT_PAGES = 64;

export type Role = 'storer' | 'device' | 'cutter' | 'mapper';

export interface RoleData {
  readonly role: Role;
  /** Number of the thread: its cell in each page, and its CPU. */
  readonly cell: number;
  readonly rounds: number;
  readonly seed: number;
  readonly machine: MachineShared;
  readonly store: MemoryStore;
  readonly bells: Int32Array;
  /** Per page of the stable file, the last value this thread stored in its cell. Shared. */
  readonly last: Int32Array;
}

class Actor {
  readonly r: Rig;
  readonly task: Task;
  private state: number;

  constructor(
    readonly m: Machine,
    readonly data: RoleData,
  ) {
    const id = Atomics.add(m.state.global, 15, 1) + 1;
    this.task = new Task(id, `${data.role} ${String(data.cell)}`, data.cell);
    this.r = new Rig(m, data.store, this.task);
    this.state = data.seed | 1;
  }

  /** A number below `limit` (xorshift32). */
  random(limit: number): number {
    this.state ^= this.state << 13;
    this.state ^= this.state >>> 17;
    this.state ^= this.state << 5;
    return (this.state >>> 0) % limit;
  }
}

/** Runs one role to its end. @throws if it sees something wrong */
export function runRole(m: Machine, data: RoleData): void {
  const actor = new Actor(m, data);
  switch (data.role) {
    case 'storer':
      runStorer(actor);
      break;
    case 'device':
      runDevice(actor);
      break;
    case 'cutter':
      runCutter(actor);
      break;
    case 'mapper':
      runMapper(actor);
      break;
  }
}

/** Stores to its cell of random pages through a mapping, and finds there what it stored last. */
function runStorer(a: Actor): void {
  const { r, m, data, task } = a;
  const vpn = r.map(STABLE, STABLE_PAGES);
  const word = new Int32Array(1);
  const bytes = new Uint8Array(word.buffer);
  const offset = data.cell * 4;
  for (let round = 1; round <= data.rounds; round++) {
    const page = a.random(STABLE_PAGES);
    r.run(loadUser(task, m, r.mm, vpn + page, offset, bytes));
    expect(word[0], data.last[page], `page ${String(page)}, cell ${String(data.cell)}`);
    word[0] = round;
    r.run(storeUser(task, m, r.mm, vpn + page, offset, bytes));
    data.last[page] = round;
    if (a.random(200) === 0) r.fsync(STABLE);
  }
  r.unmap(vpn);
}

/** Pins pages, stores to its cell behind everybody's back, and unpins them dirty. */
function runDevice(a: Actor): void {
  const { r, m, data, task } = a;
  const vpn = r.map(STABLE, STABLE_PAGES);
  const word = new Int32Array(1);
  const bytes = new Uint8Array(word.buffer);
  const pfns = new Int32Array(8);
  for (let round = 1; round <= data.rounds; round++) {
    const page = a.random(STABLE_PAGES - 8);
    const flags = FOLL.pin | FOLL.write;
    const got = r.run(pinUserPagesFast(task, m, r.mm, vpn + page, 8, flags, pfns));
    for (let i = 0; i < got; i++) {
      word[0] = round;
      r.run(deviceStore(m, pfns, got, i * PAGE + data.cell * 4, bytes));
      data.last[page + i] = round;
    }
    if (a.random(50) === 0) r.run(shrink(task, m, 16));
    r.run(unpinUserPages(task, m, pfns, got, PIN_BIAS, true));
  }
  r.unmap(vpn);
}

/** Cuts the other file and lets it grow again, while others store to it and hold its pages. */
function runCutter(a: Actor): void {
  const { r, m, data, task } = a;
  for (let round = 0; round < data.rounds; round++) {
    r.run(truncateFile(task, m, CUT, a.random(CUT_PAGES)));
    r.run(truncateFile(task, m, CUT, CUT_PAGES));
    if (a.random(8) === 0) r.fsync(CUT);
  }
}

/** Maps, stores to, pins and unmaps pages of the file that is being cut. */
function runMapper(a: Actor): void {
  const { r, m, data, task } = a;
  const driver = new BlockingDriver(m.state.global);
  const bytes = new Uint8Array(4).fill(data.cell + 1);
  const pfns = new Int32Array(4);
  for (let round = 0; round < data.rounds; round++) {
    const flags = VM.read | VM.write | VM.shared;
    const request = { pages: CUT_PAGES, flags, inode: CUT, pgoff: 0, vpn: -1 };
    const vpn = driver.run(task, mmap(task, m, r.mm, request));
    for (let i = 0; i < 16; i++) {
      const page = vpn + a.random(CUT_PAGES - 4);
      try {
        r.run(storeUser(task, m, r.mm, page, data.cell * 4, bytes));
        const flagsOfPin = FOLL.pin | FOLL.write;
        const got = r.run(pinUserPagesFast(task, m, r.mm, page, 4, flagsOfPin, pfns));
        r.run(deviceStore(m, pfns, got, data.cell * 4, bytes));
        r.run(unpinUserPages(task, m, pfns, got, PIN_BIAS, true));
      } catch (error) {
        // A store past the end of the file: SIGBUS.
        if (!(error instanceof Errno && error.code === 'EIO')) throw error;
      }
    }
    driver.run(task, munmap(task, m, r.mm, vpn));
  }
}

function expect(actual: number, expected: number, where: string): void {
  if (actual !== expected) {
    throw new Error(`${where}: ${String(actual)} instead of ${String(expected)}`);
  }
}

// A machine as one thread sees it: the shared state, the page frames and the rules in force.
//
// The thread that creates a machine passes its `shared` part to workers, which attach to it.

import {
  decodeFinding,
  encodeFinding,
  FINDINGS_MAX,
  type Finding,
  findingRecord,
} from './finding.js';
import { Frames } from './memory/frames.js';
import { attachState, type Geometry, GLOBAL, type State, stateBytes } from './memory/layout.js';
import type { FileSystem } from './mm/address-space.js';
import type { MmuNotifier } from './mm/mmu-notifier.js';
import type { Profile } from './profile/profile.js';
import { InvariantError, type KernelBug } from './sched/errors.js';
import type { Locks } from './sched/lock.js';
import { type LockClassName, Lockdep, lockClass } from './sched/lockdep.js';
import { Task } from './sched/op.js';

/** What threads share to run one machine; structured-clone passes it to a worker. */
export interface MachineShared {
  readonly geometry: Geometry;
  readonly profile: Profile;
  readonly state: SharedArrayBuffer;
  /** Memory of the page frames; empty if they are in the state buffer. */
  readonly frames: readonly SharedArrayBuffer[];
  /** Lockdep on (always, in tests). */
  readonly lockdep: boolean;
}

export class Machine {
  readonly geometry: Geometry;
  readonly profile: Profile;
  readonly state: State;
  readonly frames: Frames;
  readonly lockdep: Lockdep | null;

  readonly zoneLock: Locks;
  readonly nodeLock: Locks;
  readonly vmaLock: Locks;
  readonly ptl: Locks;
  readonly mmapLock: Locks;
  readonly iRwsem: Locks;
  readonly invalidateLock: Locks;
  readonly iMmapRwsem: Locks;
  readonly iPages: Locks;
  readonly iDataSem: Locks;
  readonly iLock: Locks;
  readonly folioClass: number = lockClass('folio');

  private waitsForPins: boolean | null = null;
  /** A device that follows the process's page tables instead of pinning (dma/odp.ts), if there is one. */
  notifier: MmuNotifier | null = null;

  private mounted: FileSystem | null = null;

  /** Where findings go on this thread; the default keeps them in shared state for whoever asks. */
  onFinding: (finding: Finding) => void = (finding) => {
    this.keepFinding(finding);
  };

  constructor(readonly shared: MachineShared) {
    this.geometry = shared.geometry;
    this.profile = shared.profile;
    const s = attachState(shared.geometry, shared.state);
    this.state = s;
    this.frames = new Frames(
      shared.geometry.pageBytes,
      shared.geometry.framesInState ? [s.frames] : shared.frames.map((b) => new Uint8Array(b)),
    );
    this.lockdep = shared.lockdep
      ? new Lockdep(s.lockdep, (task, cycle) => {
          this.reportCycle(task, cycle);
        })
      : null;
    this.zoneLock = this.globalLock('zone', GLOBAL.zoneLock);
    this.nodeLock = this.globalLock('node_pool', GLOBAL.nodeLock);
    this.vmaLock = this.globalLock('wb_list_lock', GLOBAL.vmaLock);
    this.ptl = this.locks('ptl', s.ptl);
    this.mmapLock = this.locks('mmap_lock', s.mmapLock);
    this.iRwsem = this.locks('i_rwsem', s.iRwsem);
    this.invalidateLock = this.locks('invalidate_lock', s.invalidateLock);
    this.iMmapRwsem = this.locks('i_mmap_rwsem', s.iMmapRwsem);
    this.iPages = this.locks('i_pages', s.iPagesLock);
    this.iDataSem = this.locks('i_data_sem', s.iDataSem);
    this.iLock = this.locks('i_lock', s.iLock);
  }

  /** As `fs`, or null if none is mounted. */
  get mountedFs(): FileSystem | null {
    return this.mounted;
  }

  /** The file system that the inodes of this machine belong to, on this thread. */
  get fs(): FileSystem {
    if (this.mounted === null)
      throw new InvariantError('no file system is mounted on this machine');
    return this.mounted;
  }

  set fs(fs: FileSystem) {
    this.mounted = fs;
  }

  /** Somebody may sleep until pins are gone, so giving a pin back has to wake. */
  get pinWaits(): boolean {
    // Asked for once, by the first who gives a pin back: the lab shares what nobody has asked for.
    this.waitsForPins ??= this.askWhetherPinsWait();
    return this.waitsForPins;
  }

  /** A lock array of a class of this machine. */
  locks(name: LockClassName, words: Int32Array): Locks {
    return { words, cls: lockClass(name), lockdep: this.lockdep };
  }

  /** A task of its own id. Tasks of one machine may be made on any thread. */
  newTask(name: string, cpu = 0): Task {
    return new Task(Atomics.add(this.state.global, GLOBAL.nextTask, 1) + 1, name, cpu);
  }

  /** Records a finding of the rules in force. */
  report(finding: Finding): void {
    this.onFinding(finding);
  }

  /** Panics the machine: every waiter gets EIO. */
  panic(): void {
    Atomics.store(this.state.global, GLOBAL.panic, 1);
  }

  get panicked(): boolean {
    return Atomics.load(this.state.global, GLOBAL.panic) !== 0;
  }

  /** Findings recorded so far: all of them counted, the last ones kept. */
  findings(): { readonly count: number; readonly kept: Finding[] } {
    const { next, found } = this.findingsSince(0);
    return { count: next, kept: found };
  }

  /** The findings from number `from` on that are still kept, and the number of the next one. */
  findingsSince(from: number): { readonly next: number; readonly found: Finding[] } {
    const { finding, global } = this.state;
    const next = Atomics.load(global, GLOBAL.findings);
    const found: Finding[] = [];
    for (let i = Math.max(from, next - FINDINGS_MAX); i < next && finding.length > 0; i++) {
      const record = findingRecord(finding, i);
      // Otherwise it is still being written by another thread, or was overwritten just now.
      if (Atomics.load(record.number, 0) !== i + 1) continue;
      const one = decodeFinding(record.text.slice());
      if (Atomics.load(record.number, 0) === i + 1 && one !== null) found.push(one);
    }
    return { next, found };
  }

  /** What a BUG of the emulated kernel does: it is a finding, and the machine panics. */
  oops(task: Task, bug: KernelBug): void {
    this.report({ kind: 'bug', hazard: bug.hazard, task: task.name, message: bug.message });
    this.panic();
  }

  private keepFinding(finding: Finding): void {
    const i = Atomics.add(this.state.global, GLOBAL.findings, 1);
    if (this.state.finding.length === 0) return;
    const record = findingRecord(this.state.finding, i);
    Atomics.store(record.number, 0, 0);
    record.text.fill(0);
    record.text.set(encodeFinding(finding, record.text.length));
    Atomics.store(record.number, 0, i + 1);
  }

  /** A panicked machine's locks are given up wherever EIO met their holders: as debug_locks_off(). */
  private reportCycle(task: Task, cycle: LockClassName[]): void {
    if (this.panicked) return;
    this.report({
      kind: 'lockdep',
      hazard: null,
      task: task.name,
      message: `possible circular locking dependency: ${cycle.join(' -> ')} -> ${cycle[0]}`,
    });
  }

  private askWhetherPinsWait(): boolean {
    const { pinnedSyncNone, pinnedSyncAll, pinnedPageReplacement } = this.profile;
    return [pinnedSyncNone, pinnedSyncAll, pinnedPageReplacement].includes('wait');
  }

  private globalLock(name: LockClassName, index: number): Locks {
    return this.locks(name, this.state.global.subarray(index, index + 1));
  }
}

/** A new machine in memory that nothing else uses yet. `frames` as in MachineShared. */
export function createMachine(
  geometry: Geometry,
  profile: Profile,
  frames: readonly SharedArrayBuffer[],
  lockdep: boolean,
): Machine {
  const have = frames.reduce((sum, buffer) => sum + buffer.byteLength, 0);
  if (!geometry.framesInState && have < geometry.pages * geometry.pageBytes) {
    throw new InvariantError(
      `${String(have)} B of memory for ${String(geometry.pages)} page frames`,
    );
  }
  const state = new SharedArrayBuffer(stateBytes(geometry));
  return new Machine({ geometry, profile, state, frames, lockdep });
}

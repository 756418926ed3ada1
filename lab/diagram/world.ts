// The machine's state as it was after each event of a recording: pages, and who holds which lock.

import type { Geometry, State } from '../../engine/memory/layout.js';
import { flagNames, splitRefcount, WordNames } from '../../engine/memory/word-names.js';
import { PG } from '../../engine/mm/folio.js';
import { PTE } from '../../engine/mm/pte.js';
import { LOCK_BITS } from '../../engine/sched/lock.js';
import type { Program } from '../program.js';
import type { Event, Recording } from './record.js';

/** A page of memory, as it is told beside the diagram. */
export interface PageState {
  readonly pfn: number;
  /** Inode slot and page index there; null if no file owns it. */
  readonly file: { readonly inode: number; readonly index: number } | null;
  readonly free: boolean;
  /** Flags by Linux's names: `dirty`, `writeback`, `locked`, `private`, ... */
  readonly flags: readonly string[];
  /** Pins, as far as they can be told from other references. */
  readonly pins: number;
  /** References besides. */
  readonly gets: number;
  /** How page tables map it. */
  readonly mapped: 'no' | 'ro' | 'rw';
}

/** A lock that somebody waited for in this run. */
export interface LockState {
  readonly lock: string;
  /** Names of the actors that hold it. */
  readonly holders: readonly string[];
}

export type LockKind = 'spinlock' | 'mutex' | 'rwsem';

export class World {
  readonly names: WordNames;
  private readonly words: Int32Array;
  private readonly holders = new Map<number, Set<number>>();
  private readonly lockKinds: ReadonlyMap<number, LockKind>;

  constructor(
    private readonly program: Program,
    private readonly recording: Recording,
  ) {
    this.words = new Int32Array(recording.initial);
    this.lockKinds = lockKindsOf(recording);
    this.names = new WordNames(program.geometry, {
      nameOfExtra: recording.nameOfExtra,
      valueOfExtra: recording.valueOfExtra,
      nameOfTask: (id) => this.actorName(recording.taskIds.indexOf(id)),
    });
  }

  get geometry(): Geometry {
    return this.program.geometry;
  }

  actorName(actor: number): string {
    return this.program.actors.at(actor)?.name ?? 'somebody';
  }

  /** The bits of i_state that a change has set and cleared: `+I_FREEING -I_WILL_FREE`; empty if none has a name. */
  stateChange(before: number, after: number): string {
    const changed = Object.entries(this.recording.stateBits).filter(
      ([, bit]) => ((before ^ after) & bit) !== 0,
    );
    return changed.map(([name, bit]) => `${(after & bit) !== 0 ? '+' : '-'}${name}`).join(' ');
  }

  /** Takes the next event into account. */
  apply(event: Event): void {
    if (event.kind !== 'access' || event.before === event.after) return;
    this.words[event.address] = event.after;
    const taken = this.lockChange(event.address, event.before, event.after);
    if (taken === null) return;
    const holders = this.holders.get(event.address) ?? new Set();
    this.holders.set(event.address, holders);
    if (taken) holders.add(event.actor);
    else holders.delete(event.actor);
  }

  /** Actors that hold the lock in that word; those that nobody of the run took are not known. */
  holdersOf(address: number): string[] {
    return [...(this.holders.get(address) ?? [])].map((actor) => this.actorName(actor));
  }

  value(field: keyof State, index: number): number {
    return this.words[this.names.address(field, index)];
  }

  page(pfn: number): PageState {
    const refcount = this.value('refcount', pfn);
    const inode = this.value('mapping', pfn) - 1;
    const free = refcount <= 0;
    return {
      pfn,
      file: inode < 0 || free ? null : { inode, index: this.value('index', pfn) },
      free,
      flags: free ? [] : flagNames(this.value('flags', pfn)),
      ...splitRefcount(refcount),
      mapped: this.mappedAs(pfn),
    };
  }

  hasFlag(pfn: number, flag: keyof typeof PG): boolean {
    return (this.value('flags', pfn) & PG[flag]) !== 0;
  }

  private mappedAs(pfn: number): PageState['mapped'] {
    let mapped: PageState['mapped'] = 'no';
    const { mms, mmPages } = this.geometry;
    for (let i = 0; i < mms * mmPages; i++) {
      const entry = this.value('pte', i);
      if ((entry & PTE.present) === 0 || entry >>> PTE.pfnShift !== pfn) continue;
      if ((entry & PTE.write) !== 0) return 'rw';
      mapped = 'ro';
    }
    return mapped;
  }

  lock(address: number): LockState {
    return { lock: this.names.name(address), holders: this.holdersOf(address) };
  }

  /** What kind of lock a word is, if the run took or released it; the folio lock is none of these. */
  lockKind(address: number): LockKind | null {
    return this.lockKinds.get(address) ?? null;
  }

  /** Was a lock taken (true) or released (false) by this change of its word? */
  lockChange(address: number, before: number, after: number): boolean | null {
    if (this.names.word(address)?.kind === 'flags') {
      return ((before ^ after) & PG.locked) === 0 ? null : (after & PG.locked) !== 0;
    }
    const kind = this.lockKind(address);
    if (kind === null) return null;
    const held = holds(kind, after) - holds(kind, before);
    return held === 0 ? null : held > 0;
  }

  /** Words on which somebody slept or spun in this run, and which are locks. */
  contended(): Set<number> {
    const found = new Set<number>();
    for (const event of this.recording.events) {
      if (event.kind !== 'sleep') continue;
      if (this.lockKind(event.address) !== null) found.add(event.address);
    }
    return found;
  }
}

/** Functions of the locks, and what kind the word is that they touch. */
const LOCK_FUNCTIONS: ReadonlyMap<string, LockKind> = new Map([
  ['takeSpinLock', 'spinlock'],
  ['waitSpinLock', 'spinlock'],
  ['spinUnlock', 'spinlock'],
  ['mutexLock', 'mutex'],
  ['tryMutexLock', 'mutex'],
  ['mutexUnlock', 'mutex'],
  ['takeRead', 'rwsem'],
  ['waitRead', 'rwsem'],
  ['upRead', 'rwsem'],
  ['downWrite', 'rwsem'],
  ['upWrite', 'rwsem'],
]);

/** Locks may also lie in the words of file systems: who touches a word tells. */
function lockKindsOf({ events }: Recording): Map<number, LockKind> {
  const kinds = new Map<number, LockKind>();
  for (const event of events) {
    if (event.kind !== 'access') continue;
    const kind = LOCK_FUNCTIONS.get(event.functions.at(-1) ?? '');
    if (kind !== undefined) kinds.set(event.address, kind);
  }
  return kinds;
}

/** How many hold a lock of that value. */
function holds(kind: LockKind, value: number): number {
  const { readers, writer, sleepers } = LOCK_BITS;
  if (kind === 'rwsem') return (value & readers) + ((value & writer) === 0 ? 0 : 1);
  return (value & ~sleepers) === 0 ? 0 : 1;
}

// The machine's state as it was after each event of a recording: pages, and who holds which lock.

import type { Geometry, State } from '../../engine/memory/layout.js';
import { flagNames, splitRefcount, type Word, WordNames } from '../../engine/memory/word-names.js';
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

export class World {
  readonly names: WordNames;
  private readonly words: Int32Array;
  private readonly holders = new Map<number, Set<number>>();

  constructor(
    private readonly program: Program,
    private readonly recording: Recording,
  ) {
    this.words = new Int32Array(recording.initial);
    const { nameOfExtra } = program;
    this.names = new WordNames(program.geometry, {
      ...(nameOfExtra === undefined ? {} : { nameOfExtra }),
      nameOfTask: (id) => this.actorName(recording.taskIds.indexOf(id)),
    });
  }

  get geometry(): Geometry {
    return this.program.geometry;
  }

  actorName(actor: number): string {
    return this.program.actors.at(actor)?.name ?? 'somebody';
  }

  /** Takes the next event into account. */
  apply(event: Event): void {
    if (event.kind !== 'access' || event.before === event.after) return;
    this.words[event.address] = event.after;
    const taken = lockChange(this.names.word(event.address), event.before, event.after);
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

  /** The lock in a word, by name: of a page it is the folio lock. */
  lockName(address: number): string {
    const word = this.names.word(address);
    if (word?.kind === 'flags') return `the lock of page ${String(word.index)}`;
    return word?.name ?? 'a lock';
  }

  lock(address: number): LockState {
    return { lock: this.lockName(address), holders: this.holdersOf(address) };
  }

  /** Words on which somebody slept or spun in this run, and which are locks. */
  contended(): Set<number> {
    const found = new Set<number>();
    for (const event of this.recording.events) {
      if (event.kind !== 'sleep') continue;
      const kind = this.names.word(event.address)?.kind;
      if (kind === 'spinlock' || kind === 'rwsem') found.add(event.address);
    }
    return found;
  }
}

/** Was a lock taken (true) or released (false) by this change of its word? */
export function lockChange(word: Word | null, before: number, after: number): boolean | null {
  if (word === null) return null;
  switch (word.kind) {
    case 'spinlock':
      return after !== 0;
    case 'rwsem': {
      const held = rwsemHolds(after) - rwsemHolds(before);
      return held === 0 ? null : held > 0;
    }
    case 'flags': {
      const changed = (before ^ after) & PG.locked;
      return changed === 0 ? null : (after & PG.locked) !== 0;
    }
    case 'refcount':
    case 'pte':
    case 'inode':
    case 'content':
    case 'extra':
    case 'number':
      return null;
  }
}

/** Holders of an rwsem: its readers and its writer. */
function rwsemHolds(value: number): number {
  return (value & LOCK_BITS.readers) + ((value & LOCK_BITS.writer) === 0 ? 0 : 1);
}

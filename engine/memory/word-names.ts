// Linux's name for every word of a machine's state buffer, and its values and changes in words: what
// diagrams and reports print instead of addresses.
//
//   flags of page 1        +dirty -locked        pte 0 of mm 0       page 1 rw dirty -> page 1 ro clean
//   refcount of page 1     +1 pin                i_rwsem of inode 0  taken for writing
//   page 1 word 0          1 -> 2                zone lock           taken by flusher

import { FREE, PG, PIN_BIAS } from '../mm/folio.js';
import { PTE } from '../mm/pte.js';
import { LOCK_BITS } from '../sched/lock.js';
import {
  attachState,
  type Geometry,
  GLOBAL,
  INODE_PRIVATE_WORDS,
  NODE_WORDS,
  PTES_PER_TABLE,
  type State,
  stateBytes,
} from './layout.js';

/** What the value of a word means. */
export type WordKind =
  | 'flags'
  | 'refcount'
  | 'pte'
  | 'spinlock'
  | 'rwsem'
  | 'inode'
  | 'content'
  | 'extra'
  | 'number';

/** One word of the state buffer. */
export interface Word {
  readonly kind: WordKind;
  /** The array of State that it belongs to, and its element there. */
  readonly field: keyof State;
  readonly index: number;
  /** `flags of page 1`. */
  readonly name: string;
}

/** How the owner of a machine calls what only it knows. */
export interface WordNamers {
  /** The name of a word of `extra`; null, or without it: `extra[5]`. */
  readonly nameOfExtra?: (word: number) => string | null;
  /** What a value of such a word means; null, or without it: the number. */
  readonly valueOfExtra?: (word: number, value: number) => string | null;
  /** The name of the task of that id; without it `task 3`. */
  readonly nameOfTask?: (id: number) => string;
}

type Namer = (index: number, geometry: Geometry) => string;

const of =
  (name: string, owner: string): Namer =>
  (index) =>
    `${name} of ${owner} ${String(index)}`;

/** Arrays whose elements have a better name than `array[index]`. */
const NAMES: Partial<Record<keyof State, Namer>> = {
  global: (index) => globalName(index),
  flags: of('flags', 'page'),
  refcount: of('refcount', 'page'),
  mapcount: of('mapcount', 'page'),
  mapping: of('mapping', 'page'),
  index: of('index', 'page'),
  private: of('private', 'page'),
  next: of('next free', 'page'),
  pte: (index, { mmPages }) =>
    `pte ${String(index % mmPages)} of mm ${String(Math.floor(index / mmPages))}`,
  ptl: (index, geometry) => `page-table lock ${tableName(index, geometry)}`,
  pteCount: (index, geometry) => `entries of page table ${tableName(index, geometry)}`,
  mmapLock: of('mmap_lock', 'mm'),
  writeProtectSeq: of('write_protect_seq', 'mm'),
  mmUsers: of('mm_users', 'mm'),
  mmLocked: of('pinned_vm', 'mm'),
  mmMmap: of('first vma', 'mm'),
  tlb: of('tlb', 'cpu'),
  vmaMm: of('mm', 'vma'),
  vmaStart: of('start', 'vma'),
  vmaPages: of('pages', 'vma'),
  vmaInode: of('inode', 'vma'),
  vmaPgoff: of('pgoff', 'vma'),
  vmaFlags: of('flags', 'vma'),
  vmaNextInMm: of('next in mm', 'vma'),
  vmaNextInFile: of('next in i_mmap', 'vma'),
  ino: of('i_ino', 'inode'),
  iCount: of('i_count', 'inode'),
  iNlink: of('i_nlink', 'inode'),
  iMode: of('i_mode', 'inode'),
  iLease: of('layout lease', 'inode'),
  iState: of('i_state', 'inode'),
  // Two words each; the sizes of the lab fit in the low one.
  iSize: (index) => `i_size of inode ${String(index >>> 1)}${(index & 1) === 0 ? '' : ' (high)'}`,
  iRwsem: of('i_rwsem', 'inode'),
  invalidateLock: of('invalidate_lock', 'inode'),
  iMmapRwsem: of('i_mmap_rwsem', 'inode'),
  iMmap: of('i_mmap', 'inode'),
  iPagesLock: of('i_pages lock', 'inode'),
  iPagesRoot: (index) =>
    `${(index & 1) === 0 ? 'i_pages root' : 'i_pages height'} of inode ${String(index >>> 1)}`,
  nrPages: of('nrpages', 'inode'),
  iDataSem: of('i_data_sem', 'inode'),
  iLock: of('i_lock', 'inode'),
  iPrivate: (index) =>
    `private word ${String(index % INODE_PRIVATE_WORDS)} of inode ${String(Math.floor(index / INODE_PRIVATE_WORDS))}`,
  node: (index) =>
    `word ${String(index % NODE_WORDS)} of xa_node ${String(Math.floor(index / NODE_WORDS))}`,
  frames: (index, { pageBytes }) => {
    const words = pageBytes >>> 2;
    return `page ${String(Math.floor(index / words))} word ${String(index % words)}`;
  },
};

const KINDS: Partial<Record<keyof State, WordKind>> = {
  flags: 'flags',
  refcount: 'refcount',
  pte: 'pte',
  ptl: 'spinlock',
  iPagesLock: 'spinlock',
  iLock: 'spinlock',
  mmapLock: 'rwsem',
  iRwsem: 'rwsem',
  invalidateLock: 'rwsem',
  iMmapRwsem: 'rwsem',
  iDataSem: 'rwsem',
  mapping: 'inode',
  vmaInode: 'inode',
  frames: 'content',
  extra: 'extra',
};

/** Words of `global` that are spinlocks. */
const GLOBAL_LOCKS: ReadonlyMap<number, string> = new Map([
  [GLOBAL.zoneLock, 'zone lock'],
  [GLOBAL.nodeLock, 'xa_node pool lock'],
  [GLOBAL.findingLock, 'finding lock'],
  [GLOBAL.vmaLock, 'vma lock'],
]);

/** The words of one geometry by their address in the state buffer. */
export class WordNames {
  private readonly fields: readonly FieldRange[];

  constructor(
    private readonly geometry: Geometry,
    private readonly namers: WordNamers = {},
  ) {
    const state = attachState(geometry, new SharedArrayBuffer(stateBytes(geometry)));
    this.fields = fieldsOf(state);
  }

  /** The word at an address (its number in the buffer), or null between arrays. */
  word(address: number): Word | null {
    const range = this.fields.find(({ from, to }) => address >= from && address < to);
    if (range === undefined) return null;
    const { field } = range;
    const index = address - range.from;
    return { kind: kindOf(field, index), field, index, name: this.nameOf(field, index) };
  }

  /** `flags of page 1`. */
  name(address: number): string {
    return this.word(address)?.name ?? `word ${String(address)}`;
  }

  /** Address of element `index` of an array of State. */
  address(field: keyof State, index: number): number {
    const range = this.fields.find((each) => each.field === field);
    return (range?.from ?? 0) + index;
  }

  /** A value of the word at an address, in words: `dirty locked`, `page 1 rw dirty`. */
  value(address: number, value: number): string {
    const word = this.word(address);
    const named = word?.field === 'extra' ? this.namers.valueOfExtra?.(word.index, value) : null;
    return named ?? this.valueOf(word?.kind ?? 'number', value);
  }

  /** What a change of that word was: `+dirty -locked`, `+1 pin`, `taken by flusher`; empty if none. */
  change(address: number, before: number, after: number): string {
    if (before === after) return '';
    const kind = this.word(address)?.kind ?? 'number';
    switch (kind) {
      case 'flags':
        return flagsChange(before, after);
      case 'refcount':
        return refcountChange(before, after);
      case 'spinlock':
        return after === 0 ? 'released' : `taken by ${this.taskName(after)}`;
      case 'rwsem':
        return rwsemChange(before, after);
      case 'pte':
      case 'inode':
      case 'content':
      case 'extra':
      case 'number':
        return `${this.value(address, before)} -> ${this.value(address, after)}`;
    }
  }

  private valueOf(kind: WordKind, value: number): string {
    switch (kind) {
      case 'flags':
        return flagNames(value).join(' ') || 'none';
      case 'refcount':
        return refcountValue(value);
      case 'spinlock':
        return value === 0 ? 'free' : `held by ${this.taskName(value)}`;
      case 'rwsem':
        return rwsemValue(value);
      case 'pte':
        return pteValue(value);
      case 'inode':
        return value === 0 ? 'none' : `inode ${String(value - 1)}`;
      case 'content':
      case 'extra':
      case 'number':
        return String(value);
    }
  }

  private nameOf(field: keyof State, index: number): string {
    if (field === 'extra') return this.namers.nameOfExtra?.(index) ?? `extra[${String(index)}]`;
    return NAMES[field]?.(index, this.geometry) ?? `${field}[${String(index)}]`;
  }

  private taskName(id: number): string {
    return this.namers.nameOfTask?.(id) ?? `task ${String(id)}`;
  }
}

interface FieldRange {
  readonly field: keyof State;
  readonly from: number;
  /** Past its last word. */
  readonly to: number;
}

function fieldsOf(state: State): FieldRange[] {
  const ranges: FieldRange[] = [];
  for (const field in state) {
    if (!isField(state, field)) continue;
    const { byteOffset, byteLength } = state[field];
    const from = byteOffset >>> 2;
    if (byteLength > 0) ranges.push({ field, from, to: from + Math.ceil(byteLength / 4) });
  }
  return ranges;
}

function isField(state: State, name: string): name is keyof State {
  return Object.hasOwn(state, name);
}

function kindOf(field: keyof State, index: number): WordKind {
  if (field === 'global' && GLOBAL_LOCKS.has(index)) return 'spinlock';
  return KINDS[field] ?? 'number';
}

/** The vmstat's counters have their names there: nr_dirty. */
function globalName(index: number): string {
  const lock = GLOBAL_LOCKS.get(index);
  if (lock !== undefined) return lock;
  const key = Object.entries(GLOBAL).find(([name, at]) => at === index && name !== 'words')?.[0];
  return (
    key?.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) ?? `global[${String(index)}]`
  );
}

function tableName(index: number, { mmPages }: Geometry): string {
  const tables = Math.ceil(mmPages / PTES_PER_TABLE);
  return `${String(index % tables)} of mm ${String(Math.floor(index / tables))}`;
}

/** Names of the bits that are set in a page's flags. */
export function flagNames(value: number): string[] {
  return Object.entries(PG)
    .filter(([, bit]) => (value & bit) !== 0)
    .map(([name]) => name);
}

function flagsChange(before: number, after: number): string {
  const set = flagNames(after & ~before).map((name) => `+${name}`);
  const cleared = flagNames(before & ~after).map((name) => `-${name}`);
  return [...set, ...cleared].join(' ');
}

/** Pins and other references in a count, as folio_maybe_dma_pinned() tells them apart. */
export function splitRefcount(count: number): { readonly pins: number; readonly gets: number } {
  if (count <= 0) return { pins: 0, gets: 0 };
  return { pins: Math.floor(count / PIN_BIAS), gets: count % PIN_BIAS };
}

function refcountValue(value: number): string {
  if (value <= FREE / 2) return 'free';
  const { pins, gets } = splitRefcount(value);
  return pins === 0 ? String(value) : `${String(gets)} + ${plural(pins, 'pin')}`;
}

function refcountChange(before: number, after: number): string {
  if (before <= FREE / 2 && after > 0) return 'allocated';
  if (after <= FREE / 2 && before === 0) return 'freed';
  const delta = Math.abs(after - before);
  const sign = after > before ? '+' : '-';
  const { pins, gets } = splitRefcount(delta);
  const parts = [
    ...(pins > 0 ? [sign + plural(pins, 'pin')] : []),
    ...(gets > 0 ? [sign + plural(gets, 'get')] : []),
  ];
  return parts.join(' ');
}

function plural(count: number, noun: string): string {
  return `${String(count)} ${noun}${count === 1 ? '' : 's'}`;
}

function pteValue(entry: number): string {
  if ((entry & PTE.present) === 0) return 'none';
  const bits = [
    (entry & PTE.write) !== 0 ? 'rw' : 'ro',
    (entry & PTE.dirty) !== 0 ? 'dirty' : 'clean',
  ];
  return `page ${String(entry >>> PTE.pfnShift)} ${bits.join(' ')}`;
}

function rwsemValue(value: number): string {
  const parts: string[] = [];
  const readers = value & LOCK_BITS.readers;
  if ((value & LOCK_BITS.writer) !== 0) parts.push('held for writing');
  if (readers > 0) parts.push(`held by ${plural(readers, 'reader')}`);
  if ((value & LOCK_BITS.writerWaiting) !== 0) parts.push('a writer waits');
  else if ((value & LOCK_BITS.sleepers) !== 0) parts.push('somebody waits');
  return parts.join(', ') || 'free';
}

function rwsemChange(before: number, after: number): string {
  const { readers, writer, writerWaiting } = LOCK_BITS;
  if ((after & writer) > (before & writer)) return 'taken for writing';
  if ((before & writer) > (after & writer)) return 'released by its writer';
  const more = (after & readers) - (before & readers);
  if (more > 0) return 'taken for reading';
  if (more < 0) return 'released by a reader';
  return (after & writerWaiting) > (before & writerWaiting) ? 'a writer waits' : 'somebody waits';
}

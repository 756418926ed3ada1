// What an access does to the machine, in words; null for what no reader of a race diagram asks for
// (references for the time being, marks in trees, locks that nobody waited for).

import type { Word } from '../../engine/memory/word-names.js';
import { FREE, PG, PIN_BIAS } from '../../engine/mm/folio.js';
import { PTE } from '../../engine/mm/pte.js';
import { ACCESS } from '../../engine/sched/lab-driver.js';
import type { Event } from './record.js';
import type { World } from './world.js';

export type AccessEvent = Extract<Event, { kind: 'access' }>;
export type SleepEvent = Extract<Event, { kind: 'sleep' }>;

/** One effect. Stores and loads of contents are told together: `stores 2 into page 1`. */
export type Effect =
  | {
      readonly kind: 'said';
      readonly text: string;
      readonly pages: readonly number[];
      /** Stores a value that may have been read just before. */
      readonly stores?: boolean;
    }
  | {
      readonly kind: 'content';
      readonly verb: 'stores' | 'reads' | 'samples';
      readonly pfn: number;
      readonly word: number;
      readonly value: number;
    };

/** What to tell that is not told by itself. */
export interface Interest {
  /** Locks that somebody waited for, or that a finding names. */
  readonly locks: (address: number, word: Word) => boolean;
}

/** The effect of an access, given the state before it. */
export function effectOf(world: World, event: AccessEvent, interest: Interest): Effect | null {
  const word = world.names.word(event.address);
  if (word === null) return null;
  if (word.kind === 'content') return contentEffect(world, event, word);
  if (world.lockKind(event.address) !== null) {
    const text = interest.locks(event.address, word) ? lockText(world, event, word) : null;
    return text === null ? null : { kind: 'said', text, pages: [] };
  }
  if (event.before === event.after) return lookEffect(world, event, word);
  const pages = pagesOf(event, word);
  const text = changeText(world, event, word);
  return text === null ? null : { kind: 'said', text, pages, stores: word.kind === 'extra' };
}

function contentEffect(world: World, event: AccessEvent, word: Word): Effect {
  const isLoad = event.access === ACCESS.load || event.access === ACCESS.read;
  const samples = event.functions.some((name) => name.startsWith('checksum'));
  const words = world.geometry.pageBytes >>> 2;
  return {
    kind: 'content',
    verb: isLoad ? (samples ? 'samples' : 'reads') : 'stores',
    pfn: Math.floor(word.index / words),
    word: word.index % words,
    value: event.after,
  };
}

/** Looks that decide something. */
function lookEffect(world: World, event: AccessEvent, word: Word): Effect | null {
  const page = `page ${String(word.index)}`;
  const said = (text: string): Effect => ({ kind: 'said', text, pages: [word.index] });
  const caller = event.functions.at(-1);
  if (word.field === 'refcount' && caller === 'maybePinned') {
    return said(event.after >= PIN_BIAS ? `finds ${page} pinned` : `finds ${page} not pinned`);
  }
  if (word.field === 'flags' && caller === 'unpinUserPages' && (event.after & PG.dirty) !== 0) {
    return said(`finds ${page} dirty already`);
  }
  if (word.field === 'flags' && caller === 'prepareLocked' && (event.after & PG.dirty) === 0) {
    return said(`finds ${page} clean`);
  }
  if (word.kind === 'extra' && event.access !== ACCESS.load && event.access !== ACCESS.read) {
    return event.access === ACCESS.update
      ? null
      : { kind: 'said', text: valueText(world, event, word), pages: [], stores: true };
  }
  return null;
}

function pagesOf(event: AccessEvent, word: Word): number[] {
  if (['flags', 'refcount', 'mapping'].includes(word.field)) return [word.index];
  if (word.field !== 'pte') return [];
  return [event.before >>> PTE.pfnShift, event.after >>> PTE.pfnShift].filter((pfn) => pfn > 0);
}

function changeText(world: World, event: AccessEvent, word: Word): string | null {
  const { before, after } = event;
  switch (word.kind) {
    case 'flags':
      return flagsText(`page ${String(word.index)}`, before, after);
    case 'refcount':
      return refcountText(event, `page ${String(word.index)}`);
    case 'pte':
      return pteText(world, word, before, after);
    case 'extra':
      return valueText(world, event, word);
    case 'inode':
    case 'number':
      return numberText(world, event, word);
    case 'spinlock':
    case 'rwsem':
    case 'content':
      return null;
  }
}

function valueText(world: World, { address, after }: AccessEvent, word: Word): string {
  return `${word.name} = ${world.names.value(address, after)}`;
}

/** Flags in the order in which they are told, with what setting and clearing each is called. */
const FLAG_TEXTS: readonly (readonly [number, string, string])[] = [
  [PG.locked, 'locks', 'unlocks'],
  [PG.private, 'attaches buffers to', 'strips the buffers of'],
  [PG.dirty, 'dirties', 'clears dirty of'],
  [PG.writeback, 'sets writeback of', 'ends writeback of'],
  [PG.error, 'sets error of', 'clears error of'],
];

function flagsText(page: string, before: number, after: number): string | null {
  const told = FLAG_TEXTS.filter(([bit]) => ((before ^ after) & bit) !== 0).map(([bit, on, off]) =>
    (after & bit) !== 0 ? on : off,
  );
  return told.length === 0 ? null : `${told.join(', ')} ${page}`;
}

/** References that only keep a page while it is looked at are not told; those for a device are. */
function refcountText(event: AccessEvent, page: string): string | null {
  const { before, after, functions } = event;
  if (before <= FREE / 2 && after > 0) return `allocates ${page}`;
  if (before === 0 && after <= FREE / 2) return `frees ${page}`;
  const pins = (after - before) / PIN_BIAS;
  const isPin = Number.isInteger(pins);
  if (pins > 0 && isPin) return `pins ${page}`;
  if (pins < 0 && isPin) return `unpins ${page}`;
  // Plain references that look like a pin from here on, or no more.
  if (before < PIN_BIAS !== after < PIN_BIAS) return `references of ${page} = ${String(after)}`;
  const caller = functions.at(-1) ?? '';
  if (after > before && functions.some((name) => GETS.has(name))) return `gets ${page}`;
  if (after < before && (PUTS.has(caller) || functions.includes('unpinUserPages'))) {
    return `puts ${page}`;
  }
  return null;
}

const GETS: ReadonlySet<string> = new Set(['gupFast', 'followPage']);
const PUTS: ReadonlySet<string> = new Set(['unpinUserPages', 'dropPages']);

function pteText(world: World, word: Word, before: number, after: number): string {
  const { mms, mmPages } = world.geometry;
  const vpn = String(word.index % mmPages);
  const mm = mms > 1 ? ` of mm ${String(Math.floor(word.index / mmPages))}` : '';
  const pte = `pte ${vpn}${mm}`;
  const page = `page ${String((after === 0 ? before : after) >>> PTE.pfnShift)}`;
  if ((after & PTE.present) === 0) return `clears ${pte} (${page})`;
  const rights = (after & PTE.write) !== 0 ? 'rw' : 'ro';
  if ((before & PTE.present) === 0) return `maps ${page} ${rights} at ${pte}`;
  if ((before & PTE.write) !== 0 && (after & PTE.write) === 0) return `write-protects ${pte}`;
  if ((before & PTE.write) === 0 && (after & PTE.write) !== 0) return `makes ${pte} writable`;
  return (after & PTE.dirty) !== 0 ? `${pte} becomes dirty` : `cleans ${pte}`;
}

function lockText(world: World, event: AccessEvent, word: Word): string | null {
  const taken = world.lockChange(event.address, event.before, event.after);
  if (taken === null) return null;
  if (!taken) return `releases ${word.name}`;
  if (world.lockKind(event.address) !== 'rwsem') return `takes ${word.name}`;
  return `takes ${word.name} (${event.functions.at(-1) === 'downWrite' ? 'write' : 'read'})`;
}

function numberText(
  world: World,
  { address, before, after }: AccessEvent,
  word: Word,
): string | null {
  const slot = String(word.index);
  switch (word.field) {
    case 'mapping':
      return after === 0
        ? `takes page ${slot} out of inode ${String(before - 1)}`
        : `adds page ${slot} to inode ${String(after - 1)}`;
    case 'vmaMm':
      return after === 0 ? `drops vma ${slot}` : `makes vma ${slot}`;
    case 'iCount':
      return `${word.name}: ${String(before)} -> ${String(after)}`;
    case 'ino':
      return after === 0 ? `frees inode ${slot}` : `inode ${slot} is number ${String(after)} now`;
    case 'iState': {
      const bits = world.stateChange(before, after);
      const change = bits === '' ? world.names.change(address, before, after) : bits;
      return `${word.name}: ${change}`;
    }
    case 'iNlink':
    case 'iSize':
    case 'iLease':
    case 'iPrivate':
      return `${word.name}: ${world.names.change(address, before, after)}`;
    default:
      return null;
  }
}

/** What an actor waits for when it sleeps or spins. */
export function sleepText(world: World, event: SleepEvent): string {
  const word = world.names.word(event.address);
  const holders = world
    .holdersOf(event.address)
    .filter((name) => name !== world.actorName(event.actor));
  const held = holders.length === 0 ? '' : ` (held by ${holders.join(', ')})`;
  const page = `page ${String(word?.index ?? 0)}`;
  const name = word?.name ?? 'a word';
  if (word?.kind === 'flags') {
    return event.functions.at(-1) === 'waitOnWriteback'
      ? `waits for the writeback of ${page}`
      : `waits for the lock of ${page}${held}`;
  }
  if (word?.kind === 'refcount') return `waits for the pins of ${page}`;
  const isLock = world.lockKind(event.address) !== null;
  const verb = event.isSpin ? 'spins on' : isLock ? 'waits for' : 'sleeps on';
  return `${verb} ${name}${isLock ? held : ''}`;
}

/** Effects as one text; contents of one page together. */
export function effectsText(effects: readonly Effect[], pageWords: number): string {
  const parts: string[] = [];
  for (let i = 0; i < effects.length; ) {
    const effect = effects[i];
    if (effect.kind === 'said') {
      parts.push(effect.text);
      i++;
      continue;
    }
    const run: (typeof effect)[] = [];
    for (; i < effects.length; i++) {
      const next = effects[i];
      if (next.kind !== 'content' || next.verb !== effect.verb || next.pfn !== effect.pfn) break;
      run.push(next);
    }
    parts.push(contentText(run, pageWords));
  }
  return withPronouns([...new Set(parts)]).join(', ');
}

/** `locks page 1, dirties it, unlocks it`: a page that was just named is not named again. */
function withPronouns(parts: readonly string[]): string[] {
  let named = '';
  return parts.map((part) => {
    const page = /page \d+$/.exec(part)?.[0] ?? '';
    const text = page !== '' && page === named ? `${part.slice(0, -page.length)}it` : part;
    named = /page \d+/.exec(part)?.[0] ?? named;
    return text;
  });
}

type Content = Extract<Effect, { kind: 'content' }>;

function contentText(run: readonly Content[], pageWords: number): string {
  const { verb, pfn } = run[0];
  const page = `page ${String(pfn)}`;
  const values = [...new Set(run.map(({ value }) => value))].join(', ');
  const words = [...new Set(run.map(({ word }) => word))];
  const place = words.length === pageWords ? page : `${page} word ${words.join(', ')}`;
  switch (verb) {
    case 'stores':
      return `stores ${values} into ${place}`;
    case 'reads':
      return `reads ${values} from ${place}`;
    case 'samples':
      return `samples the checksum of ${place} (holds ${values})`;
  }
}

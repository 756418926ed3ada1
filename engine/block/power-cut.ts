// Which images a power cut may leave of a disk with a volatile cache, and the words that pick one of them.
//
// A unit of the disk has a floor (the newest version that is durable for sure) and versions above it,
// oldest first. After a cut it holds one of them, each unit on its own (B7). An image is an array of
// choices, one for each open unit, in the order of the units:
//
//       0: the floor      k: versions[k - 1]      -k: versions[k - 1] is a trim, and it reads as garbage
//
// An atomic write is seen in all of its units or in none (B1). A trim that is kept reads as zeroes, or as
// garbage where that is allowed; one that is lost, as what was there before (B8). Who keeps the versions
// raises floors by B4 and B5 for whole writes, and never because of a trim.

import { Errno, InvariantError } from '../sched/errors.js';
import { coin, draw } from './seeded.js';

/** A write that is not durable yet in at least one of its units. */
export interface PendingWrite {
  /** Rises in the order in which the writes became visible. */
  readonly id: number;
  readonly firstUnit: number;
  readonly units: number;
  readonly kind: 'data' | 'zeroes' | 'trim';
  /** All or nothing (B1). */
  readonly atomic: boolean;
}

/** A unit that may hold more than one version after a cut. */
export interface OpenUnit {
  readonly unit: number;
  /** The ids of the writes above the floor, oldest first; at least one. */
  readonly versions: readonly number[];
}

/** What is not settled at the moment of a cut. */
export interface Pending {
  /** In the order of their ids; those without an open unit do not matter. */
  readonly writes: readonly PendingWrite[];
  /** In the order of the units. */
  readonly open: readonly OpenUnit[];
  /** A trimmed unit may also read as garbage (B8); false unless the user asked for it. */
  readonly garbage: boolean;
}

/** The states that pick() knows, for help texts. */
export const CUT_STATES = ['drop-all', 'keep-all', 'prefix:N', 'random:SEED', 'adversarial:SEED'];

const SEED_MAX = 2 ** 32 - 1;
/** random: how likely a version survives, in 16ths; one is drawn for each image. */
const CHANCES = [1, 4, 8, 12, 15];

/** Says of one version of a unit whether it reached the medium; `nth` counts the pending writes from 0. */
type Kept = (nth: number, unit: number) => boolean;

/**
 * The image of a state: the newest version that was kept of each unit.
 *
 * - `drop-all`: every floor, as null_blk leaves it; `keep-all`: the newest version of everything;
 * - `prefix:N`: the first N pending writes are kept, whole (all of them if there are fewer);
 * - `random:SEED`: each unit of each write is kept or lost by chance; the seed also draws how likely;
 * - `adversarial:SEED`: the wrong way round: the earliest writes are lost, the latest are kept, and the
 *   one in between (which one, the seed draws) is torn: some of its units are kept, some lost;
 * - `drop-all,UNITS=CHOICE,...` or `keep-all,UNITS=CHOICE,...`: exactly one image, see stateOf().
 *
 * @returns one choice for each open unit
 * @throws Errno EINVAL for a state that is none, that names units that are not open, or that tears an
 *   atomic write
 */
export function pick(pending: Pending, state: string): Int32Array {
  const [word, ...rest] = state.split(',');
  const [name] = word.split(':', 1);
  const argument = word === name ? undefined : word.slice(name.length + 1);
  if (name === 'drop-all' || name === 'keep-all') {
    if (argument !== undefined) throw badState(state, `${name} takes no number`);
    return pickExactly(pending, state, name === 'keep-all', rest);
  }
  if (rest.length > 0) throw badState(state, 'only drop-all and keep-all take exceptions');
  const number = /^\d{1,10}$/.test(argument ?? '') ? Number(argument) : Number.NaN;
  if (!(number <= SEED_MAX)) throw badState(state, `give a number from 0 to ${SEED_MAX} after ':'`);
  switch (name) {
    case 'prefix':
      return choose(pending, (nth) => nth < number);
    case 'random':
      return pickRandom(pending, number);
    case 'adversarial':
      return pickAdversarial(pending, number);
    default:
      throw badState(state, `${name} is unknown`);
  }
}

/** @throws Errno EINVAL unless the text is one of the states in form; whether it fits is told by pick() */
export function checkState(state: string): void {
  const form =
    /^(?:(?:prefix|random|adversarial):\d{1,10}|(?:drop-all|keep-all)(?:,\d{1,15}(?:-\d{1,15})?=\d{1,9}g?)*)$/;
  if (!form.test(state)) throw badState(state, 'that is none');
}

function badState(state: string, why: string): Errno {
  return new Errno(
    'EINVAL',
    `state '${state}': ${why}; known are ${CUT_STATES.join(', ')} and what an earlier cut printed`,
  );
}

/** A random image, drawn anew for each seed; all legal images can come out. */
export function pickRandom(pending: Pending, seed: number): Int32Array {
  const chance = CHANCES[draw(seed, 0, 0, CHANCES.length)];
  const byId = writesById(pending);
  const kept: Kept = (nth, unit) => coin(seed, nth + 1, unit + 1, chance);
  const choices = choose(pending, (nth, unit) => kept(nth, byId.at(nth).atomic ? -1 : unit));
  if (!pending.garbage) return choices;
  for (const [i, { unit, versions }] of pending.open.entries()) {
    const choice = choices[i];
    if (choice > 0 && byId.of(versions[choice - 1]).kind === 'trim' && coin(seed, -1, unit, 8))
      choices[i] = -choice;
  }
  return choices;
}

function pickAdversarial(pending: Pending, seed: number): Int32Array {
  const byId = writesById(pending);
  const torn = draw(seed, 0, 0, Math.max(byId.count, 1));
  return choose(pending, (nth, unit) => {
    if (nth !== torn) return nth > torn;
    const write = byId.at(nth);
    if (write.atomic || write.units === 1) return false;
    // One unit is lost and another one kept for sure, wherever the coins fall.
    const lost = draw(seed, 1, 0, write.units);
    const within = unit - write.firstUnit;
    if (within === lost) return false;
    return within === (lost + 1) % write.units || coin(seed, 2, unit, 8);
  });
}

/** The newest kept version of each unit. */
function choose(pending: Pending, kept: Kept): Int32Array {
  const byId = writesById(pending);
  return Int32Array.from(pending.open, ({ unit, versions }) => {
    let choice = versions.length;
    while (choice > 0 && !kept(byId.nth(versions[choice - 1]), unit)) choice--;
    return choice;
  });
}

function pickExactly(
  pending: Pending,
  state: string,
  keepAll: boolean,
  exceptions: readonly string[],
): Int32Array {
  const { open } = pending;
  const choices = choose(pending, () => keepAll);
  let at = 0;
  for (const exception of exceptions) {
    const match = /^(\d{1,15})(?:-(\d{1,15}))?=(\d{1,9})(g?)$/.exec(exception);
    if (match === null)
      throw badState(state, `'${exception}' is not UNIT=CHOICE or FIRST-LAST=CHOICE`);
    const first = Number(match[1]);
    const last = Number(match.at(2) ?? match[1]);
    const choice = Number(match[3]);
    while (at < open.length && open[at].unit < first) at++;
    if (at === open.length || open[at].unit > last)
      throw badState(state, `unit ${first} is not open, or not in rising order`);
    for (; at < open.length && open[at].unit <= last; at++) {
      if (choice > open[at].versions.length)
        throw badState(state, `unit ${open[at].unit} has ${open[at].versions.length} versions`);
      choices[at] = match[4] === 'g' ? -choice : choice;
    }
  }
  const problem = problemOf(pending, choices);
  if (problem !== null) throw badState(state, problem);
  return choices;
}

/**
 * The shortest text by which pick() finds an image again among the same pending writes: drop-all or
 * keep-all, and the units that differ. `UNITS=CHOICE` is a unit or the open units of a range, and a choice
 * as above; a `g` behind it stands for garbage.
 */
export function stateOf(pending: Pending, choices: Int32Array): string {
  const kept = exceptionsFrom(pending, choices, true);
  const dropped = exceptionsFrom(pending, choices, false);
  return kept.length <= dropped.length ? `keep-all${kept}` : `drop-all${dropped}`;
}

function exceptionsFrom({ open }: Pending, choices: Int32Array, keepAll: boolean): string {
  let text = '';
  for (let from = 0; from < open.length; ) {
    const choice = choices[from];
    let end = from + 1;
    if (choice === (keepAll ? open[from].versions.length : 0)) {
      from = end;
      continue;
    }
    // A unit that agrees with the rest of the image is passed over only where its choice is the same.
    while (end < open.length && choices[end] === choice) end++;
    const range = end - from === 1 ? '' : `-${open[end - 1].unit}`;
    text += `,${open[from].unit}${range}=${Math.abs(choice)}${choice < 0 ? 'g' : ''}`;
    from = end;
  }
  return text;
}

/** Whether an image is legal. */
export function isLegal(pending: Pending, choices: Int32Array): boolean {
  return choices.length === pending.open.length && problemOf(pending, choices) === null;
}

function problemOf(pending: Pending, choices: Int32Array): string | null {
  const byId = writesById(pending);
  const seen = new Set<number>();
  const missed = new Set<number>();
  for (const [i, { unit, versions }] of pending.open.entries()) {
    const choice = choices[i];
    if (Math.abs(choice) > versions.length) return `unit ${unit} has ${versions.length} versions`;
    if (choice < 0 && !(pending.garbage && byId.of(versions[-choice - 1]).kind === 'trim'))
      return `garbage is not allowed in unit ${unit}`;
    for (let k = Math.max(1, Math.abs(choice)); k <= versions.length; k++) {
      const id = versions[k - 1];
      if (byId.of(id).atomic) (k === Math.abs(choice) ? seen : missed).add(id);
    }
  }
  for (const id of seen) if (missed.has(id)) return `write ${id} is atomic and would be torn`;
  return null;
}

/** The pending writes that have an open unit, by id and by their number. */
export class WritesById {
  readonly #writes: readonly PendingWrite[];
  readonly #nth: ReadonlyMap<number, number>;

  constructor({ writes, open }: Pending) {
    const used = new Set(open.flatMap(({ versions }) => versions));
    this.#writes = writes.filter(({ id }) => used.has(id));
    this.#nth = new Map(this.#writes.map(({ id }, nth) => [id, nth]));
  }

  get count(): number {
    return this.#writes.length;
  }

  at(nth: number): PendingWrite {
    return this.#writes[nth];
  }

  nth(id: number): number {
    const nth = this.#nth.get(id);
    if (nth === undefined)
      throw new InvariantError(`a unit has a version of the unknown write ${id}`);
    return nth;
  }

  of(id: number): PendingWrite {
    return this.#writes[this.nth(id)];
  }
}

const known = new WeakMap<Pending, WritesById>();

/** Made once for each Pending. */
export function writesById(pending: Pending): WritesById {
  const made = known.get(pending) ?? new WritesById(pending);
  known.set(pending, made);
  return made;
}

// Folding a recording into the lines of a diagram: consecutive steps of one engine function of one
// actor are one line, a sleep is a line, a finding is a line.

import type { Finding } from '../../engine/finding.js';
import type { Word } from '../../engine/memory/word-names.js';
import { type Effect, effectOf, effectsText, type Interest, sleepText } from './effects.js';
import { type TitledFunction, titledFunction, withTitle } from './functions.js';
import type { Event, Recording } from './record.js';
import type { LockState, PageState, World } from './world.js';

/** A line of a diagram. */
export interface Line {
  /** From 1. */
  readonly number: number;
  readonly actor: number;
  readonly kind: 'step' | 'sleep' | 'finding' | 'power-cut';
  readonly text: string;
  /** The engine function that did it; null for what none did. */
  readonly function: string | null;
  /** The actor wanted to go on after it, but another went. */
  readonly preempted: boolean;
  /** The pages that the line touched, as they are after it. */
  readonly pages: readonly PageState[];
  /** The locks that somebody waits for in this run, as they are after it. */
  readonly locks: readonly LockState[];
  readonly finding: Finding | null;
}

/** An effect of an event, and the line that tells it. For those who explain what broke. */
export interface Told {
  readonly line: number;
  readonly event: Extract<Event, { kind: 'access' }>;
  readonly effect: Effect;
  /** Was the page under writeback, dirty, in a file when it happened? */
  readonly page: PageState | null;
}

export interface Folded {
  readonly lines: readonly Line[];
  readonly told: readonly Told[];
}

/** Effects that one line holds at most. */
const EFFECTS_MAX = 8;

/** The lines of a recording. `world` must be fresh; it ends in the state of the run's end. */
export function foldLines(world: World, recording: Recording): Folded {
  const folder = new Folder(world, recording);
  for (const event of recording.events) folder.take(event);
  if (recording.powerCutBy >= 0) folder.powerCut(recording.powerCutBy);
  folder.flush();
  return folder;
}

interface Open {
  readonly actor: number;
  readonly title: string;
  readonly function: string;
  readonly effects: Effect[];
  readonly pages: Set<number>;
}

class Folder implements Folded {
  readonly lines: Line[] = [];
  readonly told: Told[] = [];
  private readonly contended: ReadonlySet<number>;
  private readonly interest: Interest;
  private open: Open | null = null;

  constructor(
    private readonly world: World,
    recording: Recording,
  ) {
    this.contended = world.contended();
    const cycles = recording.findings
      .filter(({ kind }) => kind === 'lockdep')
      .map(({ message }) => message)
      .join(' ');
    this.interest = {
      locks: (address, word) => this.contended.has(address) || cycles.includes(lockClassOf(word)),
    };
  }

  take(event: Event): void {
    switch (event.kind) {
      case 'access':
        this.access(event);
        break;
      case 'sleep':
        this.flush();
        this.push({
          actor: event.actor,
          kind: 'sleep',
          text: sleepText(this.world, event),
          function: event.functions.at(-1) ?? null,
        });
        break;
      case 'wake': {
        const names = event.woken.map((actor) => this.world.actorName(actor)).join(', ');
        this.add(event.actor, event.functions, {
          kind: 'said',
          text: `wakes ${names}`,
          pages: [],
        });
        break;
      }
      case 'finding':
        this.flush();
        this.push({
          actor: event.actor,
          kind: 'finding',
          text: `${event.finding.kind}: ${event.finding.message}`,
          function: null,
          finding: event.finding,
        });
        break;
      case 'preempted':
        this.flush();
        this.markPreempted(event.actor);
        break;
      case 'end':
        this.flush();
        break;
    }
  }

  powerCut(actor: number): void {
    this.flush();
    this.push({ actor, kind: 'power-cut', text: 'the power is cut', function: null });
  }

  /** Ends the line that is being collected. */
  flush(): void {
    const { open } = this;
    this.open = null;
    if (open === null || isOnlyLocking(open.effects)) return;
    const effects = effectsText(
      withoutCopiedReads(open.effects),
      this.world.geometry.pageBytes >>> 2,
    );
    this.push({
      actor: open.actor,
      kind: 'step',
      text: withTitle(open.title, effects),
      function: open.function,
      pages: [...open.pages].map((pfn) => this.world.page(pfn)),
    });
  }

  private access(event: Extract<Event, { kind: 'access' }>): void {
    const effect = effectOf(this.world, event, this.interest);
    // The line that is collected shows the state after it: it ends before another one changes that.
    const titled = titledFunction(event.functions);
    if (effect !== null && !this.continues(event.actor, titled)) this.flush();
    if (effect !== null) {
      const pfn = effect.kind === 'content' ? effect.pfn : effect.pages.at(0);
      this.told.push({
        line: this.lines.length + 1,
        event,
        effect,
        page: pfn === undefined ? null : this.world.page(pfn),
      });
    }
    this.world.apply(event);
    if (effect !== null) this.add(event.actor, event.functions, effect);
  }

  private continues(actor: number, { name, title }: TitledFunction): boolean {
    const { open } = this;
    return (
      open !== null &&
      open.actor === actor &&
      (title === '' ? open.function === name : open.title === title) &&
      open.effects.length < EFFECTS_MAX
    );
  }

  private add(actor: number, functions: readonly string[], effect: Effect): void {
    const { name, title } = titledFunction(functions);
    if (!this.continues(actor, { name, title })) this.flush();
    this.open ??= { actor, title, function: name, effects: [], pages: new Set() };
    this.open.effects.push(effect);
    const pages = effect.kind === 'content' ? [effect.pfn] : effect.pages;
    for (const pfn of pages) this.open.pages.add(pfn);
  }

  private push(
    line: Pick<Line, 'actor' | 'kind' | 'text' | 'function'> &
      Partial<Pick<Line, 'pages' | 'finding'>>,
  ): void {
    this.lines.push({
      number: this.lines.length + 1,
      preempted: false,
      pages: [],
      locks: [...this.contended].map((address) => this.world.lock(address)),
      finding: null,
      ...line,
    });
  }

  private markPreempted(actor: number): void {
    const at = this.lines.findLastIndex((line) => line.actor === actor && line.kind !== 'finding');
    if (at >= 0) this.lines[at] = { ...this.lines[at], preempted: true };
  }
}

/** What is read only to be stored elsewhere is told by the store. */
function withoutCopiedReads(effects: readonly Effect[]): Effect[] {
  return effects.filter((effect, i) => {
    if (effect.kind !== 'content' || effect.verb !== 'reads') return true;
    const next = effects.at(i + 1);
    if (next === undefined) return true;
    return next.kind === 'content' ? next.verb !== 'stores' : next.stores !== true;
  });
}

/** The folio lock, taken and released around a look that changed nothing. */
function isOnlyLocking(effects: readonly Effect[]): boolean {
  return (
    effects.length === 2 &&
    effects.every((effect) => effect.kind === 'said' && /^(un)?locks page \d+$/.test(effect.text))
  );
}

/** The class by which lockdep calls a lock: the first word of its name. */
function lockClassOf(word: Word): string {
  return word.name.split(' of ')[0];
}

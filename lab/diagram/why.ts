// Why it broke, as far as the recording shows it: facts with the numbers of their lines, no guesses.

import type { Finding, FindingKind } from '../../engine/finding.js';
import { sleepText } from './effects.js';
import type { Line, Told } from './lines.js';
import type { Event, Recording } from './record.js';
import type { World } from './world.js';

/** A fact that explains a finding. */
export interface Reason {
  readonly text: string;
  /** The lines that it is about. */
  readonly lines: readonly number[];
}

/** What the explanations are made of. `world` is in the state of the run's end. */
export interface Evidence {
  readonly world: World;
  readonly recording: Recording;
  readonly lines: readonly Line[];
  readonly told: readonly Told[];
}

/** The facts behind one finding, in the order of the run. */
export function reasonsFor(evidence: Evidence, finding: Finding): Reason[] {
  const end = evidence.lines.find((line) => line.finding === finding)?.number;
  const told = evidence.told.filter(({ line }) => end === undefined || line < end);
  return (EXPLAIN[finding.kind] ?? noReason)({ ...evidence, told }, finding);
}

type Explain = (evidence: Evidence, finding: Finding) => Reason[];

const EXPLAIN: Partial<Record<FindingKind, Explain>> = {
  'torn-write': torn,
  'lost-write': strayStores,
  'foreign-write': strayStores,
  bug: missingBuffers,
  warn: missingBuffers,
  hang: waits,
};

function noReason(): Reason[] {
  return [];
}

type Content = Extract<Told['effect'], { kind: 'content' }>;
interface ToldContent extends Told {
  readonly effect: Content;
}

function contents(told: readonly Told[]): ToldContent[] {
  return told.flatMap((each) =>
    each.effect.kind === 'content' ? [{ ...each, effect: each.effect }] : [],
  );
}

/** The checksum, the store after it, and the read for the disk after that. */
function torn(evidence: Evidence, finding: Finding): Reason[] {
  const { world } = evidence;
  const all = contents(evidence.told);
  const sample = all.findLast(({ effect }) => effect.verb === 'samples');
  if (sample === undefined) return strayStores(evidence, finding);
  const { pfn } = sample.effect;
  const writer = sample.event.actor;
  const first = all.find(
    ({ effect, event, line }) =>
      effect.pfn === pfn &&
      effect.verb === 'samples' &&
      event.actor === writer &&
      line === sample.line,
  );
  const after = all.slice(all.indexOf(first ?? sample));
  const stores = after.filter(
    ({ effect, event }) => effect.verb === 'stores' && effect.pfn === pfn && event.actor !== writer,
  );
  if (stores.length === 0) return [];
  const reads = after
    .slice(after.indexOf(stores[0]))
    .filter(({ effect, event }) => effect.verb === 'reads' && event.actor === writer);
  const name = world.actorName(writer);
  return [
    {
      text:
        `${name} samples the checksum at line ${String(sample.line)}; ` +
        `${storesText(world, stores)}, under writeback; ` +
        `${name} reads the page for the disk at ${linesText(reads.map(({ line }) => line))}`,
      lines: [...new Set([sample, ...stores, ...reads].map(({ line }) => line))],
    },
    ...pastPageTables(evidence, stores[0]),
  ];
}

/** Write-protection holds back CPUs; who stores through a pin does not ask the page tables. */
function pastPageTables({ told, world }: Evidence, store: ToldContent): Reason[] {
  if (store.event.functions.includes('storeUser')) return [];
  const before = told.filter(({ line }) => line < store.line);
  const says = (start: string): Told | undefined =>
    before.findLast(
      ({ effect }) =>
        effect.kind === 'said' &&
        effect.text.startsWith(start) &&
        effect.pages.includes(store.effect.pfn),
    );
  const pin = says('pins ') ?? says('gets ');
  const protect = says('write-protects ');
  const who = world.actorName(store.event.actor);
  if (pin === undefined) {
    if (store.page === null || store.page.pins === 0) return [];
    return [{ text: `${who} stores through a pin that is older than this run`, lines: [] }];
  }
  const reference =
    pin.effect.kind === 'said' && pin.effect.text.startsWith('pins') ? 'pin' : 'get';
  const mkclean =
    protect === undefined
      ? ''
      : `; mkclean at line ${String(protect.line)} write-protects mappings, which holds back CPUs only`;
  return [
    {
      text: `${who} stores through the ${reference} of line ${String(pin.line)}${mkclean}`,
      lines: [pin.line, ...(protect === undefined ? [] : [protect.line])],
    },
  ];
}

/** Stores into a page that nothing will write: clean, or of no file any more. */
function strayStores({ world, told, recording }: Evidence, { task }: Finding): Reason[] {
  const actors = recording.taskIds.map((_, actor) => world.actorName(actor));
  // A finding that names one of them is about what that one stored.
  const isAbout = (name: string): boolean => name === task || !actors.includes(task);
  const reasons: Reason[] = [];
  for (const store of contents(told)) {
    if (store.effect.verb !== 'stores' || store.page === null) continue;
    if (!isAbout(world.actorName(store.event.actor))) continue;
    const { page } = store;
    // Who holds the folio lock fills it, or marks it dirty afterwards.
    const isTracked = ['dirty', 'writeback', 'locked'].some((flag) => page.flags.includes(flag));
    const state = page.free
      ? 'after it was freed'
      : page.file === null
        ? 'when no file owns it'
        : isTracked
          ? null
          : 'when it is clean and not under writeback';
    if (state === null || reasons.some(({ lines }) => lines.includes(store.line))) continue;
    const taken = page.file === null ? takenOut(told, store) : undefined;
    const since =
      taken === undefined
        ? ''
        : `: ${world.actorName(taken.event.actor)} took it out at line ${String(taken.line)}`;
    reasons.push({
      text: `${storesText(world, [store])} ${state}${since}`,
      lines: [...(taken === undefined ? [] : [taken.line]), store.line],
    });
  }
  return reasons;
}

/** The last time before a store that its page left a file. */
function takenOut(told: readonly Told[], store: ToldContent): Told | undefined {
  const text = `takes page ${String(store.effect.pfn)} out of`;
  return told.findLast(
    ({ effect, line }) =>
      effect.kind === 'said' && line < store.line && effect.text.startsWith(text),
  );
}

/** Who took the buffers off, and who dirtied the page without them. */
function missingBuffers({ told, world }: Evidence): Reason[] {
  return told.flatMap(({ effect, event, line, page }) => {
    if (effect.kind !== 'said' || page === null) return [];
    const who = world.actorName(event.actor);
    const at = `at line ${String(line)}`;
    if (effect.text.includes('strips the buffers')) {
      return [
        { text: `${who} strips the buffers of page ${String(page.pfn)} ${at}`, lines: [line] },
      ];
    }
    const dirties = effect.text.startsWith('dirties') && !page.flags.includes('private');
    if (!dirties || page.file === null) return [];
    return [
      { text: `${who} dirties page ${String(page.pfn)} ${at}: it has no buffers`, lines: [line] },
    ];
  });
}

/** What everybody who never went on waits for. */
function waits({ recording, world, lines }: Evidence): Reason[] {
  const last = new Map<number, Event>();
  for (const event of recording.events)
    if (event.kind !== 'preempted') last.set(event.actor, event);
  return [...last].flatMap(([actor, event]) => {
    if (event.kind !== 'sleep') return [];
    const line = lines.findLast((each) => each.actor === actor)?.number ?? 0;
    const text = `${world.actorName(actor)} ${sleepText(world, event)}, for ever (line ${String(line)})`;
    return [{ text, lines: [line] }];
  });
}

function storesText(world: World, stores: readonly ToldContent[]): string {
  const [{ event, effect }] = stores;
  const page = `page ${String(effect.pfn)}`;
  return `${world.actorName(event.actor)} stores into ${page} at ${linesText(stores.map(({ line }) => line))}`;
}

function linesText(lines: readonly number[]): string {
  const distinct = [...new Set(lines)].map(String);
  return `${distinct.length > 1 ? 'lines' : 'line'} ${distinct.join(' and ')}`;
}

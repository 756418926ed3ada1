// Cuts the power at every crash point of a run, looks at the images that may be left, and says which of
// them do not recover as promised. Images are told apart by their hash, recovered ones once more; what is
// checked again at a later point is what was promised meanwhile.

import { pick, stateOf } from '../../../engine/block/power-cut.js';
import { images, planImages } from '../../../engine/block/power-cut-images.js';
import { decodeSuperblock } from '../../../engine/fs/superblock.js';
import { type Minimal, minimise } from './minimise.js';
import { mountAndCompare } from './mount.js';
import { type Found, type FoundTree, Recoverer } from './recover.js';
import { BLOCK_BYTES, SECTOR_BYTES, SectorImage } from './sectors.js';
import { CrashPoints, matters, type Unsettled } from './trace.js';
import { type Allowed, allowedAt, type FoundState, FoundStates, Judge } from './verdict.js';
import type { Run } from './workload.js';

export interface ExploreOptions {
  /** Bytes that a cut keeps or loses together. */
  readonly unitBytes: 512 | 4096;
  /** A point with more images than this is not searched exhaustively. */
  readonly cap: number;
  /** Random images of such a point, besides those with at most two units lost, or kept. */
  readonly sample: number;
  /** Pairs of units are left out where there are more open units than this. */
  readonly pairsUpTo: number;
  readonly seed: number;
  /** Failures to minimise; the others are counted. */
  readonly failuresMax: number;
}

export interface Failure {
  /** The crash point: how many events had happened. */
  readonly point: number;
  /** Finds the image again (power-cut.ts), given the same run. */
  readonly state: string;
  readonly problem: string;
  /** The units lost in the smallest failing image, in words. */
  readonly minimal: Minimal;
}

export interface Report {
  readonly events: number;
  readonly points: number;
  /** Ways to choose a version of each unit, summed over all points (B7); those of them that differ. */
  readonly choices: bigint;
  readonly images: bigint;
  /** Points that were not searched exhaustively: too many images; of those, too many pairs of units. */
  readonly capped: number;
  readonly withoutPairs: number;
  /** Images looked at, point by point; those that differ; recovered volumes that differ. */
  readonly looked: number;
  readonly distinct: number;
  readonly recovered: number;
  /** Recovered states judged, each under every set of promises that it was found under. */
  readonly judged: number;
  readonly replays: number;
  readonly checks: number;
  /** Volumes mounted by the engine; recoveries that were cut short and begun again. */
  readonly mounts: number;
  readonly interrupted: number;
  readonly openUnitsMost: number;
  readonly failed: number;
  readonly failures: readonly Failure[];
}

/** Of so many recoveries one is cut short. */
const INTERRUPTED = 16;

/** What an image recovers to: a state, or what is wrong with it. */
type Outcome = FoundState | string;

/** Searches all crash points of a run. */
export function explore(run: Run, options: ExploreOptions): Report {
  return new Explorer(run, options).search();
}

/**
 * Looks at one image again.
 * @param state as Failure.state
 * @returns what is wrong with it, or null
 * @throws Errno EINVAL for a state that does not fit the crash point
 */
export function replayImage(
  run: Run,
  options: ExploreOptions,
  point: number,
  state: string,
): string | null {
  return new Explorer(run, options).replay(point, state);
}

class Explorer {
  private readonly image: SectorImage;
  private readonly recoverer: Recoverer;
  private readonly states: FoundStates;
  private readonly judge: Judge;
  /** By hash of an image, and by hash of one whose journal was replayed. */
  private readonly outcomes = new Map<number, Outcome>();
  private readonly recovered = new Map<number, Outcome>();
  private readonly mounted = new Map<FoundTree, Map<string, string | null>>();
  private mounts = 0;
  private interrupted = 0;
  /** What changed in the image since undo() last, as pairs of sector and what it held. */
  private readonly undoLog: number[] = [];
  private readonly failures: Failure[] = [];
  private readonly seen = new Set<string>();
  private looked = 0;
  private judged = 0;
  private failed = 0;

  constructor(
    private readonly run: Run,
    private readonly options: ExploreOptions,
  ) {
    const { store, base, actors } = run;
    const sizeBytes = base.length * SECTOR_BYTES;
    const first = new SectorImage(store, base, 0, 0);
    const block = new Int32Array(BLOCK_BYTES / 4);
    first.read(0, 1, block);
    const { journalStart, journalBlocks } = decodeSuperblock(block, sizeBytes);
    this.image = new SectorImage(store, base, journalStart, journalStart + journalBlocks);
    this.recoverer = new Recoverer(store, sizeBytes);
    this.states = new FoundStates(
      store,
      actors.map(({ folder }) => folder),
    );
    this.judge = new Judge(actors, store);
  }

  search(): Report {
    const { trace, actors } = this.run;
    const points = this.points();
    const changes = new Set(
      actors.flatMap(({ names, files }) => [names, ...files].flatMap((h) => [...h.changes()])),
    );
    const totals = { choices: 0n, images: 0n, capped: 0, withoutPairs: 0, openUnitsMost: 0 };
    let found = new Map<Outcome, Int32Array>();
    let point = points.at(0);
    let allowed = allowedAt(actors, 0);
    for (let at = 0; at <= trace.length; at++) {
      const fresh = at === 0 || matters(trace.events[at - 1]);
      if (fresh) {
        point = points.at(at);
        found = this.look(point, at);
      }
      if (at === 0 || changes.has(at)) allowed = allowedAt(actors, at);
      if (fresh || changes.has(at)) this.judgeAll(found, allowed, point, at);
      const plan = this.plan(point, at);
      totals.choices += point.choices;
      totals.images += point.images;
      totals.capped += plan.exhaustive ? 0 : 1;
      totals.withoutPairs += plan.exhaustive || plan.pairs ? 0 : 1;
      totals.openUnitsMost = Math.max(totals.openUnitsMost, point.pending.open.length);
    }
    return {
      events: trace.length,
      points: trace.length + 1,
      ...totals,
      looked: this.looked,
      distinct: this.outcomes.size,
      recovered: this.recovered.size,
      judged: this.judged,
      ...this.recoverer.runs,
      mounts: this.mounts,
      interrupted: this.interrupted,
      failed: this.failed,
      failures: this.failures,
    };
  }

  private points(): CrashPoints {
    const { trace, base, store } = this.run;
    return new CrashPoints(trace, base, store, this.options.unitBytes);
  }

  replay(at: number, state: string): string | null {
    const point = this.points().at(at);
    this.cursorAt(point).to(pick(point.pending, state));
    return this.problemOf(this.outcome(), allowedAt(this.run.actors, at));
  }

  /** The images at a crash point, and what they recover to; of each outcome one image. */
  private look(point: Unsettled, at: number): Map<Outcome, Int32Array> {
    const { pending } = point;
    const found = new Map<Outcome, Int32Array>();
    const cursor = this.cursorAt(point);
    const { limits, most } = this.plan(point, at);
    let count = 0;
    for (const choices of images(pending, limits)) {
      if (count++ === most) break;
      cursor.to(choices);
      this.looked++;
      const outcome = this.outcome();
      if (!found.has(outcome)) found.set(outcome, choices.slice());
    }
    return found;
  }

  /** How a point is searched. */
  private plan(point: Unsettled, at: number) {
    const { cap, sample, pairsUpTo, seed } = this.options;
    const { open } = point.pending;
    const limits = { exhaustUpTo: cap, sample, seed: (seed * 65_537 + at * 4099) >>> 0 };
    const { exhaustive } = planImages(point.pending, limits);
    const pairs = open.length <= pairsUpTo;
    // Everything lost, everything kept, one unit lost, one kept, the sample; pairs come last.
    const singles = 2 + 2 * open.reduce((sum, { versions }) => sum + versions.length, 0) + sample;
    return {
      limits,
      exhaustive,
      pairs,
      most: exhaustive || pairs ? Number.POSITIVE_INFINITY : singles,
    };
  }

  /** Brings the image to the floor of a point, and from one choice to the next. */
  private cursorAt(point: Unsettled): { to(choices: Int32Array): void } {
    const { image } = this;
    for (const [sector, id] of point.floor.entries())
      if (image.ids[sector] !== id) image.set(sector, id);
    const current = new Int32Array(point.pending.open.length);
    return {
      to(choices) {
        for (let nth = 0; nth < current.length; nth++) {
          if (choices[nth] === current[nth]) continue;
          current[nth] = choices[nth];
          const first = point.firstSector(nth);
          const sectors = point.sectors(nth, choices[nth]);
          for (let i = 0; i < sectors.length; i++) image.set(first + i, sectors[i]);
        }
      },
    };
  }

  /** What the image as it is now recovers to. */
  private outcome(): Outcome {
    const hash = this.image.hash();
    let outcome = this.outcomes.get(hash);
    if (outcome === undefined) {
      outcome = this.recover();
      this.outcomes.set(hash, outcome);
    }
    return outcome;
  }

  private recover(): Outcome {
    const { image, recoverer, undoLog } = this;
    const problem = recoverer.replayInto(image, (sector) => {
      undoLog.push(sector, image.ids[sector]);
    });
    const hash = image.contentHash();
    const known = problem ?? this.recovered.get(hash);
    const found = known === undefined ? this.find() : null;
    const torn = problem === null && hash % INTERRUPTED === 0 && !this.recoversAgain(hash);
    this.undo(0);
    let outcome = known ?? found?.outcome ?? '';
    if (found?.tree !== undefined && typeof outcome !== 'string')
      outcome = this.mount(outcome, found.tree) ?? outcome;
    if (torn) outcome = 'a recovery that was cut short and begun again gave another volume';
    if (problem === null) this.recovered.set(hash, outcome);
    return outcome;
  }

  /** What is on the image, whose journal was replayed. */
  private find(): { readonly outcome: Outcome; readonly tree?: FoundTree } {
    const found: Found = this.recoverer.find(this.image);
    if (found.problem !== null) return { outcome: found.problem };
    return { outcome: this.states.of(found.tree, this.image), tree: found.tree };
  }

  /** Loses every other sector of what the recovery wrote home, and recovers again. */
  private recoversAgain(hash: number): boolean {
    const { image, undoLog, recoverer } = this;
    this.interrupted++;
    const end = undoLog.length;
    for (let at = 0; at < end; at += 4) {
      undoLog.push(undoLog[at], image.ids[undoLog[at]]);
      image.set(undoLog[at], undoLog[at + 1]);
    }
    const problem = recoverer.replayInto(image, (sector) => {
      undoLog.push(sector, image.ids[sector]);
    });
    const again = image.contentHash();
    this.undo(end);
    return problem === null && again === hash;
  }

  private undo(to: number): void {
    while (this.undoLog.length > to) {
      const id = this.undoLog.pop() ?? 0;
      this.image.set(this.undoLog.pop() ?? 0, id);
    }
  }

  /** Mounts the first image of each tree of names, and of each set of files with something behind their end. */
  private mount(state: FoundState, tree: FoundTree): string | null {
    const stale = state.actors.map(({ files }) =>
      [...files].flatMap(([path, { staleTail }]) => (staleTail ? [path] : [])).join(),
    );
    const key = stale.join(' ');
    const known = this.mounted.get(tree) ?? new Map<string, string | null>();
    this.mounted.set(tree, known);
    let problem = known.get(key);
    if (problem === undefined) {
      this.mounts++;
      const folders = this.run.actors.map(({ folder }) => folder);
      problem = mountAndCompare(this.image, state, folders);
      known.set(key, problem);
    }
    return problem;
  }

  private judgeAll(
    found: ReadonlyMap<Outcome, Int32Array>,
    allowed: Allowed,
    point: Unsettled,
    at: number,
  ): void {
    for (const [outcome, choices] of found) {
      this.judged++;
      const problem = this.problemOf(outcome, allowed);
      if (problem === null) continue;
      this.failed++;
      if (this.seen.has(problem) || this.failures.length >= this.options.failuresMax) continue;
      this.seen.add(problem);
      const cursor = this.cursorAt(point);
      const minimal = minimise(point.pending, choices, (tried) => {
        cursor.to(tried);
        return this.problemOf(this.outcome(), allowed) !== null;
      });
      const state = stateOf(point.pending, minimal.choices);
      this.failures.push({ point: at, state, problem, minimal });
    }
  }

  private problemOf(outcome: Outcome, allowed: Allowed): string | null {
    return typeof outcome === 'string' ? outcome : this.judge.problemOf(outcome, allowed);
  }
}

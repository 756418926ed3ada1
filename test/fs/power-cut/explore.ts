// Cuts the power at every crash point of a run, looks at the images that may be left, and says which of
// them do not recover as promised. Images are told apart by their hash, recovered ones once more; what is
// checked again at a later point is what was promised meanwhile.

import { stateOf } from '../../../engine/block/power-cut.js';
import { images, planImages } from '../../../engine/block/power-cut-images.js';
import { decodeSuperblock } from '../../../engine/fs/superblock.js';
import { type Minimal, minimise } from './minimise.js';
import { type Found, type FoundTree, Recoverer } from './recover.js';
import { BLOCK_BYTES, SECTOR_BYTES, SectorImage } from './sectors.js';
import { CrashModel, type CrashPoint } from './trace.js';
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
  /** Called with the first image of each recovered tree of names; returns what is wrong, or null. */
  readonly mount?: (image: SectorImage, state: FoundState, tree: FoundTree) => string | null;
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
  readonly mounts: number;
  readonly openUnitsMost: number;
  readonly failed: number;
  readonly failures: readonly Failure[];
}

/** What an image recovers to: a state, or what is wrong with it. */
type Outcome = FoundState | string;

/** Searches all crash points of a run. */
export function explore(run: Run, options: ExploreOptions): Report {
  return new Explorer(run, options).search();
}

export class Explorer {
  private readonly image: SectorImage;
  private readonly recoverer: Recoverer;
  private readonly states: FoundStates;
  private readonly judge: Judge;
  /** By hash of an image, and by hash of one whose journal was replayed. */
  private readonly outcomes = new Map<number, Outcome>();
  private readonly recovered = new Map<number, Outcome>();
  private readonly mounted = new Map<FoundTree, string | null>();
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
    const { trace, base, actors } = this.run;
    const model = new CrashModel(trace, base, this.options.unitBytes / SECTOR_BYTES);
    const changes = new Set(
      actors.flatMap(({ names, files }) => [names, ...files].flatMap((h) => [...h.changes()])),
    );
    const totals = { choices: 0n, images: 0n, capped: 0, withoutPairs: 0, openUnitsMost: 0 };
    let found = new Map<Outcome, Int32Array>();
    let point = model.point();
    let allowed = allowedAt(actors, 0);
    for (let at = 0; at <= trace.length; at++) {
      const fresh = at === 0 || model.apply(trace.events[at - 1]);
      if (fresh) {
        point = model.point();
        found = this.look(model, point, at);
      }
      if (at === 0 || changes.has(at)) allowed = allowedAt(actors, at);
      if (fresh || changes.has(at)) this.judgeAll(found, allowed, model, point, at);
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
      mounts: this.mounted.size,
      failed: this.failed,
      failures: this.failures,
    };
  }

  /** The images at a crash point, and what they recover to; of each outcome one image. */
  private look(model: CrashModel, point: CrashPoint, at: number): Map<Outcome, Int32Array> {
    const { pending } = point;
    const found = new Map<Outcome, Int32Array>();
    const cursor = this.cursorAt(model, point);
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
  private plan(point: CrashPoint, at: number) {
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
  private cursorAt(model: CrashModel, point: CrashPoint): { to(choices: Int32Array): void } {
    const { image } = this;
    for (const [sector, id] of model.floor.entries())
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
    const { image, recoverer } = this;
    let fresh: { state: FoundState; tree: FoundTree } | null = null;
    let outcome: Outcome;
    const problem = recoverer.replayInto(image, (sector) => {
      this.undoLog.push(sector, image.ids[sector]);
    });
    const hash = image.contentHash();
    const known = problem ?? this.recovered.get(hash);
    if (known !== undefined) outcome = known;
    else {
      const found: Found = recoverer.find(image);
      if (found.problem !== null) outcome = found.problem;
      else {
        const state = this.states.of(found.tree, image);
        outcome = state;
        if (this.mounted.has(found.tree)) outcome = this.mounted.get(found.tree) ?? state;
        else fresh = { state, tree: found.tree };
      }
      this.recovered.set(hash, outcome);
    }
    while (this.undoLog.length > 0) {
      const id = this.undoLog.pop() ?? 0;
      image.set(this.undoLog.pop() ?? 0, id);
    }
    if (fresh === null) return outcome;
    const wrong = this.options.mount?.(image, fresh.state, fresh.tree) ?? null;
    this.mounted.set(fresh.tree, wrong);
    return wrong ?? outcome;
  }

  private judgeAll(
    found: ReadonlyMap<Outcome, Int32Array>,
    allowed: Allowed,
    model: CrashModel,
    point: CrashPoint,
    at: number,
  ): void {
    for (const [outcome, choices] of found) {
      this.judged++;
      const problem = this.problemOf(outcome, allowed);
      if (problem === null) continue;
      this.failed++;
      if (this.seen.has(problem) || this.failures.length >= this.options.failuresMax) continue;
      this.seen.add(problem);
      const cursor = this.cursorAt(model, point);
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

// Explores a recording: checks every legal image of its crash points, several side by side, and sums up.

import { pick } from '../../../engine/block/power-cut.js';
import type { ImageLimits } from '../../../engine/block/power-cut-images.js';
import { crashPoints, EventNames, type PointKind } from '../../../engine/block/recording/points.js';
import type { Recording } from '../../../engine/block/recording/reader.js';
import type { CrashPoint } from '../../../engine/block/recording/replay.js';
import { Timeline } from '../../../engine/block/recording/timeline.js';
import type { Checker } from './checker.js';
import { type FailureGroup, Failures, keyOf, messageOf } from './failures.js';
import { Job } from './job.js';
import { minimise } from './minimise.js';
import { type ExploreReport, type ReportedFailure, reportOf } from './report.js';
import { imagesToCheck, type PointProgress, stateOfWork, type Work } from './source.js';
import type { Progress, StateFile } from './state-file.js';
import { describeImage, lastMark } from './words.js';

/** So many different failures are made small. */
const MINIMISED_MAX = 10;

export interface ExploreOptions {
  readonly recording: Recording;
  readonly checker: Checker;
  readonly points: PointKind;
  readonly limits: ImageLimits;
  /** At most so many images of a point that has more. */
  readonly limit: number;
  /** Checks after which the search stops; null: none. */
  readonly budget: number | null;
  /** Stop at the first failure. */
  readonly first: boolean;
  readonly jobs: number;
  /** For images and sockets; whoever made it removes it. */
  readonly folder: string;
  readonly stateFile: StateFile | null;
  readonly done: Progress;
  readonly breathe: () => Promise<void>;
  readonly onProgress: (now: ExploreProgress) => void;
}

export interface ExploreProgress {
  readonly points: number;
  readonly pointsDone: number;
  readonly checked: number;
  readonly failures: number;
  readonly checksPerSecond: number;
}

export class Exploration {
  readonly #positions: readonly number[];
  readonly #timeline: Timeline;
  readonly #names: EventNames;
  readonly #failures = new Failures();
  readonly #done = new Map<number, PointProgress>();
  readonly #seen: Set<string>;
  readonly #unfinished = new Set<PointProgress>();
  readonly #resumed: number;
  readonly #began = performance.now();
  #checked = 0;
  /** Checks that were begun, or are about to be. */
  #reserved = 0;
  /** Of the search alone, without what making failures small takes. */
  #searchSeconds = 0;
  #overBudget = false;
  #stop = false;

  constructor(private readonly options: ExploreOptions) {
    const { recording, points, done } = options;
    this.#positions = crashPoints(recording, points).flat();
    this.#timeline = new Timeline(recording);
    this.#names = new EventNames(recording.events);
    this.#seen = new Set(done.checked);
    this.#resumed = this.#seen.size;
    for (const failed of done.failures) this.#failures.add(failed);
    for (const { position, count, exhaustive, listed } of done.points) {
      const known = count === null ? null : BigInt(count);
      const state = { listing: false, underWay: 0, checked: [] };
      this.#done.set(position, { position, count: known, exhaustive, listed, ...state });
    }
  }

  /**
   * Checks images until there are none, or the signal says so: then the report is of what was done.
   * @throws CliError ENOENT if the checker can't be run; what making images throws
   */
  async run(signal: AbortSignal): Promise<ExploreReport> {
    const { recording, checker, folder } = this.options;
    const jobs: Job[] = [];
    try {
      for (let i = 0; i < this.options.jobs; i++)
        jobs.push(await Job.start(recording, this.#timeline, checker, folder, i));
      await this.#explore(jobs, signal);
      const groups = this.#failures.groups;
      const told: ReportedFailure[] = [];
      for (const [i, group] of groups.entries()) {
        const small = i < MINIMISED_MAX && !signal.aborted;
        told.push(await this.#tell(jobs[0], group, small, signal));
      }
      if (!signal.aborted && !this.#stop) this.options.stateFile?.remove();
      return this.#report(told, signal.aborted);
    } finally {
      for (const job of jobs) await job.close();
    }
  }

  async #explore(jobs: readonly Job[], signal: AbortSignal): Promise<void> {
    const { recording, limits, limit, checker, breathe } = this.options;
    const work = imagesToCheck(
      this.#positions.filter((position) => !this.#done.has(position)),
      {
        recording,
        timeline: this.#timeline,
        limits,
        limit,
        withReplies: checker.uses.has('replies'),
        seen: this.#seen,
        onPoint: (progress) => this.#finishPoint(progress),
        breathe,
      },
    );
    const checking = new AbortController();
    const either = AbortSignal.any([signal, checking.signal]);
    const running = jobs.map(async (job) => {
      try {
        await this.#runJob(job, work, either);
      } catch (error) {
        // The other jobs need not go on.
        checking.abort(error);
        throw error;
      }
    });
    const results = await Promise.allSettled(running);
    this.#searchSeconds = this.#seconds();
    for (const { checked } of this.#unfinished) this.options.stateFile?.checked(checked);
    if (signal.aborted) return;
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  async #runJob(job: Job, images: AsyncGenerator<Work, void>, signal: AbortSignal): Promise<void> {
    while (!this.#stop) {
      const { budget } = this.options;
      if (budget !== null && this.#reserved >= budget) {
        this.#overBudget = true;
        return;
      }
      this.#reserved++;
      const next = await images.next();
      if (next.done === true) return;
      this.#unfinished.add(next.value.progress);
      await this.#check(job, next.value, signal);
    }
  }

  async #check(job: Job, work: Work, signal: AbortSignal): Promise<void> {
    const { point, choices, key, progress } = work;
    this.#checked++;
    const verdict = await job.check(point, choices, signal);
    if (!verdict.ok) {
      const failed = {
        key: keyOf(verdict),
        how: verdict.how,
        output: verdict.output,
        position: point.position,
        state: stateOfWork(work),
        lostUnits: lostUnits(point, choices),
      };
      this.#failures.add(failed);
      this.options.stateFile?.failure(failed);
      if (this.options.first) this.#stop = true;
    }
    progress.checked.push(key);
    progress.underWay--;
    if (!progress.listing && progress.underWay === 0) this.#finishPoint(progress);
    this.options.onProgress({
      points: this.#positions.length,
      pointsDone: this.#done.size,
      checked: this.#checked,
      failures: this.#failures.images,
      checksPerSecond: this.#checked / this.#seconds(),
    });
  }

  #seconds(): number {
    return (performance.now() - this.#began) / 1000;
  }

  #finishPoint(progress: PointProgress): void {
    const { position, count, exhaustive, listed, checked } = progress;
    this.#done.set(position, progress);
    this.#unfinished.delete(progress);
    const point = { position, count: count?.toString() ?? null, exhaustive, listed };
    this.options.stateFile?.point(point, checked);
  }

  /** A failure in words, and made small. */
  async #tell(
    job: Job,
    group: FailureGroup,
    small: boolean,
    signal: AbortSignal,
  ): Promise<ReportedFailure> {
    const { example } = group;
    let output = example.output;
    let how = example.how;
    const fails = async (point: CrashPoint, choices: Int32Array): Promise<boolean> => {
      const verdict = await job.check(point, choices, signal);
      if (verdict.ok || keyOf(verdict) !== group.key) return false;
      ({ output, how } = verdict);
      return true;
    };
    const as = this.#timeline.at(example.position);
    let found = {
      point: as,
      choices: pick(as.pending, example.state),
      reproduced: true,
      minimal: false,
    };
    if (small) {
      try {
        found = await minimise(
          this.#timeline,
          this.#positions,
          example.position,
          example.state,
          fails,
        );
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    }
    const { point, choices, reproduced, minimal } = found;
    const { events, header } = this.options.recording;
    return {
      message: messageOf({ output, how }),
      how,
      images: group.images,
      position: point.position,
      where: this.#names.point(events, point.position),
      lastMark: lastMark(events, point.position),
      state: stateOfWork(found),
      lostUnits: lostUnits(point, choices),
      ...describeImage(point, choices, events, header.unitBytes),
      minimal,
      reproduced,
      output,
    };
  }

  #report(failures: readonly ReportedFailure[], interrupted: boolean): ExploreReport {
    return reportOf({
      recording: this.options.recording,
      pointKind: this.options.points,
      points: this.#positions.length,
      done: [...this.#done.values(), ...this.#unfinished],
      pointsDone: this.#done.size,
      distinct: this.#seen.size,
      checked: this.#checked,
      resumed: this.#resumed,
      failingImages: this.#failures.images,
      failures,
      limits: this.options.limits,
      limit: this.options.limit,
      budget: this.#overBudget ? this.options.budget : null,
      stoppedAtFirst: this.#stop,
      interrupted,
      seconds: this.#searchSeconds,
    });
  }
}

function lostUnits({ pending }: CrashPoint, choices: Int32Array): number {
  return pending.open.filter(({ versions }, i) => choices[i] !== versions.length).length;
}

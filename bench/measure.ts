// How a figure is taken: several runs, each paired with its limit in the same run, and the median.
//
// Machines are noisy and drift, so a figure stands beside what it is measured against: the two are
// run in turn, A B A B ..., and the ratio is taken pair by pair.

/** One figure beside its limit. Field names are stable: `pinfold bench --json` prints them. */
export interface BenchResult {
  /** `pin`, or `pin@8GiB` for the growth series. */
  readonly name: string;
  /** Median over the runs. */
  readonly value: number;
  readonly unit: string;
  /** What it is measured against, with its figure in the same unit; null if against nothing. */
  readonly against: { readonly what: string; readonly value: number } | null;
  /** value / against, median over the pairs (against a constant: of the medians); null if none. */
  readonly ratio: number | null;
  /** What the project reaches for, in words, and whether this run got there. */
  readonly reach: string | null;
  readonly reached: boolean | null;
  readonly runs: readonly BenchRun[];
  /** Further figures of the same bench, by name. */
  readonly details: Readonly<Record<string, number>>;
}

export interface BenchRun {
  readonly value: number;
  readonly against: number | null;
}

/** How many runs a figure takes, and which. */
export interface BenchOptions {
  readonly runs: number;
  /** nbd only: words that the names of its cells have to contain; none for all cells. */
  readonly cells: readonly string[];
  /** nbd only: how long one run takes. */
  readonly seconds: number;
  /** Told what is being measured, for a progress line. */
  readonly onProgress: (what: string) => void;
}

export const RUNS_MIN = 1;
export const RUNS_DEFAULT = 5;
export const RUNS_MAX = 100;
export const SECONDS_MIN = 0.1;
export const SECONDS_DEFAULT = 0.8;
export const SECONDS_MAX = 60;

/** The middle of the sorted values (of the two in the middle, the mean). */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >>> 1;
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** What a bench says of itself, apart from its runs. */
export interface BenchHead {
  readonly name: string;
  readonly unit: string;
  readonly againstWhat: string | null;
  readonly reach: string | null;
  readonly isReached: ((ratio: number | null, value: number) => boolean) | null;
  readonly details?: Readonly<Record<string, number>>;
}

/** Sums runs up. */
export function summarise(head: BenchHead, runs: readonly BenchRun[]): BenchResult {
  const value = median(runs.map((run) => run.value));
  const limits = runs.flatMap((run) => (run.against === null ? [] : [run.against]));
  const ratios = runs.flatMap((run) => (run.against === null ? [] : [run.value / run.against]));
  const ratio = ratios.length === 0 ? null : median(ratios);
  return {
    name: head.name,
    value,
    unit: head.unit,
    against:
      head.againstWhat === null || limits.length === 0
        ? null
        : { what: head.againstWhat, value: median(limits) },
    ratio,
    reach: head.reach,
    reached: head.isReached === null ? null : head.isReached(ratio, value),
    runs,
    details: head.details ?? {},
  };
}

/** Nanoseconds that `work` takes for each of `count` items. */
export function nanosecondsEach(count: number, work: () => void): number {
  const start = performance.now();
  work();
  return ((performance.now() - start) * 1e6) / count;
}

// What an exploration found, as data with stable names and as text.

import type { ImageLimits } from '../../../engine/block/power-cut-images.js';
import type { PointKind } from '../../../engine/block/recording/points.js';
import type { Recording } from '../../../engine/block/recording/reader.js';
import type { PointProgress } from './source.js';

const OUTPUT_LINES = 6;

export interface ReportedFailure {
  /** The first line of what the checker said, or how it ended. */
  readonly message: string;
  readonly how: string;
  /** How many distinct images fail so. */
  readonly images: number;
  /** The crash point: so many events of the recording had happened. */
  readonly position: number;
  readonly where: string;
  /** What the client had noted last. */
  readonly lastMark: string | null;
  /** What pinfold crash image --state makes the image from. */
  readonly state: string;
  readonly lostUnits: number;
  readonly lost: string;
  readonly kept: string;
  /** No image with less lost fails so, as far as ddmin can tell. */
  readonly minimal: boolean;
  /** False if the checker passed the same image when asked again. */
  readonly reproduced: boolean;
  readonly output: string;
}

export interface ExploreReport {
  readonly recording: string;
  readonly cutShort: string | null;
  readonly events: number;
  readonly pointKind: PointKind;
  readonly points: number;
  readonly pointsDone: number;
  /** Legal images of all points that were looked at, exactly; null if some could not be counted. */
  readonly legalImages: string | null;
  readonly distinct: number;
  readonly checked: number;
  /** Of the distinct ones, those that an earlier run had checked. */
  readonly resumed: number;
  readonly failingImages: number;
  readonly failures: readonly ReportedFailure[];
  /** Every legal image of every point was checked. */
  readonly exhaustive: boolean;
  /** What kept it from being exhaustive, in words. */
  readonly caps: readonly string[];
  readonly interrupted: boolean;
  readonly seconds: number;
  readonly checksPerSecond: number;
}

export interface Findings {
  readonly recording: Recording;
  readonly pointKind: PointKind;
  readonly points: number;
  readonly pointsDone: number;
  readonly done: readonly PointProgress[];
  readonly distinct: number;
  readonly checked: number;
  readonly resumed: number;
  readonly failingImages: number;
  readonly failures: readonly ReportedFailure[];
  readonly limits: ImageLimits;
  readonly limit: number;
  /** The budget, if it was used up. */
  readonly budget: number | null;
  readonly stoppedAtFirst: boolean;
  readonly interrupted: boolean;
  /** Of the exploration, without what making failures small took. */
  readonly seconds: number;
}

export function reportOf(found: Findings): ExploreReport {
  const { recording, done, checked, seconds } = found;
  const caps = capsOf(found);
  const counts = done.map(({ count }) => count);
  const legal = counts.reduce<bigint | null>(
    (sum, count) => (sum === null || count === null ? null : sum + count),
    0n,
  );
  return {
    recording: recording.path,
    cutShort: recording.cutShort,
    events: recording.events.length,
    pointKind: found.pointKind,
    points: found.points,
    pointsDone: found.pointsDone,
    legalImages: legal?.toString() ?? null,
    distinct: found.distinct,
    checked,
    resumed: found.resumed,
    failingImages: found.failingImages,
    failures: found.failures,
    exhaustive: caps.length === 0,
    caps,
    interrupted: found.interrupted,
    seconds: Math.round(seconds * 1000) / 1000,
    checksPerSecond: Math.round(checked / Math.max(seconds, 0.001)),
  };
}

function capsOf(found: Findings): string[] {
  const { done, limits, limit, budget, stoppedAtFirst, interrupted } = found;
  const large = done.filter(({ exhaustive }) => !exhaustive);
  const cut = large.filter(({ listed }) => listed >= limit);
  const caps: string[] = [];
  if (large.length > 0) {
    const some =
      cut.length === 0 ? '' : `, ${number(limit)} images at most for ${cut.length} of them`;
    caps.push(
      `${pointsText(large.length)} with more than ${number(limits.exhaustUpTo)} legal images: those with ` +
        `at most two units lost or kept, and ${number(limits.sample)} drawn from seed ${limits.seed}${some}`,
    );
  }
  if (budget !== null) caps.push(`stopped after ${number(budget)} checks (--budget)`);
  if (stoppedAtFirst) caps.push('stopped at the first failure (--first)');
  if (interrupted) caps.push('stopped by a signal');
  return caps;
}

/** The report for people. */
export function formatReport(report: ExploreReport): string {
  const { failures, caps, points, pointsDone, pointKind, cutShort } = report;
  const legal =
    report.legalImages === null
      ? 'more legal images than can be counted'
      : `${bigNumber(report.legalImages)} legal images`;
  const before =
    report.resumed === 0 ? '' : `, ${number(report.resumed)} of them by an earlier run`;
  const early = cutShort === null ? '' : `; it ends early: ${cutShort}`;
  const distinct = `${number(report.distinct)} distinct${before}`;
  const speed = `${report.seconds.toFixed(1)} s (${number(report.checksPerSecond)}/s)`;
  const lines = [
    `${report.recording}: ${number(report.events)} events${early}`,
    `${number(pointsDone)} of ${pointsText(points)} (${pointKind}), ${legal}, ${distinct}`,
    `${number(report.checked)} checks in ${speed}, ${number(report.failingImages)} failing images`,
    caps.length === 0
      ? 'exhaustive: every legal image of these points was checked'
      : `not exhaustive: ${caps.join('; ')}`,
  ];
  for (const [i, failure] of failures.entries()) {
    lines.push('', ...formatFailure(failure, i + 1, report.recording));
  }
  return lines.join('\n');
}

function formatFailure(failure: ReportedFailure, nth: number, recording: string): string[] {
  const { message, how, images, where, lastMark, lost, kept, position, state } = failure;
  const doubt = failure.reproduced
    ? failure.minimal
      ? ''
      : ' (not made as small as possible)'
    : ' (the checker passed this image when it was asked again)';
  const said = failure.output.trimEnd().split('\n');
  const more =
    said.length > OUTPUT_LINES ? [`  | ... and ${said.length - OUTPUT_LINES} lines`] : [];
  return [
    `FAILURE ${nth}: ${message}`,
    `  ${how}, ${number(images)} ${images === 1 ? 'image' : 'images'}${doubt}`,
    `  cut:   ${where}`,
    ...(lastMark === null ? [] : [`  mark:  '${lastMark}' was the last one`]),
    `  lost:  ${lost}`,
    `  kept:  ${kept}`,
    `  again: pinfold crash image --record ${recording} --point ${position} --state '${state}' --output crash.img`,
    ...(failure.output.trim() === ''
      ? []
      : said.slice(0, OUTPUT_LINES).map((line) => `  | ${line}`)),
    ...more,
  ];
}

function pointsText(count: number): string {
  return `${number(count)} crash ${count === 1 ? 'point' : 'points'}`;
}

function number(value: number): string {
  return value.toLocaleString('en-US');
}

/** Beyond 20 digits the power of ten says enough. */
function bigNumber(digits: string): string {
  if (digits.length <= 20) return BigInt(digits).toLocaleString('en-US');
  return `about ${digits[0]}.${digits.slice(1, 3)}e${digits.length - 1}`;
}

// The images of a recording that are still to be checked, one after the other, each once.

import { stateOf } from '../../../engine/block/power-cut.js';
import { type ImageLimits, images, planImages } from '../../../engine/block/power-cut-images.js';
import type { Recording } from '../../../engine/block/recording/reader.js';
import { type CrashPoint, ImageHash } from '../../../engine/block/recording/replay.js';
import type { Timeline } from '../../../engine/block/recording/timeline.js';
import { tellingPositions } from './replies.js';

/** How far a crash point has come. */
export interface PointProgress {
  readonly position: number;
  /** How many legal images it has; null: too many to count. */
  readonly count: bigint | null;
  /** All of them are listed. */
  exhaustive: boolean;
  /** So many were listed, with those that were known. */
  listed: number;
  listing: boolean;
  /** Images that are being checked. */
  underWay: number;
  /** The keys of those that were checked. */
  readonly checked: string[];
}

/** An image to check. */
export interface Work {
  readonly point: CrashPoint;
  readonly choices: Int32Array;
  /** Equal for images with the same bytes, and, where that matters, the same replies. */
  readonly key: string;
  readonly progress: PointProgress;
}

export interface SourceOptions {
  readonly recording: Recording;
  readonly timeline: Timeline;
  readonly limits: ImageLimits;
  /** At most so many images of a point that has more legal ones. */
  readonly limit: number;
  /** The checker looks at the replies: the same image is another one when more was promised. */
  readonly withReplies: boolean;
  /** Keys that are known. */
  readonly seen: Set<string>;
  /** Called when all images of a point are checked. */
  readonly onPoint: (progress: PointProgress) => void;
  readonly breathe: () => Promise<void>;
}

/** @param positions crash points; a list that goes back to an earlier point costs a replay */
export async function* imagesToCheck(
  positions: readonly number[],
  options: SourceOptions,
): AsyncGenerator<Work, void> {
  const { recording, timeline, limits, limit, seen, withReplies } = options;
  const telling = tellingPositions(recording);
  for (const position of positions) {
    const point = timeline.at(position);
    const { count, exhaustive } = planImages(point.pending, limits);
    const progress: PointProgress = {
      position,
      count,
      exhaustive,
      listed: 0,
      listing: true,
      underWay: 0,
      checked: [],
    };
    const hash = new ImageHash(timeline.contents, point);
    const suffix = withReplies ? `@${telling[position]}` : '';
    for (const choices of images(point.pending, limits)) {
      await options.breathe();
      if (!exhaustive && progress.listed === limit) break;
      progress.listed++;
      const key = `${hash.of(choices)}${suffix}`;
      if (seen.has(key)) continue;
      seen.add(key);
      progress.underWay++;
      yield { point, choices: choices.slice(), key, progress };
    }
    progress.listing = false;
    if (progress.underWay === 0) options.onPoint(progress);
  }
}

/** The state string of an image. */
export function stateOfWork({ point, choices }: Pick<Work, 'point' | 'choices'>): string {
  return stateOf(point.pending, choices);
}

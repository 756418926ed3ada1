// Failing images, in groups that fail alike: by the first line of what the checker said, whatever numbers it names,
// or by how it ended.

import type { Verdict } from './checker.js';
import type { FailedImage } from './state-file.js';

const KEY_CHARACTERS = 200;

export interface FailureGroup {
  readonly key: string;
  /** How many images fail so. */
  images: number;
  /** The earliest of them, and of those the one that lost the fewest units. */
  example: FailedImage;
}

/** What failures have in common. */
export function keyOf(verdict: Pick<Verdict, 'output' | 'how'>): string {
  return messageOf(verdict).replaceAll(/\b(?:0x[\da-f]+|\d+)\b/gi, '#');
}

/** A failure in a line. */
export function messageOf({ output, how }: Pick<Verdict, 'output' | 'how'>): string {
  const line = output.split('\n').find((each) => each.trim() !== '');
  return (line ?? how).trim().slice(0, KEY_CHARACTERS);
}

export class Failures {
  readonly #groups = new Map<string, FailureGroup>();

  add(failed: FailedImage): void {
    const group = this.#groups.get(failed.key);
    if (group === undefined) {
      this.#groups.set(failed.key, { key: failed.key, images: 1, example: failed });
      return;
    }
    group.images++;
    const { example } = group;
    const earlier = failed.position - example.position;
    if (earlier < 0 || (earlier === 0 && failed.lostUnits < example.lostUnits))
      group.example = failed;
  }

  get images(): number {
    return [...this.#groups.values()].reduce((sum, { images }) => sum + images, 0);
  }

  /** In the order in which they were found. */
  get groups(): readonly FailureGroup[] {
    return [...this.#groups.values()];
  }
}

// Which rules a search asks for. Profiles that answer those alike come to the same result, so that
// a cell of the matrix is computed once for all of them.

import type { Profile, Rules } from '../../engine/profile/profile.js';
import { type Answer, ruleNames } from '../../engine/profile/rules.js';

/** Answers to some of the questions: those that a search asked. */
export type Asked = Readonly<Record<string, Answer>>;

/** A profile that notes which of its rules are read. */
export class AskedRules {
  /** The same answers; hand it to a search instead of the profile. */
  readonly profile: Profile;
  private readonly names: readonly (keyof Rules)[];
  private readonly seen: Uint8Array;

  constructor(private readonly original: Profile) {
    const names = ruleNames();
    const seen = new Uint8Array(names.length);
    const profile = { ...original };
    names.forEach((name, i) => {
      const answer = original[name];
      Object.defineProperty(profile, name, {
        enumerable: true,
        get: () => {
          seen[i] = 1;
          return answer;
        },
      });
    });
    this.names = names;
    this.seen = seen;
    this.profile = profile;
  }

  /** The rules read so far, with their answers. */
  asked(): Asked {
    const read = this.names.filter((_, i) => this.seen[i] === 1);
    return Object.fromEntries(read.map((name) => [name, this.original[name]]));
  }
}

/** Would a search that asked this get the same answers from these rules? */
export function answersAlike(rules: Rules, asked: Asked): boolean {
  return Object.entries(asked).every(([name, answer]) => Reflect.get(rules, name) === answer);
}

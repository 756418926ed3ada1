// Profiles that users write: a YAML or JSON file with a base and the rules that differ from it.
//
//   name: wait-for-pins
//   base: linux-6.12+P8-no-replacement
//   rules:
//     pinnedSyncAll: wait

import { readFileSync } from 'node:fs';
import { parse, YAMLParseError } from 'yaml';
import { z } from 'zod';
import type { Profile } from '../engine/profile/profile.js';
import { profileByName } from '../engine/profile/profiles.js';
import { type Answer, answersTo, isRule, ruleNames } from '../engine/profile/rules.js';
import { Errno } from '../engine/sched/errors.js';
import { nearest } from './nearest.js';

/** A slash would break the form of schedules, which name their profile. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$/;
const NAME_RULE = 'up to 64 letters, digits, dots, dashes, plus signs and underscores are meant';

const FILE = z.strictObject({
  name: z.string().regex(NAME, NAME_RULE),
  base: z.string(),
  description: z.string().optional(),
  rules: z.strictObject(
    Object.fromEntries(ruleNames().map((rule) => [rule, answerOf(rule).optional()])),
  ),
});

/** Rules of a user, and the shipped profile from which they differ. */
export interface UserProfile {
  readonly profile: Profile;
  readonly base: Profile;
}

/**
 * Reads the profile in a file.
 * @throws Errno EINVAL that names what is wrong in it and what is allowed, or the error of reading it
 */
export function readProfileFile(path: string): UserProfile {
  return parseProfile(readFileSync(path, 'utf8'), path);
}

/** @param where the file, for messages. @throws as readProfileFile() */
export function parseProfile(text: string, where: string): UserProfile {
  const parsed = FILE.safeParse(parseYaml(text, where), { reportInput: true });
  if (!parsed.success) {
    throw new Errno('EINVAL', `${where}: ${parsed.error.issues.map(sentenceOf).join('; ')}`);
  }
  const { name, description, rules } = parsed.data;
  if (isShipped(name)) {
    throw new Errno('EINVAL', `${where}: ${name} is the name of a shipped profile; give another`);
  }
  const base = baseOf(parsed.data.base, where);
  const words = description ?? `${base.name} with ${listOf(rules)}.`;
  return { profile: { ...base, ...rules, name, description: words }, base };
}

function parseYaml(text: string, where: string): unknown {
  try {
    return parse(text);
  } catch (cause) {
    if (!(cause instanceof YAMLParseError)) throw cause;
    const [line] = cause.message.split('\n');
    throw new Errno('EINVAL', `${where} is neither YAML nor JSON: ${line}`, { cause });
  }
}

function answerOf(rule: ReturnType<typeof ruleNames>[number]): z.ZodType<Answer> {
  return z.literal(answersTo(rule).map(([answer]) => answer));
}

function baseOf(base: string, where: string): Profile {
  try {
    return profileByName(base);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.replace(/^EINVAL: /, '') : String(cause);
    throw new Errno('EINVAL', `${where}: base: ${reason}`, { cause });
  }
}

function isShipped(name: string): boolean {
  try {
    profileByName(name);
    return true;
  } catch {
    return false;
  }
}

function listOf(rules: Readonly<Record<string, Answer | undefined>>): string {
  const changed = Object.entries(rules).map(([rule, answer]) => `${rule} ${String(answer)}`);
  return changed.length === 0 ? 'nothing changed' : changed.join(', ');
}

/** What is wrong, with what is allowed. */
function sentenceOf(issue: z.core.$ZodIssue): string {
  const place = issue.path.join('.');
  if (issue.code === 'unrecognized_keys') {
    const isOfRules = issue.path.at(0) === 'rules';
    const allowed = isOfRules ? ruleNames() : Object.keys(FILE.shape);
    return issue.keys
      .map((key) => `no ${isOfRules ? 'rule' : 'field'} ${suggest(key, allowed)}`)
      .join('; ');
  }
  const rule = String(issue.path.at(1));
  if (issue.code === 'invalid_value' && isRule(rule)) {
    const allowed = answersTo(rule).map(([answer]) => String(answer));
    return `rule ${rule} has no answer ${suggest(String(issue.input), allowed)}`;
  }
  return place === '' ? issue.message : `${place}: ${issue.message}`;
}

function suggest(wrong: string, allowed: readonly string[]): string {
  const meant = nearest(wrong, allowed);
  const hint = meant === null ? '' : ` (did you mean ${meant}?)`;
  return `"${wrong}"${hint}; allowed are ${allowed.join(', ')}`;
}

// pinfold profile list|show|diff: the rules in force, by name.

import type { Command } from 'commander';
import { z } from 'zod';
import { originOf } from '../../../engine/profile/origin.js';
import type { Profile, Rules } from '../../../engine/profile/profile.js';
import { profileByName, profileNames } from '../../../engine/profile/profiles.js';
import { answerInWords, RULES, ruleNames } from '../../../engine/profile/rules.js';
import { readProfileFile, type UserProfile } from '../../../lab/profile-file.js';
import { makeCommand, makeGroup, optionsOf } from '../frame/command.js';
import { formatTable, print, printJson } from '../frame/output.js';
import { chooseProfile, readProfiles, withProfileFiles } from './lab/choose.js';

const SHAPE = { profileFile: z.array(z.string()) };

export function profileCommand(): Command {
  return makeGroup(
    'profile',
    'list and show the rules in force: kernel versions and proposals',
    [
      ['pinfold profile list', 'names all profiles'],
      [
        'pinfold profile show best-known',
        'each question on which history has differed, and its answer',
      ],
      [
        'pinfold profile diff linux-6.12 best-known',
        'the questions that two of them answer differently',
      ],
    ],
    [listCommand(), showCommand(), diffCommand()],
  );
}

function listCommand(): Command {
  const command = makeCommand('list', 'name all profiles', [
    ['pinfold profile list', 'a line for each'],
    ['pinfold profile list --json', 'the same for programs: profiles[] with name, description'],
  ]);
  return command.action(() => {
    const { json } = optionsOf(command, {});
    const profiles = profileNames().map(profileByName);
    if (json) {
      printJson({ profiles: profiles.map(({ name, description }) => ({ name, description })) });
      return;
    }
    print(
      formatTable(
        ['PROFILE', 'RULES'],
        profiles.map((p) => [p.name, p.description]),
      ),
    );
  });
}

function showCommand(): Command {
  const command = makeCommand('show', 'show the rules of one profile', [
    ['pinfold profile show linux-6.12', 'what that kernel does with pinned pages'],
    ['pinfold profile show mine --profile-file mine.yaml', 'rules of your own'],
  ]).argument('<name>', 'a name from: pinfold profile list, also with +PROPOSAL behind it');
  return withProfileFiles(command).action((name: string) => {
    const { json, profileFile } = optionsOf(command, SHAPE);
    const profile = chooseProfile(name, readProfiles(profileFile));
    if (json) {
      printJson({ profile: { ...profile } });
      return;
    }
    print(`${profile.name}\n${profile.description}\n`);
    print(formatTable(['RULE', 'QUESTION', 'ANSWER'], answersOf(profile)));
  });
}

function diffCommand(): Command {
  const command = makeCommand('diff', 'show the rules on which two profiles differ', [
    ['pinfold profile diff linux-6.12 linux-6.15', 'what a kernel changed'],
    ['pinfold profile diff best-known mine --profile-file mine.yaml', 'what you changed'],
    [
      'pinfold profile diff linux-5.17 linux-5.18 --json',
      'rules[] with rule, question, first, second, and in words with their sources',
    ],
  ])
    .argument('<first>', 'a name from: pinfold profile list')
    .argument('<second>', 'the other one');
  return withProfileFiles(command).action((first: string, second: string) => {
    const { json, profileFile } = optionsOf(command, SHAPE);
    const own = profileFile.map(readProfileFile);
    const [a, b] = [first, second].map((name) => sideOf(name, own));
    const rules = ruleNames().filter((rule) => a.profile[rule] !== b.profile[rule]);
    if (json) printJson({ rules: rules.map((rule) => differenceOf(a, b, rule)) });
    else print(rules.map((rule) => formatDifference(a, b, rule)).join('\n\n') || NO_DIFFERENCE);
  });
}

const NO_DIFFERENCE = 'They answer every question alike.';

/** A profile, and the shipped one under it if it is a user's. */
interface Side {
  readonly profile: Profile;
  readonly base: Profile | null;
}

function sideOf(name: string, own: readonly UserProfile[]): Side {
  const mine = own.find(({ profile }) => profile.name === name);
  const profiles = own.map(({ profile }) => profile);
  return mine ?? { profile: chooseProfile(name, profiles), base: null };
}

function differenceOf(a: Side, b: Side, rule: keyof Rules): object {
  return {
    rule,
    question: RULES[rule].question,
    first: a.profile[rule],
    second: b.profile[rule],
    firstInWords: answerInWords(a.profile, rule),
    secondInWords: answerInWords(b.profile, rule),
    firstFrom: originOf(a.profile, rule, a.base),
    secondFrom: originOf(b.profile, rule, b.base),
  };
}

function formatDifference(a: Side, b: Side, rule: keyof Rules): string {
  const width = Math.max(a.profile.name.length, b.profile.name.length);
  const answers = [a, b].flatMap(({ profile, base }) => {
    const { from, sources } = originOf(profile, rule, base);
    const indent = ' '.repeat(width + 4);
    return [
      `  ${profile.name.padEnd(width)}  ${answerInWords(profile, rule)}`,
      `${indent}from ${from}${sources.length === 0 ? '' : ':'}`,
      ...sources.map((source) => `${indent}  ${source}`),
    ];
  });
  return [`${rule}: ${RULES[rule].question}`, ...answers].join('\n');
}

/** Each question with its answer in words. */
function answersOf(profile: Profile): string[][] {
  return ruleNames().map((name) => [name, RULES[name].question, answerInWords(profile, name)]);
}

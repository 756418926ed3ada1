// pinfold profile list|show: the rules in force, by name.

import type { Command } from 'commander';
import type { Profile } from '../../../engine/profile/profile.js';
import { profileByName, profileNames } from '../../../engine/profile/profiles.js';
import { answerInWords, RULES, ruleNames } from '../../../engine/profile/rules.js';
import { makeCommand, makeGroup, optionsOf } from '../frame/command.js';
import { usageError } from '../frame/errors.js';
import { formatTable, print, printJson } from '../frame/output.js';

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
    ],
    [listCommand(), showCommand()],
  );
}

/** The profile of that name. @throws CliError EUSAGE that lists the names */
export function requireProfile(name: string): Profile {
  const names = profileNames();
  if (!names.includes(name)) {
    throw usageError(`no profile '${name}'; allowed are ${names.join(', ')}`);
  }
  return profileByName(name);
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
  ]).argument('<name>', 'a name from: pinfold profile list');
  return command.action((name: string) => {
    const { json } = optionsOf(command, {});
    const profile = requireProfile(name);
    if (json) {
      printJson({ profile: { ...profile } });
      return;
    }
    print(`${profile.name}\n${profile.description}\n`);
    print(formatTable(['RULE', 'QUESTION', 'ANSWER'], answersOf(profile)));
  });
}

/** Each question with its answer in words. */
function answersOf(profile: Profile): string[][] {
  return ruleNames().map((name) => [name, RULES[name].question, answerInWords(profile, name)]);
}

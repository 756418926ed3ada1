// pinfold profile list|show: the rules in force, by name.

import type { Command } from 'commander';
import type { Profile } from '../../../engine/profile/profile.js';
import { profileByName, profileNames } from '../../../engine/profile/profiles.js';
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
      printJson({ profile: { ...profile, pinnedWriteback: writebackOf(profile) } });
      return;
    }
    print(`${profile.name}\n${profile.description}\n`);
    print(formatTable(['QUESTION', 'ANSWER'], answersOf(profile)));
  });
}

function writebackOf(profile: Profile) {
  const { syncNone, syncAll } = profile.pinnedWriteback;
  return { syncNone: { ...syncNone }, syncAll: { ...syncAll } };
}

function answersOf(profile: Profile): string[][] {
  const { syncNone, syncAll } = profile.pinnedWriteback;
  const rule = (r: typeof syncNone): string =>
    `${r.action}, the page is ${r.staysDirty ? 'still dirty' : 'clean'} afterwards`;
  const yes = (value: boolean): string => (value ? 'yes' : 'no');
  return [
    ['page_mkwrite returns with the page locked?', yes(profile.mkwriteReturnsLocked)],
    ['background writeback of a pinned page', rule(syncNone)],
    ['fsync of a pinned page', rule(syncAll)],
    ['when writeback looks at the pins', profile.pinnedTest],
    ['a dirty page without buffers', profile.dirtyWithoutBuffers],
    ['reclaim takes buffers off pinned pages?', yes(profile.reclaimStripsPinned)],
    ['reclaim writes dirty pages itself?', yes(profile.reclaimWritesPages)],
    ['long-term writable pins of file pages', profile.longtermFilePin],
    ['direct I/O refers to its buffers by', profile.dmaReference],
    ['unpin of a clean page asks page_mkwrite?', yes(profile.unpinDirtiesThroughMkwrite)],
    ['copy-on-write of a pinned page', profile.pinnedPageReplacement],
  ];
}

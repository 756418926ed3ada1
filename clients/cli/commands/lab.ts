// pinfold lab: hazards under the rules of kernels and proposals.

import type { Command } from 'commander';
import { makeGroup } from '../frame/command.js';
import { compareCommand } from './lab/compare.js';
import { exploreCommand } from './lab/explore.js';
import { exportCommand } from './lab/export.js';
import { listCommand } from './lab/list.js';
import { matrixCommand } from './lab/matrix.js';
import { runCommand } from './lab/run.js';
import { showCommand } from './lab/show.js';
import { profileCommand } from './profile.js';

export function labCommand(): Command {
  return makeGroup(
    'lab',
    'ask of each hazard and each set of rules: safe, or broken by which schedule?',
    [
      ['pinfold lab list', 'the hazards'],
      ['pinfold lab show H1-c', 'the story of one'],
      ['pinfold lab run H1-c --profile linux-6.12', 'a run that breaks it, as a race diagram'],
      ['pinfold lab explore H1-c --profile best-known', 'is it safe? tries every schedule'],
      ['pinfold lab matrix', 'every hazard under every kernel and proposal'],
      ['pinfold lab compare P3-skip P7-bounce', 'what each fixes, breaks and costs'],
      ['pinfold lab export H0-a --as c', 'a program for a real machine'],
    ],
    [
      listCommand(),
      showCommand(),
      runCommand(),
      exploreCommand(),
      matrixCommand(),
      compareCommand(),
      exportCommand(),
      profileCommand(),
    ],
  );
}

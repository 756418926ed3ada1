// pinfold lab: hazards under the rules of kernels and proposals.

import type { Command } from 'commander';
import { makeGroup } from '../frame/command.js';
import { compareCommand } from './lab/compare.js';
import { matrixCommand } from './lab/matrix.js';
import { profileCommand } from './profile.js';

export function labCommand(): Command {
  return makeGroup(
    'lab',
    'ask of each hazard and each set of rules: safe, or broken by which schedule?',
    [
      ['pinfold lab matrix', 'every hazard under every kernel and proposal'],
      ['pinfold lab compare P3-skip P7-bounce', 'what each fixes, breaks and costs'],
    ],
    [matrixCommand(), compareCommand(), profileCommand()],
  );
}

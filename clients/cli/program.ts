// All commands of pinfold in one tree.

import type { Command } from 'commander';
import { benchCommand } from './commands/bench.js';
import { completionCommand } from './commands/completion.js';
import { demoCommand } from './commands/demo.js';
import { diskCommand } from './commands/disk.js';
import { profileCommand } from './commands/profile.js';
import { regionCommand } from './commands/region.js';
import { serveCommand } from './commands/serve.js';
import { statusCommand } from './commands/status.js';
import { stressCommand } from './commands/stress.js';
import { volumeCommand } from './commands/volume.js';
import { makeGroup } from './frame/command.js';
import { packageVersion } from './frame/version.js';

export function buildProgram(): Command {
  return makeGroup(
    'pinfold',
    'Asks what happens when a device holds a pin on a page that the file system writes, moves or frees.',
    [
      ['pinfold demo', 'see a torn write, and rules under which there is none, in 15 seconds'],
      ['pinfold volume mkfs disk.img --size 1G', 'make a volume in a file'],
      ['pinfold volume put disk.img /usr/share/doc /', 'copy a tree into it'],
      ['pinfold stress --profile linux-6.12 --seconds 10', 'race CPUs and devices on a volume'],
    ],
    [
      demoCommand(),
      stressCommand(),
      benchCommand(),
      serveCommand(),
      statusCommand(),
      volumeCommand(),
      diskCommand(),
      regionCommand(),
      profileCommand(),
      completionCommand(),
    ],
  ).version(packageVersion(), '-V, --version', 'print the version');
}

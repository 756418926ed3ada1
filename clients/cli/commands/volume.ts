// pinfold volume: makes, checks, fills and reads volumes.

import type { Command } from 'commander';
import { makeGroup } from '../frame/command.js';
import { getCommand, putCommand } from './volume/copy.js';
import { fsckCommand } from './volume/fsck.js';
import { listCommand } from './volume/list.js';
import { mkfsCommand } from './volume/mkfs.js';
import { removeCommand } from './volume/remove.js';

export function volumeCommand(): Command {
  return makeGroup(
    'volume',
    'make, check, fill and read volumes',
    [
      ['pinfold volume mkfs disk.img --size 1G', 'make one in a file'],
      ['pinfold volume put disk.img ./src /', 'copy a tree into it'],
      ['pinfold volume ls disk.img /src -l', 'look at it'],
      ['pinfold volume get disk.img /src ./copy', 'copy it out again'],
      ['pinfold volume fsck disk.img', 'check it'],
    ],
    [mkfsCommand(), fsckCommand(), listCommand(), putCommand(), getCommand(), removeCommand()],
  );
}

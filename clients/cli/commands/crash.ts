// pinfold crash: what a power cut may leave of a recorded disk.

import type { Command } from 'commander';
import { makeGroup } from '../frame/command.js';
import { exploreCommand } from './crash/explore.js';
import { exportCommand } from './crash/export.js';
import { imageCommand } from './crash/image.js';
import { importCommand } from './crash/import.js';
import { showCommand } from './crash/show.js';

export function crashCommand(): Command {
  return makeGroup(
    'crash',
    'cut the power of a recorded disk at every moment, and check what may be left',
    [
      ['pinfold disk record disk0 --output run.rec', 'record what clients do to a disk'],
      [
        "pinfold crash explore --record run.rec --check 'fsck.ext4 -fn {image}'",
        'does every legal image pass?',
      ],
      ['pinfold crash show --record run.rec', 'the events, numbered as crash points'],
      [
        'pinfold crash image --record run.rec --point 41 --state drop-all --output crash.img',
        'one image',
      ],
    ],
    [exploreCommand(), showCommand(), imageCommand(), exportCommand(), importCommand()],
  );
}

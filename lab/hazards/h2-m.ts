// H2-m: truncate frees the block of a DAX file while a device writes to it.

import { DaxStore } from '../../engine/tinyfs/dax-store.js';
import type { Hazard } from '../hazard.js';
import { DEVICE, daxProgram, F, needsDax, writeH } from './dax-scene.js';

export const H2M: Hazard = {
  id: 'H2-m',
  title: 'truncate frees the block of a pinned DAX page, and a new file gets it',
  source: 'kernel.md H2-m; xfstests generic/503',
  story:
    'A page of an ordinary file may outlive the file: who has pinned it keeps a page that nobody ' +
    'else sees, the next fault gets a new one, and nothing is lost (kernel.md calls that contrast ' +
    'H2-l). A page of persistent memory is the storage, and the next owner of the block gets the ' +
    'very same page. So truncate has to wait until nobody refers to a page before it frees the ' +
    'block. Until 4.18 it did not: a direct read into a mapping of the file was still going on, and ' +
    'the device stored into whatever file had got the block.',
  mayGoWrong: ['foreign-write', 'warn'],
  notApplicable: needsDax,
  program: (_profile, pageBytes) =>
    daxProgram({
      name: 'H2-m',
      pageBytes,
      inFlight: true,
      actors: [
        DEVICE,
        {
          name: 'truncate',
          run: function* (task, m) {
            yield* DaxStore.of(m).truncate(task, F);
            yield* writeH(task, m);
          },
        },
      ],
    }),
};

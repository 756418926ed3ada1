// H2-k: a fast GUP slips in while truncate looks whether anybody has the page.

import { DaxStore } from '../../engine/tinyfs/dax-store.js';
import type { Hazard } from '../hazard.js';
import { DIRECT_READ, daxProgram, F, needsDax, writeH } from './dax-scene.js';

export const H2K: Hazard = {
  id: 'H2-k',
  title: 'a fast GUP races with the unmapping of a DAX page, and with the look at its references',
  source: 'kernel.md H2-k and 4.10; dax_layout_busy_page',
  story:
    'A fast GUP takes no lock: it reads the page table, adds a reference, and reads the page table ' +
    'again. So whoever wants to know that nobody refers to a page of persistent memory has to take ' +
    'it out of the page tables first, and to look at its references second: then either the look ' +
    'sees the new reference, or the GUP sees that the page is gone. The other way round the GUP ' +
    'slips in between, and the block is freed under a device.',
  mayGoWrong: ['foreign-write', 'warn'],
  notApplicable: needsDax,
  program: (_profile, pageBytes) =>
    daxProgram({
      name: 'H2-k',
      pageBytes,
      inFlight: false,
      actors: [
        DIRECT_READ,
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

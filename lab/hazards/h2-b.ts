// H2-b: an inode on persistent memory leaves the cache while its page is pinned, and comes back.

import { DaxStore } from '../../engine/tinyfs/dax-store.js';
import { I } from '../../engine/tinyfs/inode-life.js';
import { type Hazard, LAB_PAGE_BYTES } from '../hazard.js';
import type { Program } from '../program.js';
import { DEVICE, daxProgram, F, needsDax, unmapF, writeH } from './dax-scene.js';

export const H2B: Hazard = {
  id: 'H2-b',
  title:
    'reclaim evicts a DAX inode with a pinned page; truncate knows nothing of the pin any more',
  source: 'kernel.md H2-b; Kara in the fsdax thread of September 2022 (#18)',
  story:
    'As in H2-a a device is filling a pinned page of file F when the last mapping of F goes; but F ' +
    'is not unlinked. Its inode stays in the cache until memory is short, and then reclaim evicts ' +
    'it, and with it the entries that tie page and file together. The kernel warns, and goes on. ' +
    'Later somebody opens F again and truncates it. Truncate waits for busy pages (since 4.18), and ' +
    'looks for them among the entries of the inode: there are none. It frees the block under the ' +
    'device, and file H gets it.',
  mayGoWrong: ['foreign-write', 'warn'],
  notApplicable: needsDax,
  program: (_profile, pageBytes) => h2b(false, pageBytes),
};

/** @param dontcache the inode is not kept when its last reference goes, and gets a last writeback then */
export function h2b(dontcache: boolean, pageBytes = LAB_PAGE_BYTES): Program {
  return daxProgram({
    name: 'H2-b',
    pageBytes,
    inFlight: true,
    setUp: function* (_task, m) {
      if (dontcache) m.state.iState[F] = I.dontcache;
    },
    actors: [
      DEVICE,
      {
        name: 'reclaim',
        run: function* (task, m) {
          yield* DaxStore.of(m).reclaim(task);
        },
      },
      {
        name: 'truncate',
        run: function* (task, m) {
          const fs = DaxStore.of(m);
          yield* unmapF(task, m);
          yield* fs.inodes.iget(task, F);
          yield* fs.truncate(task, F);
          yield* writeH(task, m);
        },
      },
    ],
  });
}

// H2-e: reclaim waits for a pin, and the holder of the pin waits for reclaim.

import { beginShortPin, endShortPin } from '../../engine/mm/dax-break.js';
import { DaxStore } from '../../engine/tinyfs/dax-store.js';
import { I } from '../../engine/tinyfs/inode-life.js';
import type { Hazard } from '../hazard.js';
import { daxProgram, H, inFlight, needsDax, unmapF, unpinDirectIo } from './dax-scene.js';

export const H2E: Hazard = {
  id: 'H2-e',
  title: 'eviction waits for a pin whose holder needs memory, and so eviction, to give it back',
  source: 'kernel.md H2-e; Chinner (#3) and Kara (#20) in the fsdax thread of September 2022',
  story:
    'If the eviction of a DAX inode waits until its pages are idle, then so does every allocation ' +
    'that evicts one. A driver has pinned a page of F for a short while; to get to the point where ' +
    'it unpins, it allocates memory. Memory is short, so that the allocation evicts the first ' +
    'unused inode: F, which was unmapped meanwhile, and waits for the pin that its own caller ' +
    'holds. The wait can not be interrupted. “A use after free has become an unlikely deadlock”, the ' +
    'thread agreed; it is what 6.15 does. A pin that keeps the inode keeps it out of reclaim.',
  mayGoWrong: ['hang', 'lockdep'],
  notApplicable: needsDax,
  program: (_profile, pageBytes) =>
    daxProgram({
      name: 'H2-e',
      pageBytes,
      inFlight: true,
      setUp: function* (_task, m) {
        m.state.iState[H] = I.lru; // memory is short, but not out: H is cached and unused
      },
      actors: [
        {
          name: 'driver',
          run: function* (task, m) {
            const fs = DaxStore.of(m);
            beginShortPin(task, m);
            yield* fs.kmalloc(task);
            endShortPin(task, m);
            yield* unpinDirectIo(task, m, inFlight(m));
            yield* fs.kfree();
          },
        },
        {
          name: 'munmap',
          run: function* (task, m) {
            const fs = DaxStore.of(m);
            yield* unmapF(task, m);
            yield* fs.kmalloc(task);
            yield* fs.kfree();
          },
        },
      ],
    }),
};

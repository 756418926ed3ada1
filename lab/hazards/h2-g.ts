// H2-g: a helper that may sleep is called under i_lock, a spinlock.

import { DaxStore } from '../../engine/tinyfs/dax-store.js';
import type { Hazard } from '../hazard.js';
import { daxProgram, F, needsDax, unmapF } from './dax-scene.js';

export const H2G: Hazard = {
  id: 'H2-g',
  title: 'the last iput asks under i_lock whether the inode is busy, and that may sleep',
  source: 'kernel.md H2-g; Chinner (#5) and Williams (#7) in the fsdax thread of September 2022',
  story:
    'A sketch for H2-a let the last iput ask whether pages of the inode are busy. To know that, one ' +
    'has to unmap them first, which takes locks that sleep; but the question is asked under i_lock, ' +
    'a spinlock. A task that sleeps there leaves everybody who wants the lock spinning. The kernel ' +
    'checks for that whether or not it comes to sleep, and complained at once.',
  mayGoWrong: ['bug'],
  notApplicable: needsDax,
  program: (_profile, pageBytes) =>
    daxProgram({
      name: 'H2-g',
      pageBytes,
      inFlight: false,
      actors: [
        { name: 'munmap', run: unmapF },
        {
          name: 'open',
          run: function* (task, m) {
            const { inodes } = DaxStore.of(m);
            yield* inodes.iget(task, F);
            yield* inodes.iput(task, F);
          },
        },
      ],
    }),
};

// H2-c: a file system on persistent memory is unmounted while a page of it is pinned.

import { Errno } from '../../engine/sched/errors.js';
import { DaxStore } from '../../engine/tinyfs/dax-store.js';
import type { Hazard } from '../hazard.js';
import { DEVICE, daxProgram, F, needsDax, unmapF, writeH } from './dax-scene.js';

export const H2C: Hazard = {
  id: 'H2-c',
  title: 'a file system is unmounted and mounted again while one of its pages is pinned',
  source: 'kernel.md H2-c; Chinner in the fsdax thread of September 2022 (#15)',
  story:
    'Who pins a page of persistent memory has no reference to the file system that owns it. So, once ' +
    'the file is unmapped and closed, nothing keeps its file system from being unmounted, although a ' +
    'device still stores into its storage. Mounted again, it has a new inode for the file, which ' +
    'knows of no pin: truncate frees the block at once, and file H gets it. A reference to the ' +
    'inode is not enough either: unmount complains of busy inodes, tears down what is under them, ' +
    'and giving the reference back is a use after free. Only an open file keeps a mount.',
  mayGoWrong: ['foreign-write', 'warn'],
  notApplicable: needsDax,
  program: (_profile, pageBytes) =>
    daxProgram({
      name: 'H2-c',
      pageBytes,
      inFlight: true,
      actors: [
        DEVICE,
        {
          name: 'umount',
          run: function* (task, m) {
            const fs = DaxStore.of(m);
            yield* unmapF(task, m);
            try {
              if ((yield* fs.unmount(task)) > 0) return; // the damage is done
            } catch (error) {
              if (error instanceof Errno) return; // EBUSY
              throw error;
            }
            yield* fs.inodes.mount();
            yield* fs.inodes.iget(task, F);
            yield* fs.truncate(task, F);
            yield* writeH(task, m);
          },
        },
      ],
    }),
};

export const H2C_REMOVAL: Hazard = {
  id: 'H2-c-removal',
  title: 'a pmem device is taken away, and its memory reused, while one of its pages is pinned',
  source: 'kernel.md P16; Chinner in the fsdax thread of September 2022 (#5)',
  story:
    'The same as H2-c, one floor down: not the file system goes, but the device under it, and its ' +
    'memory is given to somebody else, here as the storage of H. A device that was told the page of ' +
    'F goes on storing there, unless those who use the memory are told first, let go of it, and are ' +
    'waited for.',
  mayGoWrong: ['foreign-write'],
  notApplicable: needsDax,
  program: (_profile, pageBytes) =>
    daxProgram({
      name: 'H2-c-removal',
      pageBytes,
      inFlight: true,
      actors: [
        DEVICE,
        {
          name: 'removal',
          run: function* (task, m) {
            yield* DaxStore.of(m).removeDevice(task);
            yield* writeH(task, m);
          },
        },
      ],
    }),
};

// H2-d: eviction takes the lock that a reader of directories holds when it allocates memory.

import { DaxStore, DIRECTORY, daxStoreWords } from '../../engine/tinyfs/dax-store.js';
import { I } from '../../engine/tinyfs/inode-life.js';
import type { Hazard } from '../hazard.js';

/** Two directories: one is being read, nobody uses the other. No memory is free. */
const READ = 0;
const UNUSED = 1;
const STORE = { blocks: 1, files: 2, objects: 0 };

export const H2D: Hazard = {
  id: 'H2-d',
  title: 'readdir holds i_rwsem and allocates; reclaim evicts a directory and takes i_rwsem',
  source: 'kernel.md H2-d; Chinner in the fsdax thread of September 2022 (#1, #3)',
  story:
    'The first patch for H2-a let the eviction of every inode wait for pins under the locks of the ' +
    'file system. But eviction happens inside memory allocations: readdir holds the lock of its ' +
    'directory, needs memory, and the allocation evicts another directory, whose lock is of the ' +
    'same class. Lockdep reports the order of the two as a cycle the first time it sees both, which ' +
    'takes memory pressure at the right moment.',
  mayGoWrong: ['lockdep'],
  program: (_profile, pageBytes) => ({
    name: 'H2-d',
    geometry: {
      pageBytes,
      pages: 1 + STORE.blocks,
      cpus: 0,
      mms: 0,
      mmPages: 0,
      vmas: 0,
      inodes: STORE.files,
      nodes: 0,
      framesInState: true,
      extraWords: daxStoreWords(STORE),
    },
    attach: (m) => {
      m.fs = new DaxStore(m, STORE);
    },
    setUp: function* (_task, m) {
      DaxStore.of(m).format();
      m.state.iMode.fill(DIRECTORY);
      m.state.iCount[READ] = 1;
      m.state.iState[UNUSED] = I.lru;
    },
    actors: [
      {
        name: 'readdir',
        run: function* (task, m) {
          const fs = DaxStore.of(m);
          yield* fs.lockDirectory(task, READ);
          yield* fs.kmalloc(task);
          yield* fs.unlockDirectory(task, READ);
          yield* fs.kfree();
        },
      },
      {
        name: 'kswapd',
        run: function* (task, m) {
          yield* DaxStore.of(m).reclaim(task);
        },
      },
    ],
    verify: () => [],
  }),
};

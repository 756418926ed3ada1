// H2-f: eviction recalls layout leases, and waits for their holders.

import { giveLease, takeLease } from '../../engine/mm/lease.js';
import { DaxStore } from '../../engine/tinyfs/dax-store.js';
import { I } from '../../engine/tinyfs/inode-life.js';
import { type Hazard, LAB_PAGE_BYTES } from '../hazard.js';
import type { Program } from '../program.js';
import { daxProgram, F, H, MM, needsDax, unmapF } from './dax-scene.js';

export const H2F: Hazard = {
  id: 'H2-f',
  title: 'eviction waits for a pNFS client, whose answer needs memory, and so eviction',
  source: 'kernel.md H2-f; Chinner in the fsdax thread of September 2022 (#1)',
  story:
    'A pNFS client may write to the storage of a file directly, as long as it holds a layout lease ' +
    'of it. Who changes the layout recalls the lease first, and waits for the client. The first ' +
    'patch for H2-a did so in the eviction of every inode, and so in memory reclaim: if the server ' +
    'needs memory to take the lease back, it waits for itself. In Linux as it is a lease holds its ' +
    'file open, so that no inode with a lease is ever evicted; Chinner could not see how one would ' +
    'get there, but leases that survive the close were proposed in 2019, and this one does.',
  mayGoWrong: ['hang'],
  notApplicable: needsDax,
  program: (_profile, pageBytes) => h2f(false, pageBytes),
};

/** @param holdsFile the lease holds its file, as in Linux */
export function h2f(holdsFile: boolean, pageBytes = LAB_PAGE_BYTES): Program {
  return daxProgram({
    name: 'H2-f',
    pageBytes,
    inFlight: false,
    setUp: function* (task, m) {
      yield* takeLease(m, F, MM);
      if (holdsFile) yield* DaxStore.of(m).inodes.igrab(task, F);
      yield* unmapF(task, m);
      m.state.iState[H] = I.lru; // memory is short, but not out: H is cached and unused
    },
    actors: [
      {
        name: 'nfsd',
        run: function* (task, m) {
          const fs = DaxStore.of(m);
          yield* fs.kmalloc(task);
          yield* giveLease(m, F, MM);
          if (holdsFile) yield* fs.inodes.iput(task, F);
          yield* fs.kfree();
        },
      },
      {
        name: 'allocation',
        run: function* (task, m) {
          const fs = DaxStore.of(m);
          yield* fs.kmalloc(task);
          yield* fs.kfree();
        },
      },
    ],
  });
}

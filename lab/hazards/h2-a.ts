// H2-a: a file on persistent memory goes away while a device still uses its storage.

import { type Hazard, LAB_PAGE_BYTES } from '../hazard.js';
import type { Program } from '../program.js';
import { DEVICE, DEVICE_THAT_READS, daxProgram, F, needsDax, unmapF, writeH } from './dax-scene.js';

export const H2A: Hazard = {
  id: 'H2-a',
  title:
    'the last reference to a DAX file goes while its page is pinned; its block gets a new owner',
  source: 'kernel.md H2-a; Gunthorpe and Chinner in the fsdax thread of September 2022',
  story:
    'On persistent memory there is no copy of a file in RAM: a mapped page is the storage itself. A ' +
    'program maps such a file, F, and reads another file with O_DIRECT into the mapping: the kernel ' +
    'pins the page, and the device fills it. Before it is done, another thread unmaps F, which was ' +
    'unlinked and closed before. The direct read holds the file that it reads, not F, and a pin ' +
    'knows nothing of files: so the inode goes, its block is freed, and file H gets it. Then the ' +
    'device stores into H. In the other direction, a direct write, the device sends what H has ' +
    'written to a file of somebody else.',
  mayGoWrong: ['foreign-write', 'warn'],
  notApplicable: needsDax,
  program: (_profile, pageBytes) => h2a('read', pageBytes),
};

/** @param direction of the direct I/O: `read` stores into the page, `write` reads it */
export function h2a(direction: 'read' | 'write', pageBytes = LAB_PAGE_BYTES): Program {
  return daxProgram({
    name: 'H2-a',
    pageBytes,
    inFlight: true,
    setUp: function* (_task, m) {
      m.state.iNlink[F] = 0; // unlinked and closed: the mapping is all that is left
    },
    actors: [
      direction === 'read' ? DEVICE : DEVICE_THAT_READS,
      {
        name: 'munmap',
        run: function* (task, m) {
          yield* unmapF(task, m);
          yield* writeH(task, m);
        },
      },
    ],
  });
}

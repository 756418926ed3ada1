// H2-h: an unlinked inode that is busy stays in the cache, and its space with it.

import type { Hazard } from '../hazard.js';
import { DEVICE, daxProgram, F, needsDax, unmapF } from './dax-scene.js';

export const H2H: Hazard = {
  id: 'H2-h',
  title:
    'a busy inode is kept when its last reference goes; unlinked, it keeps its space for nobody',
  source: 'kernel.md H2-h; Chinner in the fsdax thread of September 2022 (#5)',
  story:
    'The same sketch as in H2-g keeps an inode with pinned pages in the cache rather than evict it. ' +
    'But the last reference to an unlinked file is the last time that anybody looks at it: when the ' +
    'pin goes, nobody comes back. Its space is not free until memory runs short or the file system ' +
    'is unmounted, and a program that deletes files to make room finds that it made none.',
  mayGoWrong: ['leak'],
  notApplicable: needsDax,
  program: (_profile, pageBytes) =>
    daxProgram({
      name: 'H2-h',
      pageBytes,
      inFlight: true,
      setUp: function* (_task, m) {
        m.state.iNlink[F] = 0;
      },
      actors: [DEVICE, { name: 'munmap', run: unmapF }],
      verify: (_m, fs) => {
        const block = fs.blockOf(F);
        if (block < 0) return [];
        const message = `block ${String(block)} still belongs to file F, which is unlinked, and which nobody uses`;
        return [{ kind: 'leak', hazard: 'H2-h', task: 'munmap', message }];
      },
    }),
};

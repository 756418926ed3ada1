// H2-i: vmsplice puts a page of persistent memory into a pipe, for as long as nobody reads it.

import { SplicePipe, vmsplice } from '../../engine/dma/vmsplice.js';
import { load, store } from '../../engine/memory/word.js';
import { unpinUserPages } from '../../engine/mm/gup.js';
import { Errno } from '../../engine/sched/errors.js';
import { sleepOn } from '../../engine/sched/op.js';
import { lab, STEP } from '../../engine/sched/step.js';
import { wake } from '../../engine/sched/wait.js';
import type { Hazard } from '../hazard.js';
import {
  daxProgram,
  F,
  MM,
  needsDax,
  OWN_WORD,
  readThroughPin,
  unmapF,
  VPN,
  writeH,
} from './dax-scene.js';

/** In place of a frame: vmsplice was refused. */
const REFUSED = -1;

export const H2I: Hazard = {
  id: 'H2-i',
  title: 'a page of a DAX file sits in a pipe by a plain reference while the file goes',
  source: 'kernel.md H2-i; Kara in the fsdax thread of September 2022 (#12)',
  story:
    'vmsplice puts pages of a program into a pipe without copying them. The pipe may be read in a ' +
    'year; until then it has a plain reference to each page, which is no pin, so that neither the ' +
    'ban on long-term pins of persistent memory nor a pin that keeps its inode applies. The file is ' +
    'unlinked and unmapped, its block goes to file H, and who reads the pipe reads what H stored.',
  mayGoWrong: ['leak', 'warn'],
  notApplicable: needsDax,
  program: (_profile, pageBytes) =>
    daxProgram({
      name: 'H2-i',
      pageBytes,
      inFlight: false,
      ownWord: 'frame in the pipe',
      setUp: function* (_task, m) {
        m.state.iNlink[F] = 0;
      },
      actors: [
        {
          name: 'vmsplice',
          run: function* (task, m) {
            const pipe = new SplicePipe(1);
            let pfn = REFUSED;
            try {
              yield* vmsplice(task, m, MM, VPN, 1, pipe);
              pfn = pipe.pfns[0];
            } catch (error) {
              if (!(error instanceof Errno)) throw error; // EOPNOTSUPP
            }
            if (lab?.point()) yield STEP;
            store(m.state.extra, OWN_WORD, pfn);
            wake(m.state.extra, OWN_WORD);
            yield* unmapF(task, m);
            yield* writeH(task, m);
          },
        },
        {
          name: 'pipe reader',
          run: function* (task, m) {
            const { extra } = m.state;
            for (;;) {
              if (lab?.point()) yield STEP;
              const pfn = load(extra, OWN_WORD);
              if (pfn === REFUSED) return;
              if (pfn !== 0) {
                yield* readThroughPin(task, m, pfn, 'H2-i');
                yield* unpinUserPages(task, m, Int32Array.of(pfn), 1, 1, false);
                return;
              }
              yield sleepOn(task, extra, OWN_WORD, 0);
            }
          },
        },
      ],
    }),
};

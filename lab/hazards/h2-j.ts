// H2-j: a program truncates a file whose page it holds, and would let go of it afterwards.

import { SplicePipe, vmsplice } from '../../engine/dma/vmsplice.js';
import { peek } from '../../engine/memory/word.js';
import { PIN_BIAS } from '../../engine/mm/folio.js';
import { FOLL, pinUserPagesFast, unpinUserPages } from '../../engine/mm/gup.js';
import { giveLease, isLeaseBroken, takeLease } from '../../engine/mm/lease.js';
import { Errno } from '../../engine/sched/errors.js';
import { sleepOn } from '../../engine/sched/op.js';
import { lab, STEP } from '../../engine/sched/step.js';
import { DaxStore } from '../../engine/tinyfs/dax-store.js';
import type { Hazard } from '../hazard.js';
import type { ActorSource } from '../program.js';
import { daxProgram, F, MM, needsDax, OWN_WORD, VPN } from './dax-scene.js';

export const H2J: Hazard = {
  id: 'H2-j',
  title: 'a program needs truncate to end before it unpins, and truncate waits for the pin',
  source: 'kernel.md H2-j; Gunthorpe (#22) and Kara (#24) in the fsdax thread of September 2022',
  story:
    'Truncate of a DAX file waits until nobody refers to its pages. A program that holds one itself, ' +
    'in a pipe, say, and reads the pipe only after the truncate, waits for itself for ever. “It has ' +
    'always worked this way for DAX”, said Kara, so programs that know of DAX avoid it. With a layout ' +
    'lease the program is told that somebody wants to cut the file, and lets go.',
  mayGoWrong: ['hang'],
  notApplicable: needsDax,
  program: (profile, pageBytes) =>
    daxProgram({
      name: 'H2-j',
      pageBytes,
      inFlight: false,
      ownWord: 'frame registered',
      setUp: function* (task, m) {
        if (profile.longtermDaxPin !== 'lease') return;
        yield* takeLease(m, F, MM);
        const pfns = new Int32Array(1);
        const flags = FOLL.write | FOLL.pin | FOLL.longterm;
        yield* pinUserPagesFast(task, m, MM, VPN, 1, flags, pfns);
        m.state.extra[OWN_WORD] = pfns[0];
      },
      actors:
        profile.longtermDaxPin === 'lease' ? [TRUNCATE, LEASE_HANDLER] : [SPLICE_AND_TRUNCATE],
    }),
};

const SPLICE_AND_TRUNCATE: ActorSource = {
  name: 'program',
  run: function* (task, m) {
    const pipe = new SplicePipe(1);
    try {
      yield* vmsplice(task, m, MM, VPN, 1, pipe);
    } catch (error) {
      if (!(error instanceof Errno)) throw error; // EOPNOTSUPP: the program has to copy
    }
    yield* DaxStore.of(m).truncate(task, F);
    yield* unpinUserPages(task, m, pipe.pfns, pipe.count, 1, false);
  },
};

/** With a lease: the program has registered the page for long, and cuts the file. */
const TRUNCATE: ActorSource = {
  name: 'program',
  run: function* (task, m) {
    yield* DaxStore.of(m).truncate(task, F);
  },
};

/** The part of the program that is told of the recall: it ends the registration. */
const LEASE_HANDLER: ActorSource = {
  name: 'lease handler',
  run: function* (task, m) {
    const { iLease, extra } = m.state;
    for (;;) {
      if (lab?.point()) yield STEP;
      const lease = peek(iLease, F);
      if (isLeaseBroken(m, F)) break;
      yield sleepOn(task, iLease, F, lease);
    }
    yield* unpinUserPages(task, m, Int32Array.of(extra[OWN_WORD]), 1, PIN_BIAS, false);
    yield* giveLease(m, F, MM);
  },
};

// Rules on short pins: P10 (no page under writeback), P2 and P11 (locks from the pin to the unpin).

import test from 'ava';
import { dropPages, holdPages } from '../../engine/dma/hold.js';
import type { Machine } from '../../engine/machine.js';
import { load } from '../../engine/memory/word.js';
import { endWriteback } from '../../engine/mm/dirty.js';
import { PG, tryLockFolio, unlockFolio } from '../../engine/mm/folio.js';
import { FOLL, pinUserPagesFast, pinUserPagesRemote, unpinUserPages } from '../../engine/mm/gup.js';
import { prepareWriteback } from '../../engine/mm/writeback.js';
import { profileByName } from '../../engine/profile/profiles.js';
import type { Op, Task } from '../../engine/sched/op.js';
import { lab, STEP } from '../../engine/sched/step.js';
import { ReserveStore, reserveStoreWords } from '../../engine/tinyfs/reserve-store.js';
import { explore } from '../../lab/explore.js';
import {
  cachedPage,
  FILE,
  fsOf,
  geometryOf,
  MM,
  mapFile,
  storeWord,
} from '../../lab/hazards/mapped-file.js';
import type { ActorSource, Program } from '../../lab/program.js';

const PAGE_BYTES = 8;

/** One mapped page, dirty and writable, on a disk with `free` more blocks than the page needs. */
function program(free: number, actors: readonly ActorSource[], more?: Program['setUp']): Program {
  return {
    name: 'short pins',
    geometry: geometryOf(PAGE_BYTES, 2, reserveStoreWords(1, PAGE_BYTES)),
    attach: (m) => {
      m.fs = new ReserveStore(m, FILE, 1, true);
    },
    setUp: function* (task, m) {
      yield* mapFile(task, m);
      fsOf(m, ReserveStore).format(free + 1, 0);
      yield* storeWord(task, m, 0, 1);
      if (more !== undefined) yield* more(task, m);
    },
    actors,
    verify: () => [],
  };
}

/** The page is being written, and has been stored to since: its PTE is writable. */
function* underWriteback(task: Task, m: Machine): Op<void> {
  const pfn = cachedPage(m);
  yield* prepareWriteback(task, m, FILE, pfn, 'all', { frame: 0, pinned: false });
  unlockFolio(task, m, pfn);
  yield* storeWord(task, m, 0, 2);
}

/** Pins by `pin`, and reports a page that is under writeback then. */
function pins(pin: typeof pinUserPagesFast): ActorSource {
  return {
    name: 'pin',
    run: function* (task, m) {
      const pfns = new Int32Array(1);
      const got = yield* pin(task, m, MM, 0, 1, FOLL.pin | FOLL.write, pfns);
      if (lab?.point()) yield STEP;
      if ((load(m.state.flags, pfns[0]) & PG.writeback) !== 0) {
        m.report({ kind: 'warn', hazard: null, task: task.name, message: 'under writeback' });
      }
      yield* unpinUserPages(task, m, pfns, got, 1024, false);
    },
  };
}

const completion: ActorSource = {
  name: 'completion',
  run: (task, m) => endWriteback(task, m, FILE, cachedPage(m)),
};

test('P10: a write pin waits for writeback, by the fast and by the slow way', (t) => {
  const kernel = profileByName('linux-5.2');
  const p10 = profileByName('linux-5.2+P10-no-gup-under-writeback');
  for (const pin of [pinUserPagesFast, pinUserPagesRemote]) {
    const actors = [pins(pin), completion];
    t.is(explore(program(1, actors, underWriteback), kernel).verdict, 'unsafe');
    const waits = explore(program(1, actors, underWriteback), p10);
    t.deepEqual([waits.verdict, waits.exhaustive], ['safe', true]);
  }
});

/** An actor that holds the page with `flags`, and reports whether it is locked meanwhile. */
function holder(flags: number): ActorSource {
  return {
    name: 'holder',
    run: function* (task, m) {
      const pfns = new Int32Array(1);
      const got = yield* holdPages(task, m, MM, 0, 1, flags, 'pin', pfns);
      if (lab?.point()) yield STEP;
      const isFree = tryLockFolio(task, m, pfns[0]);
      if (lab?.point()) yield STEP;
      if (isFree) unlockFolio(task, m, pfns[0]);
      else m.report({ kind: 'warn', hazard: null, task: task.name, message: 'locked' });
      yield* dropPages(task, m, pfns, got, 'pin', true, flags);
      if (lab?.point()) yield STEP;
      if (tryLockFolio(task, m, pfns[0])) return;
      m.report({ kind: 'bug', hazard: null, task: task.name, message: 'still locked' });
    },
  };
}

test('P2 and P11: a short pin for writing holds the folio lock to its unpin; others hold none', (t) => {
  const found = (name: string, flags: number): string[] =>
    explore(program(1, [holder(flags)]), profileByName(name)).failures.map(
      (f) => f.finding.message,
    );
  for (const name of ['linux-5.17+P2-write-begin', 'linux-2.6.28+P11-page-lock']) {
    t.deepEqual(found(name, FOLL.write), ['locked'], name);
    t.deepEqual(found(name, 0), [], name);
    t.deepEqual(found(name, FOLL.write | FOLL.longterm), [], name);
  }
  t.deepEqual(found('linux-5.17', FOLL.write), []);
});

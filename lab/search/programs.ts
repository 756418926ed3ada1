// Programs so small that every schedule of them can be run: what the searches are tested and
// measured on.

import type { Finding, FindingKind } from '../../engine/finding.js';
import type { Machine } from '../../engine/machine.js';
import { add, load, read, store, write } from '../../engine/memory/word.js';
import { storeUser } from '../../engine/mm/access.js';
import { storeWords } from '../../engine/mm/content.js';
import { lockFolio, PIN_BIAS, tryLockFolio, unlockFolio } from '../../engine/mm/folio.js';
import { createMm, mmap, VM } from '../../engine/mm/vma.js';
import { KernelBug } from '../../engine/sched/errors.js';
import {
  downRead,
  downWrite,
  mutexLock,
  mutexUnlock,
  spinLock,
  spinUnlock,
  upRead,
  upWrite,
} from '../../engine/sched/lock.js';
import { type Op, sleepOn, type Task } from '../../engine/sched/op.js';
import { lab, STEP } from '../../engine/sched/step.js';
import { wake } from '../../engine/sched/wait.js';
import { PageStore, pageStoreWords } from '../../engine/tinyfs/page-store.js';
import { LAB_PAGE_BYTES } from '../hazard.js';
import { type ActorSource, POWER_CUT, type Program } from '../program.js';

type Run = ActorSource['run'];

const EXTRA_WORDS = 16;

/** A program on a machine with nothing on it, whose actors are called a, b, c, ... */
function program(
  name: string,
  runs: readonly Run[],
  verify: (m: Machine) => string | null,
  kind: FindingKind = 'lost-write',
): Program {
  const judge = (m: Machine): Finding[] => {
    const message = verify(m);
    return message === null ? [] : [{ kind, hazard: name, task: 'all', message }];
  };
  return {
    name,
    geometry: {
      pageBytes: LAB_PAGE_BYTES,
      pages: 4,
      cpus: 1,
      mms: 1,
      mmPages: 1,
      vmas: 1,
      inodes: 1,
      nodes: 2,
      framesInState: true,
      extraWords: EXTRA_WORDS,
    },
    attach: () => undefined,
    setUp: function* () {
      // Memory starts as zeroes.
    },
    actors: runs.map((run, i) => ({ name: String.fromCharCode(97 + i), run })),
    verify: judge,
    verifyAfterCut: judge,
  };
}

function expectWord(m: Machine, word: number, expected: number): string | null {
  const value = m.state.extra[word];
  return value === expected ? null : `${String(value)}, not ${String(expected)}`;
}

function increment(m: Machine): void {
  write(m.state.extra, 0, read(m.state.extra, 0) + 1);
}

/** Adds 1 to word 0 under a mutex. */
export function* withMutex(task: Task, m: Machine): Op<void> {
  const locks = m.locks('buffer', m.state.private);
  yield* mutexLock(task, locks, 0);
  increment(m);
  if (lab?.point()) yield STEP;
  mutexUnlock(task, locks, 0);
}

function* withSpinLock(task: Task, m: Machine): Op<void> {
  yield* spinLock(task, m.zoneLock, 0);
  increment(m);
  if (lab?.point()) yield STEP;
  spinUnlock(task, m.zoneLock, 0);
}

/** Adds 1 to word 0 as a writer of i_rwsem. */
export function* asWriter(task: Task, m: Machine): Op<void> {
  yield* downWrite(task, m.iRwsem, 0);
  increment(m);
  if (lab?.point()) yield STEP;
  upWrite(task, m.iRwsem, 0);
}

/** Reads word 0 as a reader of i_rwsem. */
export function* asReader(task: Task, m: Machine): Op<void> {
  yield* downRead(task, m.iRwsem, 0);
  read(m.state.extra, 0);
  if (lab?.point()) yield STEP;
  upRead(task, m.iRwsem, 0);
}

function* withFolio(task: Task, m: Machine): Op<void> {
  yield* lockFolio(task, m, 1);
  increment(m);
  if (lab?.point()) yield STEP;
  unlockFolio(task, m, 1);
}

/** Gives up if somebody has the folio. */
function* tryFolio(task: Task, m: Machine): Op<void> {
  if (lab?.point()) yield STEP;
  if (!tryLockFolio(task, m, 1)) return;
  increment(m);
  if (lab?.point()) yield STEP;
  unlockFolio(task, m, 1);
}

function* storeWord(m: Machine, word: number, value: number): Op<void> {
  if (lab?.point()) yield STEP;
  store(m.state.extra, word, value);
}

function* loadWord(m: Machine, word: number): Op<number> {
  if (lab?.point()) yield STEP;
  return load(m.state.extra, word);
}

/** Increments a word as if nobody else did: the classic lost update. */
function* unlocked(_task: Task, m: Machine): Op<void> {
  const value = yield* loadWord(m, 0);
  yield* storeWord(m, 0, value + 1);
}

/** Looks at a word until it is not 0, and adds what it has seen to another. */
function* consumer(task: Task, m: Machine): Op<void> {
  for (;;) {
    const value = yield* loadWord(m, 0);
    if (value !== 0) {
      if (lab?.point()) yield STEP;
      add(m.state.extra, 1, value);
      return;
    }
    yield sleepOn(task, m.state.extra, 0, 0);
  }
}

/** @param isOneStep whether it wakes in the step in which it stores; two are as good */
function producer(isOneStep: boolean, wakes: boolean): Run {
  return function* (_task, m) {
    yield* storeWord(m, 0, 1);
    if (!wakes) return;
    if (!isOneStep && lab?.point()) yield STEP;
    wake(m.state.extra, 0);
  };
}

function* both(task: Task, m: Machine, zoneFirst: boolean): Op<void> {
  const [outer, inner] = zoneFirst ? [m.zoneLock, m.nodeLock] : [m.nodeLock, m.zoneLock];
  yield* spinLock(task, outer, 0);
  yield* spinLock(task, inner, 0);
  if (lab?.point()) yield STEP;
  spinUnlock(task, inner, 0);
  if (lab?.point()) yield STEP;
  spinUnlock(task, outer, 0);
}

/** Writes a block and then its commit record: in that order, or in the wrong one. */
function twoBlocks(first: number, second: number): Run {
  return function* (_task, m) {
    yield* storeWord(m, first, 1);
    yield* storeWord(m, second, 1);
  };
}

/** A word is set only for a moment; who sees it is a BUG. */
function* flicker(_task: Task, m: Machine): Op<void> {
  yield* storeWord(m, 0, 1);
  yield* storeWord(m, 0, 0);
}

function* tripOver(_task: Task, m: Machine): Op<void> {
  if ((yield* loadWord(m, 0)) !== 0) throw new KernelBug('BUG: the word is set');
  yield* storeWord(m, 1, 1);
}

/**
 * H1-c without the pin: a device stores to a page while the flusher writes it.
 * @param word what the device stores, and whether another does so as well
 */
function pinnedWriteback(devices: number): Program {
  const store1 = pageStoreWords(1, LAB_PAGE_BYTES);
  const { geometry } = program('', [], () => null);
  const device: Run = function* (_task, m) {
    yield* storeWords(m.frames.wordSegment(1), m.frames.wordOffset(1), new Int32Array([2]));
  };
  const flusher: Run = function* (task, m) {
    yield* m.fs.writepages(task, 0, 'all', 0, 0);
  };
  return {
    ...program(
      'writeback',
      [flusher, ...Array.from({ length: devices }, () => device)],
      () => null,
    ),
    geometry: { ...geometry, extraWords: store1 },
    attach: (m) => {
      m.fs = new PageStore(m, 0, 1, (task) => {
        m.report({ kind: 'torn-write', hazard: null, task: task.name, message: 'page 0 is torn' });
      });
    },
    setUp: function* (task, m) {
      m.state.ino[0] = 1;
      m.state.iSize[0] = BigInt(LAB_PAGE_BYTES);
      createMm(m);
      const flags = VM.read | VM.write | VM.shared;
      yield* mmap(task, m, 0, { pages: 1, flags, inode: 0, pgoff: 0, vpn: 0 });
      yield* storeUser(task, m, 0, 0, 0, new Uint8Array(LAB_PAGE_BYTES).fill(1));
      m.state.refcount[1] += PIN_BIAS;
    },
  };
}

const NEVER_WRONG = (): null => null;

/** By name; each with what may be found in it. */
export const SMALL_PROGRAMS: readonly (Program & { readonly finds: readonly FindingKind[] })[] = [
  {
    ...program('mutex', [withMutex, withMutex, withMutex], (m) => expectWord(m, 0, 3)),
    finds: [],
  },
  {
    ...program('rwsem', [asReader, asWriter, asWriter], (m) => expectWord(m, 0, 2)),
    finds: [],
  },
  {
    ...program('spinlock', [withSpinLock, withSpinLock, withSpinLock], (m) => expectWord(m, 0, 3)),
    finds: [],
  },
  { ...program('folio lock', [withFolio, tryFolio, withFolio], NEVER_WRONG), finds: [] },
  {
    ...program('lost update', [unlocked, unlocked, unlocked], (m) => expectWord(m, 0, 3)),
    finds: ['lost-write'],
  },
  {
    ...program('wait', [consumer, producer(true, true), consumer], (m) => expectWord(m, 1, 2)),
    finds: [],
  },
  {
    ...program('late wake', [consumer, producer(false, true), consumer], (m) =>
      expectWord(m, 1, 2),
    ),
    finds: [],
  },
  { ...program('no wake', [consumer, producer(true, false)], NEVER_WRONG), finds: ['hang'] },
  {
    ...program(
      'abba',
      [(task, m) => both(task, m, true), (task, m) => both(task, m, false)],
      NEVER_WRONG,
    ),
    finds: ['hang', 'lockdep'],
  },
  { ...program('bug', [tripOver, flicker, unlocked], NEVER_WRONG), finds: ['bug'] },
  { ...pinnedWriteback(1), finds: ['torn-write'] },
  {
    ...withCut(program('power cut', [twoBlocks(0, 1), twoBlocks(2, 3)], NEVER_WRONG)),
    finds: [],
  },
  {
    ...withCut(
      program('commit first', [twoBlocks(1, 0), unlocked], ({ state: { extra } }) =>
        extra[1] === 1 && extra[0] === 0 ? 'committed, but not there' : null,
      ),
    ),
    finds: ['lost-write'],
  },
];

function withCut(base: Program): Program {
  return { ...base, actors: [...base.actors, POWER_CUT] };
}

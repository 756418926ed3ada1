// H1-c: a short pin taken just before mkclean lets a device write while the page is being written.

import type { Finding } from '../../engine/finding.js';
import type { Machine } from '../../engine/machine.js';
import { load, store } from '../../engine/memory/word.js';
import { storeUser } from '../../engine/mm/access.js';
import { storeWords } from '../../engine/mm/content.js';
import { PIN_BIAS } from '../../engine/mm/folio.js';
import { FOLL, pinUserPagesFast, unpinUserPages } from '../../engine/mm/gup.js';
import { createMm, mmap, pinBalance, VM } from '../../engine/mm/vma.js';
import { type Op, sleepOn, type Task } from '../../engine/sched/op.js';
import { lab, STEP } from '../../engine/sched/step.js';
import { wake } from '../../engine/sched/wait.js';
import type { Program } from '../program.js';
import { ToyStore, toyStoreWords } from '../toy-store.js';

const FILE = 0;
const MM = 0;
const VPN = 0;

/**
 * Source: kernel.md H1-c (the 2019 put_user_page cover letter). A direct I/O read into a mapped
 * page pins it, and the device fills it; the flusher cleans and writes the same page. Without a
 * rule on pinned pages the payload on the disk need not be what the checksum was taken of.
 *
 * @param pageBytes 8 in the lab (two words: the least that can tear); 4096 in real threads
 */
export function h1c(pageBytes = 8): Program {
  const store1 = toyStoreWords(1, pageBytes);
  // The mailbox between the pin and its device: pfn to fill, then whether it is done.
  const submitted = store1;
  const done = store1 + 1;
  return {
    name: 'H1-c',
    title: 'a short pin slips in before mkclean; the device writes during writeback',
    geometry: {
      pageBytes,
      pages: 4,
      cpus: 1,
      mms: 1,
      mmPages: 1,
      vmas: 1,
      inodes: 1,
      nodes: 2,
      framesInState: pageBytes < 4096,
      extraWords: store1 + 2,
    },
    attach: (m) => {
      m.fs = new ToyStore(m, FILE, 1, (task, index) => {
        m.report({
          kind: 'torn-write',
          hazard: 'H1-c',
          task: task.name,
          message: `page ${String(index)}: payload on the disk differs from the checksum sampled for it`,
        });
      });
    },
    setUp: (task, m) => setUp(task, m, pageBytes),
    actors: [
      { name: 'flusher', run: flusher },
      { name: 'direct I/O', run: (task, m) => directIo(task, m, submitted, done) },
      { name: 'device', run: (task, m) => device(task, m, pageBytes, submitted, done) },
    ],
    verify: pinsBalance,
  };
}

/** A file of one page, mapped shared, and stored to once: its PTE is writable and dirty. */
function* setUp(task: Task, m: Machine, pageBytes: number): Op<void> {
  m.state.ino[FILE] = 1;
  m.state.iSize[FILE] = BigInt(pageBytes);
  createMm(m);
  yield* mmap(task, m, MM, {
    pages: 1,
    flags: VM.read | VM.write | VM.shared,
    inode: FILE,
    pgoff: 0,
    vpn: VPN,
  });
  yield* storeUser(
    task,
    m,
    MM,
    VPN,
    0,
    new Uint8Array(new Int32Array(pageBytes >>> 2).fill(1).buffer),
  );
}

function* flusher(task: Task, m: Machine): Op<void> {
  yield* m.fs.writepages(task, FILE, 'all', 0, 0);
}

/** read(2) with O_DIRECT into the mapping: pin, let the device fill the page, unpin it dirty. */
function* directIo(task: Task, m: Machine, submitted: number, done: number): Op<void> {
  const { extra } = m.state;
  const pfns = new Int32Array(1);
  const isPin = m.profile.dmaReference === 'pin';
  yield* pinUserPagesFast(task, m, MM, VPN, 1, FOLL.write | (isPin ? FOLL.pin : 0), pfns);
  if (lab?.point()) yield STEP;
  store(extra, submitted, pfns[0]);
  wake(extra, submitted);
  yield* until(task, extra, done);
  yield* unpinUserPages(task, m, pfns, 1, isPin ? PIN_BIAS : 1, true);
}

function* device(
  task: Task,
  m: Machine,
  pageBytes: number,
  submitted: number,
  done: number,
): Op<void> {
  const { extra } = m.state;
  const pfn = yield* until(task, extra, submitted);
  const data = new Int32Array(pageBytes >>> 2).fill(2);
  yield* storeWords(m.frames.wordSegment(pfn), m.frames.wordOffset(pfn), data);
  if (lab?.point()) yield STEP;
  store(extra, done, 1);
  wake(extra, done);
}

/** Sleeps until a word is not 0, and returns it. */
function* until(task: Task, words: Int32Array, index: number): Op<number> {
  for (;;) {
    if (lab?.point()) yield STEP;
    const value = load(words, index);
    if (value !== 0) return value;
    yield sleepOn(task, words, index, 0);
  }
}

/** At rest nr_foll_pin_acquired equals nr_foll_pin_released. */
function pinsBalance(m: Machine): Finding[] {
  const { acquired, released } = pinBalance(m);
  if (acquired === released) return [];
  const message = `${String(acquired)} pins acquired, ${String(released)} released`;
  return [{ kind: 'leak', hazard: 'H1-c', task: 'all', message }];
}

// H1-c: a short pin taken just before mkclean lets a device write while the page is being written.

import { directReadInto } from '../../engine/dma/direct-io.js';
import type { Finding } from '../../engine/finding.js';
import type { Machine } from '../../engine/machine.js';
import { load, store } from '../../engine/memory/word.js';
import { storeUser } from '../../engine/mm/access.js';
import { storeWords } from '../../engine/mm/content.js';
import { createMm, mmap, pinBalance, VM } from '../../engine/mm/vma.js';
import { type Op, sleepOn, type Task } from '../../engine/sched/op.js';
import { lab, STEP } from '../../engine/sched/step.js';
import { wake } from '../../engine/sched/wait.js';
import { PageStore, pageStoreWords } from '../../engine/tinyfs/page-store.js';
import { type Hazard, LAB_PAGE_BYTES } from '../hazard.js';
import type { Program } from '../program.js';

const FILE = 0;
const MM = 0;
const VPN = 0;

/**
 * A direct I/O read into a mapped page pins it, and the device fills it; the flusher cleans and
 * writes the same page.
 */
export const H1C: Hazard = {
  id: 'H1-c',
  title: 'a short pin slips in before mkclean; the device writes during writeback',
  source: 'kernel.md H1-c; the put_user_page cover letter of 2019',
  story:
    'A program reads a file with O_DIRECT into a page that it has mapped from another file. For ' +
    'that the kernel pins the page, and the device fills it. Meanwhile the flusher writes the same ' +
    'page: it write-protects the mappings, so that every later store of a CPU would fault first, ' +
    'takes a checksum, and sends the page to the disk. But the device does not store through a ' +
    'mapping. What reaches the disk need not be what the checksum was taken of: a read reports an ' +
    'error, RAID parity is wrong, a decrypted block is garbage.',
  mayGoWrong: ['torn-write', 'hang'],
  program: (_profile, pageBytes) => h1c(pageBytes),
};

/** @param pageBytes LAB_PAGE_BYTES in the lab; 4096 in real threads */
export function h1c(pageBytes = LAB_PAGE_BYTES): Program {
  const store1 = pageStoreWords(1, pageBytes);
  // The mailbox between the pin and its device: pfn to fill, then whether it is done.
  const submitted = store1;
  const done = store1 + 1;
  return {
    name: 'H1-c',
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
      m.fs = new PageStore(m, FILE, 1, (task, index) => {
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
    nameOfExtra: (word) => {
      if (word === submitted) return 'request';
      return word === done ? 'completion' : null;
    },
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

/** read(2) with O_DIRECT into the mapping: the device fills the page meanwhile. */
function* directIo(task: Task, m: Machine, submitted: number, done: number): Op<void> {
  const { extra } = m.state;
  const transfer = function* (_page: number, pfns: Int32Array): Op<void> {
    if (lab?.point()) yield STEP;
    store(extra, submitted, pfns[0]);
    wake(extra, submitted);
    yield* until(task, extra, done);
  };
  yield* directReadInto(task, m, MM, VPN, 1, transfer, new Int32Array(1));
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

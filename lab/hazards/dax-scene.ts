// The scene of the fsdax hazards: file F of one page on persistent memory, mapped by a process; file
// G of another file system, on a disk, which direct I/O reads into that page; and file H, beside F,
// which gets F's block as soon as that is free. The direct I/O has a reference to G, and none to F.

import type { Finding } from '../../engine/finding.js';
import type { Machine } from '../../engine/machine.js';
import { load } from '../../engine/memory/word.js';
import { faultIn } from '../../engine/mm/access.js';
import { beginShortPin, endShortPin } from '../../engine/mm/dax-break.js';
import { PIN_BIAS } from '../../engine/mm/folio.js';
import { FOLL, pinUserPagesFast, unpinUserPages } from '../../engine/mm/gup.js';
import { createMm, mmap, munmap, pinBalance, VM } from '../../engine/mm/vma.js';
import type { Profile } from '../../engine/profile/profile.js';
import { Errno } from '../../engine/sched/errors.js';
import type { Op, Task } from '../../engine/sched/op.js';
import { lab, STEP } from '../../engine/sched/step.js';
import { DaxStore, daxStoreWords } from '../../engine/tinyfs/dax-store.js';
import { Mounts } from '../../engine/tinyfs/mounts.js';
import { SOURCE_WORDS, SourceStore } from '../../engine/tinyfs/source-store.js';
import type { ActorSource, Program } from '../program.js';

/** Inode slots. F and H are files of the DAX file system, G of the other one. */
export const F = 0;
export const H = 1;
const G = 2;
export const MM = 0;
export const VPN = 0;

/** What each writer stores: F's program, the device, H's program. */
export const F_DATA = 1;
export const DEVICE_DATA = 2;
export const H_DATA = 3;

const STORE = { blocks: 1, files: 2, objects: 0 };

export interface Scene {
  readonly name: string;
  readonly pageBytes: number;
  readonly actors: readonly ActorSource[];
  /** What OWN_WORD is, if the program uses it. */
  readonly ownWord?: string;
  /** A direct I/O read has pinned F's page before the run begins: DEVICE ends it. */
  readonly inFlight: boolean;
  /** After F is mapped, with its block, and perhaps pinned: the rest of the initial state. */
  readonly setUp?: (task: Task, m: Machine, fs: DaxStore) => Op<void>;
  /** What else is wrong in the end. */
  readonly verify?: (m: Machine, fs: DaxStore) => Finding[];
}

const SOURCE_BASE = daxStoreWords(STORE);
/** The frame that the device was told of, and a word of the program's own. */
const IN_FLIGHT = SOURCE_BASE + SOURCE_WORDS;
export const OWN_WORD = IN_FLIGHT + 1;

/** A program on the scene. F is mapped writable, and its descriptor closed: the mapping has the only reference. */
export function daxProgram(scene: Scene): Program {
  return {
    name: scene.name,
    geometry: {
      pageBytes: scene.pageBytes,
      pages: 1 + STORE.blocks,
      cpus: 0,
      mms: 1,
      mmPages: 1,
      vmas: 1,
      inodes: STORE.files + 1,
      nodes: 1,
      framesInState: true,
      extraWords: OWN_WORD + 1,
    },
    attach: (m) => {
      m.fs = new Mounts(new DaxStore(m, STORE), new SourceStore(m, G, SOURCE_BASE), G);
    },
    setUp: (task, m) => setUp(task, m, scene),
    actors: scene.actors,
    nameOfExtra: (word) => {
      if (word === IN_FLIGHT) return 'frame told to the device';
      return word === OWN_WORD && scene.ownWord !== undefined ? scene.ownWord : null;
    },
    verify: (m) => {
      const fs = DaxStore.of(m);
      return [
        ...foreignWrites(m, fs, scene.name),
        ...unbalancedPins(m, scene.name),
        ...(scene.verify?.(m, fs) ?? []),
      ];
    },
  };
}

function* setUp(task: Task, m: Machine, scene: Scene): Op<void> {
  const fs = DaxStore.of(m);
  fs.format();
  new SourceStore(m, G, SOURCE_BASE).format(DEVICE_DATA);
  m.state.iCount[G] = 1; // open, and held by every direct I/O on it (kiocb)
  yield* fs.writeWord(task, F, F_DATA);
  createMm(m);
  const flags = VM.read | VM.write | VM.shared;
  yield* mmap(task, m, MM, { pages: 1, flags, inode: F, pgoff: 0, vpn: VPN });
  m.state.iCount[F] = 1;
  yield* faultIn(task, m, MM, VPN, true);
  if (scene.inFlight) m.state.extra[IN_FLIGHT] = yield* pinForDirectIo(task, m);
  if (scene.setUp !== undefined) yield* scene.setUp(task, m, fs);
}

/** Pins the mapped page as a direct I/O read does. @returns its frame, or 0 if it is not mapped any more (EFAULT) */
export function* pinForDirectIo(task: Task, m: Machine): Op<number> {
  const pfns = new Int32Array(1);
  const flags = FOLL.write | (m.profile.directIoReference === 'pin' ? FOLL.pin : 0);
  try {
    yield* pinUserPagesFast(task, m, MM, VPN, 1, flags, pfns);
  } catch (error) {
    if (error instanceof Errno) return 0;
    throw error;
  }
  return pfns[0];
}

/** The device stores into the page, and the completion gives the page back. DAX pages are not marked dirty. */
function* transfer(task: Task, m: Machine, pfn: number): Op<void> {
  beginShortPin(task, m);
  yield* new SourceStore(m, G, SOURCE_BASE).transfer(pfn);
  endShortPin(task, m);
  yield* unpinDirectIo(task, m, pfn);
}

/** Reads the page through a reference to it. What is seen of H there leaks to who has no right to it. */
export function* readThroughPin(task: Task, m: Machine, pfn: number, hazard: string): Op<void> {
  if (lab?.point()) yield STEP;
  const value = load(m.frames.wordSegment(pfn), m.frames.wordOffset(pfn));
  if (value !== H_DATA) return;
  m.report({
    kind: 'leak',
    hazard,
    task: task.name,
    message: `a reference to the page of file F reads ${String(value)}, which file H has stored`,
  });
}

export function* unpinDirectIo(task: Task, m: Machine, pfn: number): Op<void> {
  const reference = m.profile.directIoReference === 'pin' ? PIN_BIAS : 1;
  yield* unpinUserPages(task, m, Int32Array.of(pfn), 1, reference, false);
}

/** The frame that is pinned before the run begins. */
export function inFlight(m: Machine): number {
  return m.state.extra[IN_FLIGHT];
}

/** The device of the direct I/O that is in flight. */
export const DEVICE: ActorSource = {
  name: 'device',
  run: (task, m) => transfer(task, m, inFlight(m)),
};

/** The same for a direct write: the device reads the page. */
export const DEVICE_THAT_READS: ActorSource = {
  name: 'device',
  run: function* (task, m) {
    const pfn = inFlight(m);
    yield* readThroughPin(task, m, pfn, 'H2-a');
    yield* unpinDirectIo(task, m, pfn);
  },
};

/** read(2) with O_DIRECT, whose buffer is the mapping, from its beginning. */
export const DIRECT_READ: ActorSource = {
  name: 'direct I/O',
  run: function* (task, m) {
    const pfn = yield* pinForDirectIo(task, m);
    if (pfn !== 0) yield* transfer(task, m, pfn);
  },
};

/** munmap(2) of F, and the mapping's reference to the inode with it. */
export function* unmapF(task: Task, m: Machine): Op<void> {
  const inode = yield* munmap(task, m, MM, VPN);
  yield* DaxStore.of(m).inodes.iput(task, inode);
}

/** Another program writes to H, which takes the first free block, if there is one. */
export function* writeH(task: Task, m: Machine): Op<void> {
  try {
    yield* DaxStore.of(m).writeWord(task, H, H_DATA);
  } catch (error) {
    if (!(error instanceof Errno)) throw error; // ENOSPC: F still has the block
  }
}

/** Long-term pins and the like: what a profile calls them. */
export function needsDax(profile: Profile): string | null {
  return profile.hasDax ? null : 'there are no files on persistent memory under these rules';
}

/** H's block holds what the device stored for F: the storage was used after it was freed. */
function foreignWrites(m: Machine, fs: DaxStore, hazard: string): Finding[] {
  const block = fs.blockOf(H);
  if (block < 0) return [];
  const pfn = m.mediaFirst + block;
  const value = m.frames.wordSegment(pfn)[m.frames.wordOffset(pfn)];
  if (value !== DEVICE_DATA) return [];
  return [
    {
      kind: 'foreign-write',
      hazard,
      task: 'device',
      message: `block ${String(block)} belongs to file H, which stored ${String(H_DATA)}; a read into file F stored ${String(value)} there`,
    },
  ];
}

/** At rest nr_foll_pin_acquired equals nr_foll_pin_released. */
function unbalancedPins(m: Machine, hazard: string): Finding[] {
  const { acquired, released } = pinBalance(m);
  if (acquired === released) return [];
  const message = `${String(acquired)} pins acquired, ${String(released)} released`;
  return [{ kind: 'leak', hazard, task: 'all', message }];
}

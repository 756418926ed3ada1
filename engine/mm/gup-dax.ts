// What is special about getting and pinning pages of persistent memory: who may for long, and what a
// pin keeps besides the page (proposals P17, P18, P21 of kernel.md).

import type { Machine } from '../machine.js';
import { load, read } from '../memory/word.js';
import { Errno } from '../sched/errors.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { hasLease } from './lease.js';
import { findVma } from './vma.js';

/** Must these pins of the media go the slow way: long-term ones for the policy, others to keep the inode? */
export function isSlowForMedia(m: Machine, isLongterm: boolean, isPin: boolean): boolean {
  return isLongterm || (isPin && m.pinKeepsInode);
}

/**
 * The policy on long-term pins of DAX pages, which hold up truncate. Refused by VMA or (6.15) by
 * folio comes to the same here, where only DAX files map the media.
 * @param inode of the mapping, or -1
 * @throws Errno EOPNOTSUPP
 */
export function* checkLongtermDax(m: Machine, mm: number, inode: number): Op<void> {
  if (inode < 0 || m.fs.dax?.isDax(inode) !== true) return;
  const { longtermDaxPin } = m.profile;
  if (longtermDaxPin === 'allow') return;
  if (longtermDaxPin === 'lease') {
    if (lab?.point()) yield STEP;
    if (hasLease(m, inode, mm)) return;
  }
  throw new Errno(
    'EOPNOTSUPP',
    `a long-term pin of a DAX file is refused by ${m.profile.name}: ` +
      (longtermDaxPin === 'lease' ? 'take a layout lease of it first' : 'use a buffer elsewhere'),
  );
}

/**
 * P18: a pin of the media has a reference to its inode. mmap_lock is held, so that the mapping has one.
 * @returns true: the pin holds
 */
export function* keepInode(
  task: Task,
  m: Machine,
  mm: number,
  vpn: number,
  isPin: boolean,
): Op<boolean> {
  if (m.pinKeepsInode && isPin) {
    yield* m.fs.grabInode(task, read(m.state.vmaInode, findVma(m, mm, vpn)) - 1);
  }
  return true;
}

/**
 * The inodes that pins of the media have kept (P18): the pages tell them. A page that truncate took
 * away under its pin (before 4.18) has forgotten its inode, and the reference is lost.
 */
export function* keptInodes(m: Machine, pfns: Int32Array, count: number): Op<number[]> {
  const inodes: number[] = [];
  for (let i = 0; i < count; i++) {
    if (pfns[i] < m.mediaFirst) continue;
    if (lab?.point()) yield STEP;
    const inode = load(m.state.mapping, pfns[i]) - 1;
    if (inode >= 0) inodes.push(inode);
  }
  return inodes;
}

// vmsplice: user pages in a pipe, held by plain references for as long as nobody reads the pipe
// (Linux: fs/splice.c; FOLL_GET in all versions, neither pin nor LONGTERM: H2-i).

import type { Machine } from '../machine.js';
import { FOLL, pinUserPagesFast, unpinUserPages } from '../mm/gup.js';
import { Errno } from '../sched/errors.js';
import type { Op, Task } from '../sched/op.js';
import { deviceLoad } from './device.js';
import { PIPE_PAGES_MAX } from './limits.js';

/** A pipe that holds spliced pages, oldest first. One owner: an end of it is not shared. */
export class SplicePipe {
  readonly pfns: Int32Array;
  count = 0;

  constructor(readonly pagesMax: number) {
    if (!Number.isSafeInteger(pagesMax) || pagesMax <= 0 || pagesMax > PIPE_PAGES_MAX) {
      throw new Errno(
        'EINVAL',
        `a pipe of ${String(pagesMax)} pages: it has 1 to ${String(PIPE_PAGES_MAX)}`,
      );
    }
    this.pfns = new Int32Array(pagesMax);
  }
}

/**
 * Puts pages of a process into the pipe, as many as it has room for.
 * @returns pages spliced
 * @throws Errno EAGAIN (the pipe is full), EFAULT; EOPNOTSUPP (P22: DAX pages are refused)
 */
export function* vmsplice(
  task: Task,
  m: Machine,
  mm: number,
  vpn: number,
  pages: number,
  pipe: SplicePipe,
): Op<number> {
  const room = Math.min(pages, pipe.pagesMax - pipe.count);
  if (room <= 0) throw new Errno('EAGAIN', 'the pipe is full: read from it first');
  const free = pipe.pfns.subarray(pipe.count);
  const flags = m.profile.vmspliceDax === 'refuse' ? FOLL.longterm : 0;
  const got = yield* pinUserPagesFast(task, m, mm, vpn, room, flags, free);
  pipe.count += got;
  return got;
}

/**
 * Reads the oldest pages as they are by now, and lets them go.
 * @param target a whole number of pages
 * @returns pages read
 */
export function* readPipe(
  task: Task,
  m: Machine,
  pipe: SplicePipe,
  target: Uint8Array,
): Op<number> {
  const { pageBytes } = m.geometry;
  const pages = Math.min(pipe.count, Math.floor(target.byteLength / pageBytes));
  yield* deviceLoad(m, pipe.pfns, pages, 0, target.subarray(0, pages * pageBytes));
  yield* unpinUserPages(task, m, pipe.pfns, pages, 1, false);
  pipe.pfns.copyWithin(0, pages, pipe.count);
  pipe.count -= pages;
  return pages;
}

/** Closes the pipe: what is in it is let go unread. */
export function* closePipe(task: Task, m: Machine, pipe: SplicePipe): Op<void> {
  yield* unpinUserPages(task, m, pipe.pfns, pipe.count, 1, false);
  pipe.count = 0;
}

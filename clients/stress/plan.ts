// What a stress run works on: its writers, its files, and who owns which cell of which page.
//
// In a shared file cell w of each page belongs to writer w: CPUs come first, then devices. In a file
// of its own a CPU owns whole pages, since direct I/O moves nothing smaller.

import {
  BUFFER_PAGES,
  DIRECT_PAGES,
  FRAMES,
  JOURNAL_BLOCKS,
  SHARED_FILES,
  SHARED_PAGES,
  SPARE_BLOCKS,
} from './limits.js';
import { PAGE_BYTES } from './stamp.js';

export type FileUse = 'shared' | 'direct' | 'buffer';

export interface FilePlan {
  readonly number: number;
  readonly name: string;
  readonly use: FileUse;
  readonly pages: number;
  /** The CPU that owns all of it; -1 for a shared file. */
  readonly owner: number;
  /** The file that its stamps name: a direct file's are made out to the buffer file that follows it. */
  readonly stampedAs: number;
  /** Its first page among all pages, and its first row among all rows. */
  readonly firstPage: number;
  readonly firstRow: number;
  /** Rows of each page: one per writer, or one for the owner. */
  readonly rowsPerPage: number;
}

export interface Plan {
  readonly cpus: number;
  readonly devices: number;
  readonly writers: number;
  readonly files: readonly FilePlan[];
  readonly pages: number;
  readonly rows: number;
  readonly frames: number;
  readonly volumeBytes: number;
}

/** How large a run is; tests take smaller ones. */
export interface PlanSize {
  readonly sharedFiles: number;
  readonly sharedPages: number;
  readonly frames: number;
}

export const FULL_SIZE: PlanSize = {
  sharedFiles: SHARED_FILES,
  sharedPages: SHARED_PAGES,
  frames: FRAMES,
};

export function makePlan(cpus: number, devices: number, size: PlanSize = FULL_SIZE): Plan {
  const writers = cpus + devices;
  const files: FilePlan[] = [];
  let pages = 0;
  let rows = 0;
  const add = (name: string, use: FileUse, count: number, owner: number): void => {
    const rowsPerPage = use === 'shared' ? writers : 1;
    files.push({
      number: files.length,
      name,
      use,
      pages: count,
      owner,
      stampedAs: files.length + (use === 'direct' ? 1 : 0),
      firstPage: pages,
      firstRow: rows,
      rowsPerPage,
    });
    pages += count;
    rows += count * rowsPerPage;
  };
  for (let i = 0; i < size.sharedFiles; i++) add(`shared${i}`, 'shared', size.sharedPages, -1);
  for (let cpu = 0; cpu < cpus; cpu++) {
    add(`direct${cpu}`, 'direct', DIRECT_PAGES, cpu);
    add(`buffer${cpu}`, 'buffer', BUFFER_PAGES, cpu);
  }
  const volumeBytes = (2 * pages + SPARE_BLOCKS + JOURNAL_BLOCKS) * PAGE_BYTES;
  return { cpus, devices, writers, files, pages, rows, frames: size.frames, volumeBytes };
}

/** The row of `writer` in page `page` of a file. */
export function rowOf(file: FilePlan, page: number, writer: number): number {
  return file.firstRow + page * file.rowsPerPage + (file.use === 'shared' ? writer : 0);
}

/** Who may write cell `cell` of a page of the file; -1: nobody. */
export function cellOwner(plan: Plan, file: FilePlan, cell: number): number {
  if (file.use !== 'shared') return file.owner;
  return cell < plan.writers ? cell : -1;
}

export function writerName(plan: Plan, writer: number): string {
  return writer < plan.cpus ? `cpu${writer}` : `device${writer - plan.cpus}`;
}

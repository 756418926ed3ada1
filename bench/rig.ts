// A machine for benches: real memory from the addon, an address space of anonymous pages that are
// all present, and a driver on this thread.

import { createMachine, Machine, type MachineShared } from '../engine/machine.js';
import { faultIn } from '../engine/mm/access.js';
import { initAllocator } from '../engine/mm/alloc.js';
import { initNodes } from '../engine/mm/pagecache.js';
import { createMm, mmap, VM } from '../engine/mm/vma.js';
import { profileByName } from '../engine/profile/profiles.js';
import { BlockingDriver } from '../engine/sched/blocking.js';
import { Task } from '../engine/sched/op.js';
import { createMemory, type Memory } from '../native/index.js';

export const PAGE_BYTES = 4096;
export const MIB = 2 ** 20;
export const GIB = 2 ** 30;

/** Sizes of the growth series. */
export const GROWTH_BYTES: readonly number[] = [64 * MIB, GIB, 8 * GIB];

/** A size for people: 64MiB, 8GiB. */
export function sizeName(bytes: number): string {
  return bytes >= GIB ? `${String(bytes / GIB)}GiB` : `${String(bytes / MIB)}MiB`;
}

export interface AnonymousRig {
  readonly machine: Machine;
  readonly driver: BlockingDriver;
  readonly task: Task;
  readonly mm: number;
  readonly pages: number;
  /** Gives the memory back at once: the collector of garbage may not come by before the next rig. */
  readonly close: () => void;
}

/** An address space with `bytes` of anonymous memory, every page present and writable. */
export function anonymousRig(bytes: number): AnonymousRig {
  const pages = bytes / PAGE_BYTES;
  const segmentBytes = Math.min(GIB, bytes);
  const memory = createMemory(bytes + segmentBytes, { name: 'pinfold-bench', segmentBytes });
  const machine = createMachine(
    {
      pageBytes: PAGE_BYTES,
      // More than are mapped: below its watermarks an allocation would reclaim.
      pages: pages + Math.ceil(pages / 32) + 64,
      cpus: 4,
      mms: 1,
      mmPages: pages,
      vmas: 4,
      inodes: 1,
      nodes: 1,
      framesInState: false,
      extraWords: 0,
    },
    profileByName('linux-6.12'),
    memory.segments,
    false,
  );
  initAllocator(machine);
  initNodes(machine);
  const task = machine.newTask('bench');
  const driver = new BlockingDriver(machine.state.global);
  const mm = createMm(machine);
  driver.run(
    task,
    mmap(task, machine, mm, { pages, flags: VM.read | VM.write, inode: -1, pgoff: 0, vpn: 0 }),
  );
  for (let vpn = 0; vpn < pages; vpn++) driver.run(task, faultIn(task, machine, mm, vpn, true));
  const close = (): void => {
    release(memory);
  };
  return { machine, driver, task, mm, pages, close };
}

/** Empties memory that nobody uses any more. Who still maps it reads zeroes. */
export function release(memory: Memory): void {
  memory.discard(0, memory.lengthBytes);
  memory.close();
}

/** The same machine as seen by another thread. */
export function attachRig(
  shared: MachineShared,
  id: number,
): Pick<AnonymousRig, 'machine' | 'driver' | 'task'> {
  const machine = new Machine(shared);
  return {
    machine,
    driver: new BlockingDriver(machine.state.global),
    task: new Task(1000 + id, `bench ${String(id)}`, id),
  };
}

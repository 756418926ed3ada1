// A client's mappings of files of a volume, and the pins that devices take in them.

import { deviceLoad, deviceStore } from '../engine/dma/device.js';
import { dropPages, holdPages } from '../engine/dma/hold.js';
import { REGISTRATION_PAGES_MAX } from '../engine/dma/limits.js';
import type { Registration } from '../engine/dma/rdma.js';
import type { VolumeFiles } from '../engine/fs/files.js';
import type { Volume } from '../engine/fs/volume.js';
import { FOLL } from '../engine/mm/gup.js';
import { giveLease, takeLease } from '../engine/mm/lease.js';
import { Errno } from '../engine/sched/errors.js';
import type { Op, Task } from '../engine/sched/op.js';
import type { Process } from '../engine/syscall/process.js';
import type { MappingHandle, PinHandle } from './machine-service.js';
import type { OpRunner } from './op-runner.js';
import { checkReaches, readMapped, transfer } from './volume-dma.js';

/** The machine, as the objects of one client use it. */
export interface Context {
  readonly runner: OpRunner;
  readonly v: Volume;
  readonly files: VolumeFiles;
  readonly process: Process;
}

export class EngineMapping implements MappingHandle {
  /**
   * @param inode to which the mapping has a reference
   * @param start where it begins in the file
   */
  constructor(
    private readonly at: Context,
    private readonly inode: number,
    private readonly start: number,
    private readonly address: number,
    private readonly lengthBytes: number,
  ) {}

  async load(offset: number, target: Uint8Array, signal: AbortSignal): Promise<void> {
    const { runner, process } = this.at;
    await runner.run((task) => process.load(task, this.address + offset, target), signal);
  }

  async store(offset: number, data: Uint8Array, signal: AbortSignal): Promise<void> {
    const { runner, process } = this.at;
    await runner.run((task) => process.store(task, this.address + offset, data), signal);
  }

  async sync(signal: AbortSignal): Promise<void> {
    const { runner, files } = this.at;
    await runner.run((task) => files.fsync(task, this.inode), signal);
  }

  async pin(
    offset: number,
    lengthBytes: number,
    options: { readonly write: boolean; readonly longterm: boolean },
    signal: AbortSignal,
  ): Promise<PinHandle> {
    const { runner } = this.at;
    const { pageBytes } = runner.m.geometry;
    const start = this.address + offset;
    const vpn = Math.floor(start / pageBytes);
    const pages = Math.ceil((start + lengthBytes) / pageBytes) - vpn;
    const within = start % pageBytes;
    const pin = options.longterm
      ? (task: Task) => longPin(task, this.at, this.inode, vpn, pages, options.write)
      : (task: Task) => shortPin(task, this.at, vpn, pages, options.write);
    return new EnginePin(this.at, await runner.run(pin, signal), pages, within);
  }

  async transfer(
    offset: number,
    bytes: Uint8Array,
    direction: 'load' | 'store',
    signal: AbortSignal,
  ): Promise<void> {
    const { at, inode, start } = this;
    const { m } = at.runner;
    const address = this.address + offset;
    const { pageBytes } = m.geometry;
    const vpn = Math.floor(address / pageBytes);
    const end = start + offset + bytes.byteLength;
    const first = Math.floor((start + offset) / pageBytes);
    const { mm } = at.process;
    await at.runner.run(function* (task): Op<void> {
      if (direction === 'load') {
        yield* readMapped(task, at.v, inode, mm, vpn, first, Math.ceil(end / pageBytes) - first);
      }
      yield* transfer(task, m, mm, vpn, address % pageBytes, bytes, direction);
      // What lies past the end of the file in its last page is nobody's.
      checkReaches(at.v, inode, end);
    }, signal);
  }

  async unmap(): Promise<void> {
    const { runner, process } = this.at;
    if (runner.m.panicked) return;
    await runner.run((task) => process.munmap(task, this.address, this.lengthBytes));
  }
}

/** Pages that a device holds, and how they are let go. */
interface Held {
  readonly pfns: Int32Array;
  release(task: Task, dirty: boolean): Op<void>;
}

/** As direct I/O holds the buffers of one transfer. */
function* shortPin(task: Task, at: Context, vpn: number, pages: number, write: boolean): Op<Held> {
  const { m } = at.runner;
  const reference = m.profile.directIoReference;
  if (pages > REGISTRATION_PAGES_MAX) throw new Errno('EINVAL', `a pin of ${pages} pages`);
  const pfns = new Int32Array(pages);
  const flags = write ? FOLL.write : 0;
  const held = yield* holdPages(task, m, at.process.mm, vpn, pages, flags, reference, pfns);
  if (held < pages) {
    yield* dropPages(task, m, pfns, held, reference, false, flags);
    throw new Errno('EFAULT', `only ${held} of ${pages} pages can be pinned`);
  }
  return {
    pfns,
    release: (each, dirty) => dropPages(each, m, pfns, pages, reference, dirty, flags),
  };
}

/** As RDMA registers memory; where the rules in force ask for a layout lease, with one. */
function* longPin(
  task: Task,
  at: Context,
  inode: number,
  vpn: number,
  pages: number,
  write: boolean,
): Op<Held> {
  const { process, runner } = at;
  const { m } = runner;
  const leased = write && m.profile.longtermFilePin === 'lease';
  if (leased) yield* takeLease(m, inode, process.mm);
  let registration: Registration;
  try {
    registration = yield* process.register(task, vpn * m.geometry.pageBytes, pages, write);
  } catch (error) {
    if (leased) yield* giveLease(m, inode, process.mm);
    throw error;
  }
  return {
    pfns: registration.pfns,
    *release(each) {
      yield* process.deregister(each, registration);
      if (leased) yield* giveLease(m, inode, process.mm);
    },
  };
}

class EnginePin implements PinHandle {
  /** @param within where the pin begins in its first page */
  constructor(
    private readonly at: Context,
    private readonly held: Held,
    readonly pages: number,
    private readonly within: number,
  ) {}

  async dmaRead(offset: number, target: Uint8Array, signal: AbortSignal): Promise<void> {
    const { runner } = this.at;
    const { pfns } = this.held;
    const start = this.within + offset;
    await runner.run(() => deviceLoad(runner.m, pfns, this.pages, start, target), signal);
  }

  async dmaWrite(offset: number, data: Uint8Array, signal: AbortSignal): Promise<void> {
    const { runner } = this.at;
    const { pfns } = this.held;
    const start = this.within + offset;
    await runner.run(() => deviceStore(runner.m, pfns, this.pages, start, data), signal);
  }

  async unpin(dirty: boolean): Promise<void> {
    const { runner } = this.at;
    if (runner.m.panicked) return;
    await runner.run((task) => this.held.release(task, dirty));
  }
}

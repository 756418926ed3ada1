// A volume of the engine as the daemon serves it: a machine booted on its backing file, with block I/O, flusher and
// kswapd in threads of their own, and the operations of all clients on the daemon's event loop.

import type { Logger } from 'pino';
import { type Disk, openDisk } from '../engine/block/disk.js';
import { RunningMachine } from '../engine/boot.js';
import { VolumeFiles } from '../engine/fs/files.js';
import { GLOBAL } from '../engine/memory/layout.js';
import { flushRound } from '../engine/mm/flusher.js';
import { profileByName } from '../engine/profile/profiles.js';
import type { VolumeConfig } from './config.js';
import type {
  MachineService,
  VolumeEvents,
  VolumeSession,
  WritebackAction,
} from './machine-service.js';
import { OpRunner } from './op-runner.js';
import { FINDINGS_MAX } from './protocol/limits.js';
import type { FindingMessage } from './protocol/methods.js';
import { EngineSession } from './volume-session.js';

/** How often findings and panics are looked for, to be sent as events. */
const LOOK_MS = 100;

/** How large the machine of a volume is, beside its memory. */
const SIZES = {
  /** All operations run on one event loop. */
  cpus: 1,
  /** Clients that have the volume open. */
  mms: 64,
  /** 512 MiB of addresses for each. */
  mmPages: 131_072,
  vmas: 4096,
  inodes: 4096,
} as const;

/**
 * Boots a machine and mounts the volume; the journal is replayed if it was not unmounted.
 * @throws Errno EBUSY (lock held by pid N), ENOENT, EUCLEAN (no volume, or a damaged one), EINVAL (profile)
 */
export async function openVolumeService(
  config: VolumeConfig,
  log: Logger,
): Promise<MachineService> {
  const profile = profileByName(config.profile);
  const disk = openDisk(config.path);
  let running: RunningMachine | null = null;
  try {
    running = new RunningMachine({
      disk,
      profile,
      lockdep: config.lockdep,
      sizes: { ...SIZES, memoryBytes: config.memory },
    });
    await running.startDisk();
    const runner = new OpRunner(running.m);
    const { v } = running;
    const recovery = await runner.run((task) => v.mount(task));
    await running.startKernel();
    log.info({ volume: config.name, path: config.path, recovery }, 'mounted');
    return new VolumeService(config, disk, running, runner, log);
  } catch (error) {
    await running?.stop().catch((cause: unknown) => log.error({ err: cause }, 'while giving up'));
    disk.close();
    throw error;
  }
}

class VolumeService implements MachineService {
  readonly sizeBytes: number;
  readonly pageBytes: number;
  readonly backing: string;
  readonly profile: string;
  readonly #files: VolumeFiles;
  #events: VolumeEvents | null = null;
  readonly #look: NodeJS.Timeout;
  #nextFinding = 0;
  #panicTold = false;
  #flusherRuns = true;
  /** Pausing and resuming, one after the other. */
  #switching: Promise<void> = Promise.resolve();

  constructor(
    private readonly config: VolumeConfig,
    private readonly disk: Disk,
    private readonly machine: RunningMachine,
    private readonly runner: OpRunner,
    private readonly log: Logger,
  ) {
    this.sizeBytes = disk.sizeBytes;
    this.pageBytes = machine.m.geometry.pageBytes;
    this.backing = config.path;
    this.profile = machine.m.profile.name;
    this.#files = new VolumeFiles(machine.v);
    this.#look = setInterval(() => this.#lookForEvents(), LOOK_MS);
    this.#look.unref();
  }

  get panicked(): boolean {
    return this.machine.m.panicked;
  }

  newSession(): Promise<VolumeSession> {
    return new Promise((resolve) => {
      resolve(new EngineSession(this.runner, this.machine.v, this.#files));
    });
  }

  async statfs(signal: AbortSignal) {
    const { v } = this.machine;
    const status = await this.runner.run((task) => v.status(task), signal);
    const { blockBytes, blocks, freeBlocks, inodes, freeInodes } = status;
    return { blockBytes, blocks, blocksFree: freeBlocks, inodes, inodesFree: freeInodes };
  }

  async writeback(action: WritebackAction, signal: AbortSignal): Promise<void> {
    if (action === 'flush') {
      await this.runner.run((task) => flushRound(task, this.machine.m), signal);
      return;
    }
    const run = action === 'resume';
    this.#switching = this.#switching.then(async () => await this.#switchFlusher(run));
    await this.#switching;
  }

  async #switchFlusher(run: boolean): Promise<void> {
    if (run === this.#flusherRuns) return;
    this.#flusherRuns = run;
    if (run) await this.machine.startKernel();
    else await this.machine.stopKernel();
  }

  statistics(): Record<string, number> {
    const { m } = this.machine;
    const { global } = m.state;
    const at = (index: number): number => Atomics.load(global, index);
    return {
      pages: m.geometry.pages,
      pagesFree: at(GLOBAL.freeCount),
      pagesCached: at(GLOBAL.nrFilePages),
      pagesDirty: at(GLOBAL.nrDirty),
      pagesUnderWriteback: at(GLOBAL.nrWriteback),
      pagesWritten: at(GLOBAL.nrWritten) >>> 0,
      pinsAcquired: at(GLOBAL.pinAcquired) >>> 0,
      pinsReleased: at(GLOBAL.pinReleased) >>> 0,
      findings: at(GLOBAL.findings),
      operationsRunning: this.runner.running,
      flusherRuns: this.#flusherRuns ? 1 : 0,
      panicked: m.panicked ? 1 : 0,
    };
  }

  findings() {
    const { count, kept } = this.machine.m.findings();
    return { count, kept: kept.slice(-FINDINGS_MAX).map(toMessage) };
  }

  listen(events: VolumeEvents): void {
    this.#events = events;
  }

  /**
   * Syncs and unmounts. After a panic there is nothing to sync: the next mount replays the journal.
   * @throws Errno EIO, ENOSPC: not everything could be written back; the disk is closed all the same
   */
  async close(): Promise<void> {
    clearInterval(this.#look);
    this.#lookForEvents();
    const { machine, runner } = this;
    try {
      await this.#switching;
      if (machine.m.panicked) {
        this.log.warn({ volume: this.config.name }, 'not unmounted: its machine has panicked');
      } else {
        await machine.stopKernel();
        await runner.run((task) => machine.v.unmount(task));
      }
    } finally {
      await machine.stop().catch((error: unknown) => {
        if (!machine.m.panicked) throw error;
      });
      runner.close();
      this.disk.close();
    }
  }

  #lookForEvents(): void {
    const { m } = this.machine;
    const { next, found } = m.findingsSince(this.#nextFinding);
    this.#nextFinding = next;
    for (const finding of found) this.#events?.finding(toMessage(finding));
    if (!m.panicked || this.#panicTold) return;
    this.#panicTold = true;
    const cause = m.findings().kept.findLast(({ kind }) => kind === 'bug');
    this.#events?.panic(cause?.message ?? 'the machine has panicked');
  }
}

function toMessage({ kind, hazard, task, message }: FindingMessage): FindingMessage {
  return { kind, hazard, task, message };
}

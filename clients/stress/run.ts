// A run of the stress: epochs of jobs, ended by the clock or by a BUG; after each one a look at what
// the disk holds.

import { Piscina } from 'piscina';
import type { Disk } from '../../engine/block/disk.js';
import type { RunningMachine } from '../../engine/boot.js';
import type { FsckReport } from '../../engine/fs/fsck.js';
import type { VolumeShared } from '../../engine/fs/volume.js';
import type { MachineShared } from '../../engine/machine.js';
import { GLOBAL, handedOver } from '../../engine/memory/layout.js';
import type { Profile } from '../../engine/profile/profile.js';
import { doorbells } from '../../engine/sched/wait.js';
import { type Board, newBoard, OPERATIONS } from './board.js';
import { bootMachine } from './boot.js';
import { dmaQueueBuffer } from './dma-queue.js';
import { FindingLog } from './findings.js';
import type { JobShared } from './job-shared.js';
import { EPOCHS_MAX, LOOK_MS, PROGRESS_MS } from './limits.js';
import type { StressOptions } from './options.js';
import type { Plan } from './plan.js';
import type { StressProgress, StressReport } from './report.js';
import { summarize } from './summary.js';
import { newTables, type Tables, type TablesShared } from './tables.js';
import type { Counted, VerifyMode } from './verify.js';
import type { Begun, Ended, WardenShared } from './warden.js';

/** What a new life's memory is full of, so that nothing rests on its being zero. */
const GARBAGE = 0x5a;

/** How often it is looked whether the jobs of an epoch still run. */
const JOBS_LOOK_MS = 10;
/** How long jobs may take to stop. */
const HANG_MS = 30_000;
const CRASHES_AT_REST_MAX = 3;
const DAMAGES_MAX = 20;

export class Run {
  private readonly tables: Tables;
  private readonly board: Board;
  private readonly log: FindingLog;
  private readonly pool: Piscina;
  private memory: RunningMachine['memory'] | undefined;
  private readonly damages: string[] = [];
  private phase = 'formatting';
  private epoch = 0;
  private fsckRuns = 0;
  private verifiedCells = 0;
  private pagesWritten = 0;
  private runningMs = 0;
  /** When the time is up: it counts from when jobs first run. */
  private endMs = Number.POSITIVE_INFINITY;
  /** The machine whose findings are looked for, which of them were seen, and its files. */
  private rig: RunningMachine | null = null;
  private seenFindings = 0;
  private inos: readonly number[] = [];

  constructor(
    private readonly options: StressOptions,
    private readonly profile: Profile,
    private readonly plan: Plan,
    private readonly disk: Disk,
    private readonly onProgress: (progress: StressProgress) => void,
  ) {
    this.tables = newTables(plan, performance.timeOrigin + performance.now());
    this.board = newBoard(plan.writers);
    this.log = new FindingLog(profile.name, this.tables);
    this.pool = new Piscina({
      filename: new URL('./worker.js', import.meta.url).href,
      minThreads: plan.writers,
      maxThreads: plan.writers,
    });
  }

  async run(): Promise<StressReport> {
    const look = setInterval(() => this.look(), LOOK_MS);
    const progress = setInterval(() => this.tell(), PROGRESS_MS);
    const stop = (): void => this.board.stop();
    this.options.signal?.addEventListener('abort', stop, { once: true });
    try {
      await this.format();
      await this.lives();
      this.phase = 'done';
      this.tell();
      return this.report();
    } finally {
      clearInterval(look);
      clearInterval(progress);
      this.options.signal?.removeEventListener('abort', stop);
      this.rig?.m.panic();
      await this.rig?.stop();
      await this.pool.destroy();
    }
  }

  /**
   * Lives of the machine: those in which jobs run, until the time is up; after each BUG one that
   * verifies what fsync promised; and a last one that verifies everything.
   */
  private async lives(): Promise<void> {
    let verify: VerifyMode | null = null;
    let crashesAtRest = 0;
    for (;;) {
      const runs = verify === null && this.hasTime();
      if (runs) this.epoch++;
      if (!(await this.life(verify, runs))) {
        verify = 'crash';
        if (!runs && ++crashesAtRest > CRASHES_AT_REST_MAX) {
          this.damages.push('the machine panics whenever the volume is mounted');
          return;
        }
        continue;
      }
      await this.fsck();
      if (runs) verify = 'final';
      else if (verify === 'crash' && this.hasTime()) verify = null;
      else return;
    }
  }

  private hasTime(): boolean {
    return (
      performance.now() < this.endMs &&
      this.options.signal?.aborted !== true &&
      this.epoch < EPOCHS_MAX
    );
  }

  /** One life of the machine. @returns did it end with a clean unmount? */
  private async life(verify: VerifyMode | null, runs: boolean): Promise<boolean> {
    const rig = bootMachine(this.plan, this.profile, this.disk, this.memory);
    this.memory = rig.memory;
    this.rig = rig;
    this.seenFindings = 0;
    try {
      await rig.startDisk();
      const inodes = await this.begin(rig, verify);
      if (inodes === null) return false;
      if (runs) await this.runJobs(rig, inodes);
      if (rig.m.panicked) return false;
      this.phase = 'unmounting';
      const ended = await this.warden<Ended>({ ...this.onMachine(rig), what: 'end', inodes });
      if (ended !== null) this.count(ended.findings);
      return ended !== null;
    } finally {
      if (rig.m.panicked) this.phase = 'restarting after a BUG';
      await rig.stop();
      this.look();
      this.pagesWritten += Atomics.load(rig.m.state.global, GLOBAL.nrWritten) >>> 0;
      this.rig = null;
      for (const segment of rig.memory.segments) new Uint8Array(segment).fill(GARBAGE);
    }
  }

  /** Mounts and verifies. @returns the inode slots of the files, or null if the machine panicked */
  private async begin(
    rig: RunningMachine,
    verify: VerifyMode | null,
  ): Promise<readonly number[] | null> {
    this.phase = verify === null ? 'mounting' : 'verifying';
    const begun = await this.warden<Begun>({ ...this.onMachine(rig), what: 'begin', verify });
    if (begun === null) return null;
    this.look();
    this.inos = begun.inos;
    this.verifiedCells += begun.cells;
    this.count(begun.findings);
    return begun.inodes;
  }

  private async runJobs(rig: RunningMachine, inodes: readonly number[]): Promise<void> {
    const { plan, board } = this;
    await rig.startKernel();
    this.phase = 'running';
    board.goOn();
    if (this.options.signal?.aborted === true) board.stop();
    const cpusLeft = new Int32Array(new SharedArrayBuffer(4));
    cpusLeft[0] = plan.cpus;
    const queues = Array.from({ length: plan.devices }, dmaQueueBuffer);
    const started = performance.now();
    this.endMs = Math.min(this.endMs, started + this.options.seconds * 1000);
    let left = plan.writers;
    const jobs = Array.from({ length: plan.writers }, async (_, worker) => {
      try {
        const shared: JobShared = {
          kind: 'job',
          worker,
          seed: this.options.seed,
          epoch: this.epoch,
          machine: rig.m.shared,
          volume: rig.v.shared,
          bells: doorbells(),
          tables: this.tables.shared,
          board: board.shared,
          queues,
          inodes,
          cpusLeft,
        };
        await this.pool.run(shared);
      } catch (error) {
        rig.m.panic(); // the others must not wait for it
        throw error;
      } finally {
        left--;
      }
    });
    const all = Promise.allSettled(jobs);
    const crashMs = started + (this.options.crashEverySeconds ?? Number.POSITIVE_INFINITY) * 1000;
    while (
      performance.now() < this.endMs &&
      !rig.m.panicked &&
      left === plan.writers &&
      !board.stopping
    ) {
      await rest(JOBS_LOOK_MS);
      // A planned crash is no finding: what it leaves on the disk is.
      if (performance.now() >= crashMs) rig.m.panic();
    }
    board.stop();
    this.runningMs += performance.now() - started;
    await this.awaitJobs(rig, all);
    for (const job of await all) if (job.status === 'rejected') throw job.reason;
    if (!rig.m.panicked) await rig.stopKernel();
  }

  /** Waits for the jobs; if they don't come to an end, that is a finding, and the machine ends. */
  private async awaitJobs(rig: RunningMachine, all: Promise<unknown>): Promise<void> {
    this.phase = 'stopping';
    const late = new AbortController();
    const inTime = await Promise.race([
      all.then(() => true),
      rest(HANG_MS, late.signal).then(() => false),
    ]);
    late.abort();
    if (inTime) return;
    const message = `CPUs and devices did not stop within ${HANG_MS / 1000} s`;
    this.log.add({ kind: 'hang', hazard: null, task: 'all', message }, this.epoch, []);
    rig.m.panic();
    await all;
  }

  private async format(): Promise<void> {
    const { fd, sizeBytes } = this.disk;
    const { seed } = this.options;
    await this.pool.run({
      kind: 'warden',
      what: 'format',
      bells: doorbells(),
      fd,
      sizeBytes,
      seed,
    });
  }

  private async fsck(): Promise<void> {
    this.phase = 'fsck';
    const { fd, sizeBytes } = this.disk;
    const bells = doorbells();
    const found = await this.warden<FsckReport>({
      kind: 'warden',
      what: 'fsck',
      bells,
      fd,
      sizeBytes,
    });
    this.fsckRuns++;
    for (const damage of found?.damages ?? []) {
      if (this.damages.length < DAMAGES_MAX) this.damages.push(`${damage.code}: ${damage.message}`);
    }
  }

  private onMachine(rig: RunningMachine): {
    readonly kind: 'warden';
    readonly bells: Int32Array;
    readonly machine: MachineShared;
    readonly volume: VolumeShared;
    readonly tables: TablesShared;
  } {
    return {
      kind: 'warden',
      bells: doorbells(),
      machine: rig.m.shared,
      volume: rig.v.shared,
      tables: this.tables.shared,
    };
  }

  private async warden<T>(task: WardenShared): Promise<T | null> {
    return handedOver<T | null>(await this.pool.run(task));
  }

  private count(findings: readonly Counted[]): void {
    for (const { finding, count } of findings) this.log.add(finding, this.epoch, this.inos, count);
  }

  /** Takes down what the machine has found since the last look. */
  private look(): void {
    if (this.rig === null) return;
    const { next, found } = this.rig.m.findingsSince(this.seenFindings);
    this.seenFindings = next;
    for (const finding of found) this.log.add(finding, this.epoch, this.inos);
  }

  private tell(): void {
    const { board } = this;
    const written = this.rig?.m.state.global[GLOBAL.nrWritten] ?? 0;
    this.onProgress({
      elapsedSeconds: this.tables.now() / 1000,
      seconds: this.options.seconds,
      epoch: this.epoch,
      phase: this.phase,
      operations: OPERATIONS.reduce((sum, name) => sum + board.total(name), 0),
      pagesPinned: board.total('pagesPinned'),
      pagesWrittenBack: this.pagesWritten + (written >>> 0),
      findings: this.log.total,
    });
  }

  private report(): StressReport {
    return summarize({
      options: this.options,
      board: this.board,
      log: this.log,
      seconds: this.runningMs / 1000,
      epochs: this.epoch,
      pagesWritten: this.pagesWritten,
      verifiedCells: this.verifiedCells,
      fsckRuns: this.fsckRuns,
      damages: this.damages,
    });
  }
}

/** Resolves after that time, or at once when it is not waited for any more. */
function rest(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

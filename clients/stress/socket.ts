// The stress against a volume of a daemon: the same cells and the same oracle, fewer operations. CPUs
// and devices are clients with a connection each, all on this event loop; the daemon's machine is real.

import { FINDING_KINDS } from '../../engine/finding.js';
import { Errno } from '../../engine/sched/errors.js';
import { type Client, connect, PinfoldError, type Volume } from '../node/index.js';
import { newBoard, OPERATIONS } from './board.js';
import { FindingLog } from './findings.js';
import { PROGRESS_MS, SOCKET_FILES, SOCKET_PAGES } from './limits.js';
import type { StressOptions } from './options.js';
import { explain, judge, newClaim } from './oracle.js';
import { cellOwner, type FilePlan, makePlan } from './plan.js';
import type { StressProgress, StressReport } from './report.js';
import type { SocketRun } from './socket-run.js';
import { SocketWorker } from './socket-worker.js';
import { CELL_WORDS, CELLS_PER_PAGE, newCell, PAGE_BYTES, PAGE_WORDS, readCell } from './stamp.js';
import { summarize } from './summary.js';
import { newTables } from './tables.js';

/** @throws Errno EINVAL (no volume with that profile), PinfoldError (no daemon there...) */
export async function runOnSocket(
  options: StressOptions,
  socket: string,
  onProgress: (progress: StressProgress) => void,
): Promise<StressReport> {
  const client = await connect(socket);
  const plan = makePlan(options.cpus, options.devices, {
    sharedFiles: SOCKET_FILES,
    sharedPages: SOCKET_PAGES,
    frames: 0,
  });
  const tables = newTables(plan, performance.timeOrigin + performance.now());
  const log = new FindingLog(options.profile, tables);
  const board = newBoard(plan.writers);
  const stop = (): void => board.stop();
  options.signal?.addEventListener('abort', stop, { once: true });
  try {
    const name = await volumeFor(client, options.profile);
    const volume = await client.volume(name);
    const run: SocketRun = {
      plan,
      files: plan.files.filter((file) => file.use === 'shared'),
      tables,
      board,
      seed: options.seed,
      folder: `/stress-${process.pid}-${options.seed}`,
      volumeName: name,
      found: (kind, hazard, task, message) => {
        log.add({ kind, hazard, task, message }, 1, []);
      },
      panicked: false,
    };
    listen(client, run);
    const started = performance.now();
    const timer = setInterval(() => {
      onProgress(progressOf(run, log, options.seconds));
    }, PROGRESS_MS);
    let cells = 0;
    try {
      await makeFiles(volume, run);
      await runWorkers(run, socket, options, started);
      if (!run.panicked) cells = await verify(volume, run);
    } finally {
      clearInterval(timer);
    }
    return summarize({
      options,
      board,
      log,
      seconds: (performance.now() - started) / 1000,
      epochs: 1,
      pagesWritten: 0,
      verifiedCells: cells,
      fsckRuns: 0,
      damages: [],
    });
  } finally {
    options.signal?.removeEventListener('abort', stop);
    await client.close();
  }
}

/** The first volume that runs under the profile. */
async function volumeFor(client: Client, profile: string): Promise<string> {
  const { volumes } = await client.list();
  const fitting = volumes.find((volume) => volume.profile === profile);
  if (fitting !== undefined) return fitting.name;
  const have = volumes.map((volume) => `${volume.name} (${volume.profile})`).join(', ');
  throw new Errno(
    'EINVAL',
    `the daemon has no volume under ${profile}; it has: ${have === '' ? 'none' : have}`,
  );
}

function listen(client: Client, run: SocketRun): void {
  client.on('finding', (name, finding) => {
    const kind = FINDING_KINDS.find((one) => one === finding.kind);
    if (name !== run.volumeName || kind === undefined) return;
    run.found(kind, finding.hazard, finding.task, finding.message);
  });
  client.on('panic', (name) => {
    if (name !== run.volumeName) return;
    run.panicked = true;
    run.board.stop();
  });
}

async function makeFiles(volume: Volume, run: SocketRun): Promise<void> {
  await volume.mkdir(run.folder);
  for (const { name, pages } of run.files) {
    const file = await volume.open(`${run.folder}/${name}`, { create: true, exclusive: true });
    await file.truncate(pages * PAGE_BYTES);
    await file.close();
  }
}

async function runWorkers(
  run: SocketRun,
  socket: string,
  options: StressOptions,
  started: number,
): Promise<void> {
  const { board } = run;
  board.goOn();
  if (options.signal?.aborted === true) board.stop();
  const workers = Array.from({ length: run.plan.writers }, (_, i) => new SocketWorker(run, i));
  const clock = setTimeout(
    () => board.stop(),
    options.seconds * 1000 - (performance.now() - started),
  );
  try {
    const ended = await Promise.allSettled(
      workers.map((worker) => worker.work(socket).finally(() => board.stop())),
    );
    for (const one of ended) {
      if (one.status === 'rejected' && !run.panicked) throw one.reason;
    }
  } finally {
    clearTimeout(clock);
  }
}

/** Syncs, reads every cell back and judges it, and removes the files. */
async function verify(volume: Volume, run: SocketRun): Promise<number> {
  await volume.sync();
  let cells = 0;
  for (const plan of run.files) {
    const path = `${run.folder}/${plan.name}`;
    const file = await volume.open(path);
    for (let page = 0; page < plan.pages; page++) {
      const words = new Int32Array(PAGE_WORDS);
      try {
        await file.preadInto(page * PAGE_BYTES, new Uint8Array(words.buffer));
      } catch (error) {
        if (!(error instanceof PinfoldError)) throw error;
        run.found('spurious-error', null, 'verify', `${plan.name} page ${page}: ${error.message}`);
        continue;
      }
      cells += verifyPage(run, plan, page, words);
    }
    await file.close();
    await volume.unlink(path);
  }
  await volume.rmdir(run.folder);
  return cells;
}

function verifyPage(run: SocketRun, file: FilePlan, page: number, words: Int32Array): number {
  const { tables, plan } = run;
  const cell = newCell();
  const claim = newClaim();
  for (let i = 0; i < CELLS_PER_PAGE; i++) {
    readCell(words, i * CELL_WORDS, cell);
    const writer = cellOwner(plan, file, i);
    claim.floor = claim.invoked = 0;
    if (writer >= 0) {
      const row = file.firstRow + page * file.rowsPerPage + writer;
      claim.floor = tables.answered[row];
      claim.floorCuts = tables.answeredCuts[row];
      claim.invoked = tables.invoked[row];
      claim.cutsStarted = tables.cutsStarted[file.firstPage + page];
    }
    const kind = judge(cell, { writer, file: file.stampedAs, page }, claim);
    if (kind === null) continue;
    const what = `at the end, ${file.name} page ${page} cell ${i}: ${explain(cell, claim)}`;
    run.found(kind, null, 'verify', `${what}; ${tables.story(file, page)}`);
  }
  return CELLS_PER_PAGE;
}

function progressOf(run: SocketRun, log: FindingLog, seconds: number): StressProgress {
  return {
    elapsedSeconds: run.tables.now() / 1000,
    seconds,
    epoch: 1,
    phase: run.board.stopping ? 'verifying' : 'running',
    operations: OPERATIONS.reduce((sum, name) => sum + run.board.total(name), 0),
    pagesPinned: run.board.total('pagesPinned'),
    pagesWrittenBack: 0,
    findings: log.total,
  };
}

// A program in real worker threads: one thread per actor, with the blocking driver, round after
// round from the same initial state. No scheduler decides here; the hardware does.

import { Worker } from 'node:worker_threads';
import type { Finding } from '../engine/finding.js';
import { createMachine } from '../engine/machine.js';
import { GLOBAL } from '../engine/memory/layout.js';
import { initAllocator } from '../engine/mm/alloc.js';
import { initNodes } from '../engine/mm/pagecache.js';
import type { Profile } from '../engine/profile/profile.js';
import { BlockingDriver } from '../engine/sched/blocking.js';
import { Errno } from '../engine/sched/errors.js';
import { doorbells } from '../engine/sched/wait.js';
import { hazardByName } from './hazards/index.js';
import { ROUND, type ThreadData } from './rounds.js';

const PAGE_BYTES = 4096;

/** What the rounds came to. */
export interface ThreadsResult {
  readonly rounds: number;
  /** Rounds in which something was found. */
  readonly failedRounds: number;
  readonly first: Finding | null;
}

/**
 * Runs the hazard until `rounds` rounds are over, or one has found something.
 * @throws Errno ESHUTDOWN if a thread died
 */
export async function runInThreads(
  hazard: string,
  profile: Profile,
  rounds: number,
): Promise<ThreadsResult> {
  const program = hazardByName(hazard).program(profile, PAGE_BYTES);
  const { geometry } = program;
  const frames = new SharedArrayBuffer(geometry.pages * PAGE_BYTES);
  const m = createMachine(geometry, profile, [frames], true);
  initAllocator(m);
  initNodes(m);
  program.attach(m);
  const setUp = m.newTask('set-up');
  new BlockingDriver(m.state.global).run(setUp, program.setUp(setUp, m));
  const live = [new Int32Array(m.shared.state), new Int32Array(frames)];
  const initial = live.map((words) => words.slice());
  const words = new Int32Array(new SharedArrayBuffer(ROUND.words * 4));
  const deaths: unknown[] = [];
  const workers = program.actors.map((_, actor) => {
    const workerData: ThreadData = {
      hazard,
      actor,
      machine: m.shared,
      rounds: words,
      bells: doorbells(),
    };
    const worker = new Worker(new URL('./threads-worker.js', import.meta.url), { workerData });
    worker.on('error', (error) => deaths.push(error));
    return worker;
  });
  let failed = 0;
  let first: Finding | null = null;
  let round = 0;
  try {
    while (round < rounds && failed === 0) {
      live.forEach((target, i) => {
        target.set(initial[i]);
      });
      round++;
      await runRound(words, round, workers.length, deaths);
      const { count, kept } = m.findings();
      if (count > 0) failed++;
      first ??= kept.at(0) ?? null;
    }
  } finally {
    Atomics.store(words, ROUND.stop, 1);
    Atomics.add(words, ROUND.number, 1);
    Atomics.notify(words, ROUND.number);
    m.state.global[GLOBAL.panic] = 1;
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
  return { rounds: round, failedRounds: failed, first };
}

async function runRound(
  words: Int32Array,
  round: number,
  actors: number,
  deaths: unknown[],
): Promise<void> {
  Atomics.store(words, ROUND.arrived, 0);
  Atomics.store(words, ROUND.number, round);
  Atomics.notify(words, ROUND.number);
  for (let spin = 0; ; spin++) {
    const arrived = Atomics.load(words, ROUND.arrived);
    if (arrived === actors) return;
    if (deaths.length > 0) {
      throw new Errno('ESHUTDOWN', 'a thread of the program died', { cause: deaths[0] });
    }
    if (spin < 100) Atomics.wait(words, ROUND.arrived, arrived, 10);
    else await new Promise((resolve) => setImmediate(resolve));
  }
}

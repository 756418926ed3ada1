// Benches of the lab: executions of a hazard per second on one core, how many schedules the
// reduction by partial orders runs for each distinct trace, and what winding a tiny machine back costs.

import { profileByName } from '../engine/profile/profiles.js';
import { explore } from '../lab/explore.js';
import { LAB_PAGE_BYTES } from '../lab/hazard.js';
import { hazardByName } from '../lab/hazards/index.js';
import type { Program } from '../lab/program.js';
import { Rig } from '../lab/rig.js';
import { UNBOUNDED } from '../lab/search/depth-first.js';
import { SMALL_PROGRAMS } from '../lab/search/programs.js';
import { type BenchOptions, type BenchResult, nanosecondsEach, summarise } from './measure.js';

const PROFILE = profileByName('linux-6.12');
const REACH = 100_000;
const REDUCTION_REACH = 1.5;
const RESETS = 100_000;
/** Programs of which every trace is counted, besides H0-a and H1-c. */
const REDUCED: readonly string[] = ['mutex', 'rwsem', 'lost update'];

function hazard(name: string): Program {
  return hazardByName(name).program(PROFILE, LAB_PAGE_BYTES);
}

/** `lab` and `lab-h1-c`: the depth-first search of H0-a (two actors) and of H1-c (three). */
export function benchLab(options: BenchOptions): BenchResult[] {
  return [search('lab', 'H0-a', options), search('lab-h1-c', 'H1-c', options)];
}

function search(name: string, id: string, options: BenchOptions): BenchResult {
  const program = hazard(id);
  let steps = 0;
  let executions = 0;
  const runs = [];
  explore(program, PROFILE, { bounds: [UNBOUNDED], budget: 20_000 });
  for (let i = 0; i < options.runs; i++) {
    options.onProgress(`${name}: run ${String(i + 1)} of ${String(options.runs)}`);
    const start = performance.now();
    const result = explore(program, PROFILE, { bounds: [UNBOUNDED] });
    runs.push({ value: (result.executions * 1000) / (performance.now() - start), against: null });
    steps = result.steps / result.executions;
    executions = result.executions;
  }
  return summarise(
    {
      name,
      unit: 'executions/s',
      againstWhat: null,
      reach: `>= ${String(REACH)}/s on one core`,
      isReached: (_, value) => value >= REACH,
      details: { stepsPerExecution: steps, executions },
    },
    runs,
  );
}

/** `lab-reduction`: executions for each distinct trace, of the program that takes the most. */
export function benchLabReduction(options: BenchOptions): BenchResult {
  const small = SMALL_PROGRAMS.filter(({ name }) => REDUCED.includes(name));
  const details: Record<string, number> = {};
  let worst = 0;
  for (const program of [...small, hazard('H0-a'), hazard('H1-c')]) {
    options.onProgress(`lab-reduction: ${program.name}`);
    const { executions, reduction } = explore(program, PROFILE, { strategy: 'dpor' });
    const traces = reduction?.traces ?? 0;
    details[`${program.name}: schedules`] = executions;
    details[`${program.name}: traces`] = traces;
    worst = Math.max(worst, executions / traces);
  }
  return summarise(
    {
      name: 'lab-reduction',
      unit: 'schedules/trace',
      againstWhat: null,
      reach: `<= ${String(REDUCTION_REACH)}`,
      isReached: (_, value) => value <= REDUCTION_REACH,
      details,
    },
    [{ value: worst, against: null }],
  );
}

/** `lab-reset`: copying the initial state of H1-c's machine back. */
export function benchLabReset(options: BenchOptions): BenchResult {
  const rig = new Rig(hazard('H1-c'), PROFILE, { choose: () => -1 }, null);
  const live = new Int32Array(rig.machine.shared.state);
  const initial = live.slice();
  const run = (): number =>
    nanosecondsEach(RESETS, () => {
      for (let i = 0; i < RESETS; i++) live.set(initial);
    });
  run();
  const runs = [];
  for (let i = 0; i < options.runs; i++) runs.push({ value: run(), against: null });
  return summarise(
    {
      name: 'lab-reset',
      unit: 'ns',
      againstWhat: null,
      reach: null,
      isReached: null,
      details: { stateBytes: live.byteLength },
    },
    runs,
  );
}

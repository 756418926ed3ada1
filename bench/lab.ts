// Benches `lab` and `lab-reset`: executions of H1-c per second on one core, and what winding a tiny
// machine back costs.

import { profileByName } from '../engine/profile/profiles.js';
import { explore } from '../lab/explore.js';
import { LAB_PAGE_BYTES } from '../lab/hazard.js';
import { hazardByName } from '../lab/hazards/index.js';
import { Rig } from '../lab/rig.js';
import { UNBOUNDED } from '../lab/search/depth-first.js';
import { type BenchOptions, type BenchResult, nanosecondsEach, summarise } from './measure.js';

const REACH = 100_000;
const RESETS = 100_000;

/** `lab`: the exhaustive search of H1-c under linux-6.12. */
export function benchLab(options: BenchOptions): BenchResult {
  const profile = profileByName('linux-6.12');
  const program = hazardByName('H1-c').program(profile, LAB_PAGE_BYTES);
  let steps = 0;
  let executions = 0;
  const runs = [];
  explore(program, profile, { bounds: [UNBOUNDED], budget: 20_000 });
  for (let i = 0; i < options.runs; i++) {
    options.onProgress(`lab: run ${String(i + 1)} of ${String(options.runs)}`);
    const start = performance.now();
    const result = explore(program, profile, { bounds: [UNBOUNDED] });
    runs.push({ value: (result.executions * 1000) / (performance.now() - start), against: null });
    steps = result.steps / result.executions;
    executions = result.executions;
  }
  return summarise(
    {
      name: 'lab',
      unit: 'executions/s',
      againstWhat: null,
      reach: `>= ${String(REACH)}/s on one core`,
      isReached: (_, value) => value >= REACH,
      details: { stepsPerExecution: steps, executions },
    },
    runs,
  );
}

/** `lab-reset`: copying the initial state of H1-c's machine back. */
export function benchLabReset(options: BenchOptions): BenchResult {
  const profile = profileByName('linux-6.12');
  const program = hazardByName('H1-c').program(profile, LAB_PAGE_BYTES);
  const rig = new Rig(program, profile, { choose: () => -1 }, null);
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

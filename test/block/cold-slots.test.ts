// Slots without memory: each is handed out once, alone or in a run, wherever the last word ends.

import test from 'ava';
import { CacheState } from '../../engine/block/cache-state.js';
import { COLD_RUN_SLOTS, ColdSlots } from '../../engine/block/cold-slots.js';

const FIRST = 16;

for (const limit of [FIRST + 1, 48, 64, 1000, 1023]) {
  test(`${limit} slots: each is taken once, singly and in runs, and again after it was put back`, (t) => {
    const cold = new ColdSlots(FIRST, limit, new CacheState(null));
    const run = new Uint32Array(COLD_RUN_SLOTS);
    for (let round = 0; round < 3; round++) {
      const taken: number[] = [];
      // Runs begin at multiples of their length: the single ones before them cost none, but where the end is cut.
      if (round > 0) taken.push(cold.take());
      let runs = 0;
      while (cold.takeRun(run, 0)) {
        t.deepEqual(
          [...run],
          [...run.keys()].map((i) => run[0] + i),
        );
        taken.push(...run);
        runs++;
      }
      const whole = Math.floor(limit / COLD_RUN_SLOTS) - FIRST / COLD_RUN_SLOTS;
      t.true(runs === whole || (round > 0 && runs === whole - 1), `${runs} of ${whole}`);
      while (cold.count > 0) taken.push(cold.take());
      t.deepEqual(
        taken.sort((a, b) => a - b),
        Array.from({ length: limit - FIRST }, (_, i) => FIRST + i),
      );
      t.throws(() => cold.take(), { instanceOf: RangeError });
      t.false(cold.takeRun(run, 0));
      for (const slot of taken) cold.put(slot);
      t.is(cold.count, limit - FIRST);
    }
  });
}

// One CPU of the bench `pin-2cpu`.

import { workerData } from 'node:worker_threads';
import { handedOver } from '../engine/memory/layout.js';
import { joinDoorbells } from '../engine/sched/wait.js';
import { BATCH_PAGES, pinBatches } from './pin-batches.js';
import { COMMAND, type PinWorkerData } from './pin-words.js';
import { attachRig } from './rig.js';

function main(data: PinWorkerData): void {
  const { words, id, half } = data;
  joinDoorbells(data.bells);
  const { machine, driver, task } = attachRig(data.machine, id);
  const pfns = new Int32Array(BATCH_PAGES);
  for (let round = 0; ; round++) {
    while (Atomics.load(words, 0) === round) Atomics.wait(words, 0, round);
    if (id < Atomics.load(words, 2)) {
      const first = Atomics.load(words, 3) === COMMAND.separate ? id * half : 0;
      driver.run(task, pinBatches(task, machine, data.mm, first, half, data.batches, pfns));
    }
    Atomics.add(words, 1, 1);
    Atomics.notify(words, 1);
  }
}

main(handedOver<PinWorkerData>(workerData));

// The thread of one actor of a program that runs in real threads (threads.ts).

import { workerData } from 'node:worker_threads';
import { Machine } from '../engine/machine.js';
import { handedOver } from '../engine/memory/layout.js';
import { BlockingDriver } from '../engine/sched/blocking.js';
import { Task } from '../engine/sched/op.js';
import { joinDoorbells } from '../engine/sched/wait.js';
import { hazardByName } from './hazards/index.js';
import { ROUND, type ThreadData } from './rounds.js';

function main(data: ThreadData): void {
  const { machine, rounds } = data;
  joinDoorbells(data.bells);
  const m = new Machine(machine);
  const program = hazardByName(data.hazard).program(machine.profile, machine.geometry.pageBytes);
  program.attach(m);
  const actor = program.actors[data.actor];
  // Not newTask(): each round winds the machine's state back, its count of tasks too.
  const task = new Task(data.actor + 2, actor.name, 0);
  const driver = new BlockingDriver(m.state.global);
  let seen = 0;
  for (;;) {
    while (Atomics.load(rounds, ROUND.number) === seen) Atomics.wait(rounds, ROUND.number, seen);
    if (Atomics.load(rounds, ROUND.stop) !== 0) return;
    seen = Atomics.load(rounds, ROUND.number);
    driver.run(task, actor.run(task, m));
    Atomics.add(rounds, ROUND.arrived, 1);
    Atomics.notify(rounds, ROUND.arrived);
  }
}

main(handedOver<ThreadData>(workerData));

// The device of the bench `writeback-vs-pin`: it holds a share of the pages of a mapped file pinned,
// each batch for a while, and writes to them.

import { workerData } from 'node:worker_threads';
import { deviceStore } from '../engine/dma/device.js';
import { dropPages, holdPages } from '../engine/dma/hold.js';
import { Volume } from '../engine/fs/volume.js';
import { Machine } from '../engine/machine.js';
import { handedOver } from '../engine/memory/layout.js';
import { FOLL } from '../engine/mm/gup.js';
import { BlockingDriver } from '../engine/sched/blocking.js';
import { joinDoorbells } from '../engine/sched/wait.js';
import { PIN_BATCH, PINNER, type PinnerData } from './pinner-words.js';

interface Held {
  readonly pfns: Int32Array;
  readonly sinceMs: number;
}

const STAMP = new Uint8Array(64).fill(0xa5);

class Pinner {
  private readonly m: Machine;
  private readonly driver: BlockingDriver;
  private readonly task;
  private readonly held: Held[] = [];
  private at = 0;

  constructor(private readonly data: PinnerData) {
    this.m = new Machine(data.machine);
    this.m.fs = new Volume(this.m, data.volume);
    this.driver = new BlockingDriver(this.m.state.global);
    this.task = this.m.newTask('pinner', 1);
  }

  /** Pins and unpins until the round is stopped; returns pages pinned. */
  round(batches: number, holdMs: number): number {
    const { words } = this.data;
    let pinned = 0;
    while (Atomics.load(words, PINNER.stop) === 0) {
      if (this.held.length < batches) pinned += this.pin();
      const oldest = this.held.at(0);
      if (oldest !== undefined && performance.now() - oldest.sinceMs >= holdMs) this.unpin();
    }
    while (this.held.length > 0) this.unpin();
    return pinned;
  }

  private pin(): number {
    const { m, task, driver, data } = this;
    const pfns = new Int32Array(PIN_BATCH);
    const vpn = data.vpn + this.at;
    this.at = (this.at + PIN_BATCH) % data.pages;
    const taken = driver.run(
      task,
      holdPages(task, m, data.mm, vpn, PIN_BATCH, FOLL.write, m.profile.directIoReference, pfns),
    );
    for (let page = 0; page < taken; page++) {
      driver.run(task, deviceStore(m, pfns, taken, page * m.geometry.pageBytes + 128, STAMP));
    }
    this.held.push({ pfns: pfns.subarray(0, taken), sinceMs: performance.now() });
    return taken;
  }

  private unpin(): void {
    const oldest = this.held.shift();
    if (oldest === undefined) return;
    const { m, task, driver } = this;
    const { pfns } = oldest;
    driver.run(task, dropPages(task, m, pfns, pfns.length, m.profile.directIoReference, true));
  }
}

function main(data: PinnerData): void {
  joinDoorbells(data.bells);
  const pinner = new Pinner(data);
  const { words } = data;
  for (let round = 0; ; ) {
    while (Atomics.load(words, PINNER.round) === round) Atomics.wait(words, PINNER.round, round);
    round = Atomics.load(words, PINNER.round);
    const batches = Atomics.load(words, PINNER.batches);
    Atomics.store(
      words,
      PINNER.pinned,
      pinner.round(batches, Atomics.load(words, PINNER.holdUs) / 1000),
    );
    Atomics.store(words, PINNER.ended, round);
    Atomics.notify(words, PINNER.ended);
  }
}

main(handedOver<PinnerData>(workerData));

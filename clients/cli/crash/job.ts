// One of the checks that run side by side: its scratch image, the NBD server of that image, and the client's replies.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { parseConfig } from '../../../daemon/config.js';
import { type Daemon, startDaemon } from '../../../daemon/lifecycle.js';
import { EventNames } from '../../../engine/block/recording/points.js';
import type { Recording } from '../../../engine/block/recording/reader.js';
import type { CrashPoint } from '../../../engine/block/recording/replay.js';
import type { Timeline } from '../../../engine/block/recording/timeline.js';
import type { Checker, Places, Verdict } from './checker.js';
import { repliesBefore } from './replies.js';
import { ScratchImage } from './scratch.js';

/** After a check: how long its connections may take to end, and how often that is asked. */
const QUIET_MS = 2000;
const ASK_MS = 1;

export class Job {
  readonly #names: EventNames;
  #position = -1;

  private constructor(
    private readonly recording: Recording,
    private readonly checker: Checker,
    private readonly scratch: ScratchImage,
    private readonly places: Places,
    private readonly daemon: Daemon | null,
  ) {
    this.#names = new EventNames(recording.events);
  }

  /** @param folder for its files, which whoever made the folder removes */
  static async start(
    recording: Recording,
    timeline: Timeline,
    checker: Checker,
    folder: string,
    number: number,
  ): Promise<Job> {
    const image = join(folder, `${number}.img`);
    const scratch = new ScratchImage(image, recording, timeline);
    try {
      const socket = join(folder, `${number}.nbd`);
      const daemon = checker.uses.has('nbd')
        ? await serveImage(image, socket, join(folder, `${number}.sock`))
        : null;
      const nbd = `nbd+unix:///image?socket=${socket}`;
      const places = { image, nbd, replies: join(folder, `${number}.json`) };
      return new Job(recording, checker, scratch, places, daemon);
    } catch (error) {
      scratch.close();
      throw error;
    }
  }

  /** Makes the image and runs the checker on it. */
  async check(point: CrashPoint, choices: Int32Array, signal: AbortSignal): Promise<Verdict> {
    this.scratch.show(point, choices);
    if (this.checker.uses.has('replies') && point.position !== this.#position) {
      const seen = repliesBefore(this.recording, this.#names, point.position);
      writeFileSync(this.places.replies, JSON.stringify(seen));
      this.#position = point.position;
    }
    const verdict = await this.checker.run(this.places, signal);
    await this.#quiet();
    return { ...verdict, output: this.#withoutPaths(verdict.output) };
  }

  async close(): Promise<void> {
    await this.daemon?.close();
    this.scratch.close();
  }

  /** What a checker that is gone had sent is not written to the next image. */
  async #quiet(): Promise<void> {
    if (this.daemon === null) return;
    const began = performance.now();
    while (this.daemon.statistics()['nbdConnections'] !== 0) {
      if (performance.now() - began > QUIET_MS) return;
      await new Promise((resolve) => setTimeout(resolve, ASK_MS));
    }
  }

  /** Jobs have paths of their own, which would make equal failures look different. */
  #withoutPaths(output: string): string {
    const { image, nbd, replies } = this.places;
    return output
      .replaceAll(nbd, '{nbd}')
      .replaceAll(image, '{image}')
      .replaceAll(replies, '{replies}');
  }
}

async function serveImage(image: string, nbdSocket: string, socket: string): Promise<Daemon> {
  const config = parseConfig(
    { socket, nbd: { socket: nbdSocket }, disks: [{ name: 'image', path: image }] },
    'the server of a crash image',
  );
  return await startDaemon(config, { log: pino({ level: 'silent' }) });
}

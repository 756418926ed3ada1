// The recording of a disk, as the daemon starts and stops it: the disks' thread does the rest.

import { isAbsolute } from 'node:path';
import { z } from 'zod';
import type { Command } from './nbd/messages.js';
import type { RecordingOptions } from './nbd/recorder.js';
import { PinfoldError } from './protocol/errors.js';
import {
  type RecordingStatus,
  type RecordingSummary,
  recordingSummarySchema,
} from './protocol/methods.js';

/** The reason for which a recorded disk is not served as a plain one. */
const REASON = 'recording';

/** The disk, as far as it matters here. */
interface Recorded {
  readonly name: string;
  /** Commands the disks' thread. */
  call<T>(command: Command, result: z.ZodType<T>): Promise<T>;
  enterThread(reason: string): Promise<void>;
  leaveThread(reason: string): void;
}

export class DiskRecording {
  #recording = false;
  #last: RecordingStatus | null = null;

  constructor(private readonly disk: Recorded) {}

  /**
   * What is under way is finished first, and recorded from then on.
   * @throws PinfoldError EBUSY, EINVAL for a path that is not absolute; EEXIST, EACCES, ENOSPC, ... of the file
   */
  async start(options: RecordingOptions): Promise<{ unitBytes: number }> {
    if (!isAbsolute(options.path))
      throw new PinfoldError('EINVAL', `the recording ${options.path} needs an absolute path`);
    if (this.#recording)
      throw new PinfoldError(
        'EBUSY',
        `disk ${this.disk.name} is recorded already: 'pinfold disk record ${this.disk.name} --stop' ends that`,
      );
    this.#recording = true;
    try {
      await this.disk.enterThread(REASON);
      const { name: disk } = this.disk;
      const result = z.object({ unitBytes: z.int() });
      const started = await this.disk.call({ kind: 'record-start', disk, ...options }, result);
      this.#last = { path: options.path, running: true, events: 0, lengthBytes: 0, failure: null };
      return started;
    } catch (error) {
      this.#end();
      throw error;
    }
  }

  /** @throws PinfoldError EINVAL if it is not recorded */
  async stop(): Promise<RecordingSummary> {
    const { name: disk } = this.disk;
    const summary = await this.disk.call({ kind: 'record-stop', disk }, recordingSummarySchema);
    this.#update(summary, false);
    this.#end();
    return summary;
  }

  /** Of the recording that runs, or of the last one; null before the first. */
  async status(): Promise<RecordingStatus | null> {
    if (this.#last?.running === true) {
      const { name: disk } = this.disk;
      const command = { kind: 'record-status', disk } as const;
      const summary = await this.disk.call(command, recordingSummarySchema.nullable());
      if (summary !== null) this.#update(summary, summary.failure === null);
    }
    return this.#last;
  }

  /** @throws PinfoldError EINVAL if it is not recorded, or the text is too long */
  async mark(text: string): Promise<void> {
    await this.disk.call({ kind: 'record-mark', disk: this.disk.name, text }, z.null());
  }

  #update(summary: RecordingSummary, running: boolean): void {
    if (this.#last !== null) this.#last = { path: this.#last.path, running, ...summary };
  }

  #end(): void {
    this.#recording = false;
    this.disk.leaveThread(REASON);
  }
}

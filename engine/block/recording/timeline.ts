// Goes to any crash point of a recording, forwards and backwards, and knows each content by the same number everywhere.

import { Contents } from './contents.js';
import type { Recording } from './reader.js';
import { type CrashPoint, Replay } from './replay.js';

export class Timeline {
  readonly contents: Contents;
  #replay: Replay;
  /** The replay that got furthest. Others touch the same units in the same order. */
  #furthest: Replay;

  constructor(private readonly recording: Recording) {
    this.contents = new Contents(recording);
    this.#replay = new Replay(recording, this.contents);
    this.#furthest = this.#replay;
  }

  /** Units in the order in which they were touched first. */
  get units(): readonly number[] {
    return this.#furthest.units;
  }

  /** The content that a touched unit had at first. */
  initial(place: number): number {
    return this.#furthest.initial(place);
  }

  /** What a power cut after so many events may leave. Going back costs a replay from the start. */
  at(position: number): CrashPoint {
    if (position < this.#replay.position) {
      this.contents.restart();
      this.#replay = new Replay(this.recording, this.contents);
    }
    this.#replay.advance(position);
    if (this.#replay.units.length >= this.#furthest.units.length) this.#furthest = this.#replay;
    return this.#replay.point();
  }
}

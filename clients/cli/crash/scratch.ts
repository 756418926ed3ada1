// An image of a crashed disk in a file: only what differs from the image before is written.

import { futimesSync, statSync } from 'node:fs';
import { ZEROES } from '../../../engine/block/recording/contents.js';
import type { Recording } from '../../../engine/block/recording/reader.js';
import { type CrashPoint, contentOf } from '../../../engine/block/recording/replay.js';
import type { Timeline } from '../../../engine/block/recording/timeline.js';
import {
  closeDescriptor,
  fallocate,
  openFile,
  pwriteFrom,
  truncateFile,
} from '../../../native/index.js';
import { CliError } from '../frame/errors.js';

const PIECE_BYTES = 1024 * 1024;
/** Nothing is known of what the file holds here. */
const UNKNOWN = -1;
/** Holes are made from so many bytes on. */
const HOLE_BYTES = 4096;
/** A time of change that no clock gives a file. */
const UNTOUCHED_SECONDS = 1;

export class ScratchImage {
  readonly #fd: number;
  readonly #inode: number;
  readonly #buffer = new Uint8Array(PIECE_BYTES);
  /** The content of each touched unit in the file. */
  #held = new Int32Array(0);
  #point: CrashPoint | null = null;
  #clean = false;

  /** Makes the file, with what the disk held at first. @throws NativeError ENOSPC, ... */
  constructor(
    readonly path: string,
    private readonly recording: Recording,
    private readonly timeline: Timeline,
  ) {
    this.#fd = openFile(path, { create: true, exclusive: true });
    this.#inode = statSync(path).ino;
    truncateFile(this.#fd, recording.header.sizeBytes);
    this.#writeExtents();
  }

  close(): void {
    closeDescriptor(this.#fd);
  }

  /**
   * Makes the file an image of a point.
   * @throws NativeError ENOSPC, ...; Errno EIO if the recording has changed
   */
  show(point: CrashPoint, choices: Int32Array): void {
    if (this.#clean && this.#isChanged()) this.#startOver();
    const changes: [place: number, content: number][] = [];
    const note = (place: number, content: number): void => {
      if (this.#held[place] !== content) changes.push([place, content]);
    };
    if (this.#point === point) {
      for (let i = 0; i < choices.length; i++)
        note(point.touched[i], contentOf(this.timeline.contents, point, i, choices[i]));
    } else {
      const wanted = point.floors.slice();
      for (let i = 0; i < choices.length; i++)
        wanted[point.touched[i]] = contentOf(this.timeline.contents, point, i, choices[i]);
      this.#grow(wanted.length);
      for (const [place, content] of wanted.entries()) note(place, content);
      // Units that a later point has touched hold what they held at first.
      for (let place = wanted.length; place < this.#held.length; place++)
        note(place, this.timeline.initial(place));
    }
    this.#apply(changes);
    this.#point = point;
    futimesSync(this.#fd, UNTOUCHED_SECONDS, UNTOUCHED_SECONDS);
    this.#clean = true;
  }

  #grow(places: number): void {
    const known = this.#held.length;
    if (places <= known) return;
    const grown = new Int32Array(places).fill(UNKNOWN, known);
    grown.set(this.#held);
    this.#held = grown;
  }

  /** Writes runs of units at once. */
  #apply(changes: [place: number, content: number][]): void {
    const { units, contents } = this.timeline;
    const size = contents.unitBytes;
    changes.sort(([a], [b]) => units[a] - units[b]);
    for (let from = 0; from < changes.length; ) {
      const first = units[changes[from][0]];
      let bytes = 0;
      let zeroes = true;
      let at = from;
      while (
        at < changes.length &&
        bytes < PIECE_BYTES &&
        units[changes[at][0]] === first + at - from
      ) {
        const [place, content] = changes[at++];
        contents.load(content, this.#buffer.subarray(bytes, bytes + size));
        zeroes &&= content === ZEROES;
        bytes += size;
        this.#held[place] = content;
      }
      if (zeroes && bytes >= HOLE_BYTES) fallocate(this.#fd, 'punch', first * size, bytes);
      else pwriteFrom(this.#fd, this.#buffer.subarray(0, bytes), first * size);
      from = at;
    }
  }

  /** The checker has written to the file, or has put another one in its place. */
  #isChanged(): boolean {
    const { mtimeMs, size, ino } = statSync(this.path);
    if (ino !== this.#inode) {
      const rule = 'it may change the image, but in place';
      throw new CliError('EINVAL', `the checker has put another file at ${this.path}: ${rule}`);
    }
    return mtimeMs !== UNTOUCHED_SECONDS * 1000 || size !== this.recording.header.sizeBytes;
  }

  #startOver(): void {
    const { sizeBytes } = this.recording.header;
    truncateFile(this.#fd, sizeBytes);
    fallocate(this.#fd, 'punch', 0, sizeBytes);
    this.#held.fill(UNKNOWN);
    this.#point = null;
    this.#writeExtents();
  }

  #writeExtents(): void {
    for (const { offset, length, payloadAt } of this.recording.extents) {
      for (let done = 0; done < length; done += PIECE_BYTES) {
        const piece = this.#buffer.subarray(0, Math.min(PIECE_BYTES, length - done));
        this.recording.read(payloadAt + done, piece);
        pwriteFrom(this.#fd, piece, offset + done);
      }
    }
  }
}

// Steps through a recording, and says at each point what is durable of each unit and what is not.

import { InvariantError } from '../../sched/errors.js';
import type { OpenUnit, Pending, PendingWrite } from '../power-cut.js';
import { Contents, HASH_WORDS, ZEROES } from './contents.js';
import type { DiskEvent, Recording, WriteEvent } from './reader.js';

/** Ranges of more units are searched for those that matter instead of walked through. */
const WALK_UNITS = 65_536;
const PIECE_BYTES = 1024 * 1024;

interface Version {
  /** The write's number, from 1 in the order of the recording. */
  readonly write: number;
  readonly content: number;
}

interface Write {
  readonly number: number;
  readonly event: WriteEvent;
  /** How many units hold it as a version above their floor. */
  openUnits: number;
}

/** What a power cut after a number of events may leave. */
export interface CrashPoint {
  /** So many events have happened. */
  readonly position: number;
  readonly pending: Pending;
  /** For each open unit its contents: of the floor, then of each version. */
  readonly contents: readonly (readonly number[])[];
  /** Which of the touched units is open, for each open unit. */
  readonly touched: Int32Array;
  /** The floor of each unit touched so far. */
  readonly floors: Int32Array;
  /** Of the image in which every unit is at its floor. */
  readonly floorHash: Int32Array;
}

export class Replay {
  /** Units that were ever written; their place in this list is their number among the touched. */
  readonly units: number[] = [];
  readonly #unitBytes: number;
  readonly #touched = new Map<number, number>();
  readonly #initials: number[] = [];
  readonly #floors: number[] = [];
  readonly #versions: Version[][] = [];
  readonly #open = new Set<number>();
  /** Writes with open units, by number; and numbers by the ids of the recording. */
  readonly #writes = new Map<number, Write>();
  readonly #numbers = new Map<number, number>();
  /** For each replied write, the how-manieth reply it was. */
  readonly #replies = new Map<number, number>();
  readonly #flushes = new Map<number, number>();
  /** The hash of the floors against the disk's first content. */
  readonly #hash = new Int32Array(HASH_WORDS);
  #writeCount = 0;
  #replyCount = 0;
  #position = 0;

  constructor(
    private readonly recording: Recording,
    readonly contents = new Contents(recording),
  ) {
    this.#unitBytes = recording.header.unitBytes;
  }

  /** How many events have happened. */
  get position(): number {
    return this.#position;
  }

  /** The content that a touched unit had at first. */
  initial(place: number): number {
    return this.#initials[place];
  }

  /** Lets events happen until so many have. */
  advance(position: number): void {
    while (this.#position < position) {
      const event = this.recording.events.at(this.#position);
      if (event === undefined) throw new InvariantError(`the recording has no event ${position}`);
      this.#take(event);
      this.#position++;
    }
  }

  #take(event: DiskEvent): void {
    switch (event.kind) {
      case 'write':
        this.#write(event);
        return;
      case 'replied':
        this.#reply(event.id, event.fua);
        return;
      case 'flush':
        // R of B4: what was replied to before the flush begins.
        this.#flushes.set(event.id, this.#replyCount);
        return;
      case 'flushed':
        if (event.ok) this.#raiseFloors(this.#flushes.get(event.id) ?? 0);
        this.#flushes.delete(event.id);
        return;
      case 'mark':
        return;
    }
  }

  #write(event: WriteEvent): void {
    const number = ++this.#writeCount;
    const write: Write = { number, event, openUnits: 0 };
    this.#numbers.set(event.id, number);
    if (event.change === 'data') this.#writeData(write);
    else for (const unit of this.#unitsThatMatter(event)) this.#writeZeroes(write, unit);
    if (write.openUnits > 0) this.#writes.set(number, write);
  }

  #writeData(write: Write): void {
    const { offset, length, payloadAt } = write.event;
    const size = this.#unitBytes;
    const buffer = new Uint8Array(Math.min(length, PIECE_BYTES));
    for (let at = offset; at < offset + length; ) {
      // Pieces end at boundaries of units.
      const end = Math.min(Math.floor((at + PIECE_BYTES) / size) * size, offset + length);
      const piece = buffer.subarray(0, end - at);
      this.recording.read(payloadAt + at - offset, piece);
      for (let from = at; from < end; ) {
        const unit = Math.floor(from / size);
        const until = Math.min((unit + 1) * size, end);
        const bytes = piece.subarray(from - at, until - at);
        const content =
          bytes.length === size
            ? this.contents.stored(payloadAt + from - offset, bytes)
            : this.#patched(unit, from - unit * size, bytes);
        this.#append(write, unit, content);
        from = until;
      }
      at = end;
    }
  }

  #writeZeroes(write: Write, unit: number): void {
    const { offset, length } = write.event;
    const size = this.#unitBytes;
    const from = Math.max(offset - unit * size, 0);
    const until = Math.min(offset + length - unit * size, size);
    const whole = until - from === size;
    const content = whole ? ZEROES : this.#patched(unit, from, new Uint8Array(until - from));
    this.#append(write, unit, content);
  }

  /** Units of a range whose content may change when it becomes zeroes. */
  #unitsThatMatter({ offset, length }: WriteEvent): number[] {
    const first = Math.floor(offset / this.#unitBytes);
    const last = Math.ceil((offset + length) / this.#unitBytes) - 1;
    const found = new Set<number>();
    if (last - first < WALK_UNITS) {
      for (let unit = first; unit <= last; unit++) found.add(unit);
      return [...found];
    }
    for (const unit of this.units) if (unit >= first && unit <= last) found.add(unit);
    for (const extent of this.recording.extents) {
      const begin = Math.max(Math.floor(extent.offset / this.#unitBytes), first);
      const end = Math.min(Math.ceil((extent.offset + extent.length) / this.#unitBytes) - 1, last);
      for (let unit = begin; unit <= end; unit++) found.add(unit);
    }
    return [...found].sort((a, b) => a - b);
  }

  /** The newest visible version with some bytes changed (B2). */
  #patched(unit: number, at: number, bytes: Uint8Array): number {
    const whole = new Uint8Array(this.#unitBytes);
    this.contents.load(this.#visible(unit), whole);
    whole.set(bytes, at);
    return this.contents.compose(whole);
  }

  #visible(unit: number): number {
    const touched = this.#touched.get(unit);
    if (touched === undefined) return this.contents.initial(unit);
    return this.#versions[touched].at(-1)?.content ?? this.#floors[touched];
  }

  #append(write: Write, unit: number, content: number): void {
    const touched = this.#touched.get(unit);
    const floor = touched === undefined ? this.contents.initial(unit) : this.#floors[touched];
    const settled = touched === undefined || this.#versions[touched].length === 0;
    // Whether it survives or not makes no difference then.
    if (settled && !write.event.atomic && this.contents.same(floor, content)) return;
    const place = touched ?? this.#touch(unit, floor);
    this.#versions[place].push({ write: write.number, content });
    this.#open.add(place);
    write.openUnits++;
  }

  #touch(unit: number, floor: number): number {
    const place = this.units.length;
    this.units.push(unit);
    this.#touched.set(unit, place);
    this.#initials.push(floor);
    this.#floors.push(floor);
    this.#versions.push([]);
    return place;
  }

  #reply(id: number, fua: boolean): void {
    const number = this.#numbers.get(id);
    if (number === undefined) return;
    this.#replies.set(number, ++this.#replyCount);
    const write = this.#writes.get(number);
    if (write === undefined || write.event.change === 'trim') return;
    if (!fua && !write.event.fua) return;
    // B5: its own units only.
    const first = Math.floor(write.event.offset / this.#unitBytes);
    const last = Math.ceil((write.event.offset + write.event.length) / this.#unitBytes) - 1;
    for (let unit = first; unit <= last; unit++) {
      const place = this.#touched.get(unit);
      if (place === undefined) continue;
      const version = this.#versions[place].findIndex((each) => each.write === number);
      this.#raise(place, version);
    }
  }

  /** B4: of each unit the newest version of R becomes durable. A trim promises nothing (B8). */
  #raiseFloors(replyCount: number): void {
    for (const place of [...this.#open]) {
      const newest = this.#versions[place].findLastIndex(({ write }) => {
        const reply = this.#replies.get(write);
        if (reply === undefined || reply > replyCount) return false;
        return this.#writes.get(write)?.event.change !== 'trim';
      });
      this.#raise(place, newest);
    }
  }

  #raise(place: number, version: number): void {
    if (version < 0) return;
    const gone = this.#versions[place].splice(0, version + 1);
    const floor = gone[version].content;
    this.contents.toggle(this.#hash, this.units[place], this.#floors[place]);
    this.contents.toggle(this.#hash, this.units[place], floor);
    this.#floors[place] = floor;
    if (this.#versions[place].length === 0) this.#open.delete(place);
    for (const { write: number } of gone) {
      const write = this.#writes.get(number);
      if (write === undefined) continue;
      if (--write.openUnits === 0) this.#writes.delete(number);
    }
  }

  /** The state as it is now; it stays as it is when the replay goes on. */
  point(): CrashPoint {
    const places = [...this.#open].sort((a, b) => this.units[a] - this.units[b]);
    const open: OpenUnit[] = places.map((place) => ({
      unit: this.units[place],
      versions: this.#versions[place].map(({ write }) => write),
    }));
    return {
      position: this.#position,
      pending: { writes: this.#pendingWrites(), open, garbage: this.recording.header.garbage },
      contents: places.map((place) => [
        this.#floors[place],
        ...this.#versions[place].map(({ content }) => content),
      ]),
      touched: Int32Array.from(places),
      floors: Int32Array.from(this.#floors),
      floorHash: this.#hash.slice(),
    };
  }

  #pendingWrites(): PendingWrite[] {
    return [...this.#writes.values()].map(({ number, event }) => {
      const firstUnit = Math.floor(event.offset / this.#unitBytes);
      const units = Math.ceil((event.offset + event.length) / this.#unitBytes) - firstUnit;
      return { id: number, firstUnit, units, kind: event.change, atomic: event.atomic };
    });
  }
}

/** What an open unit of a point holds in an image. */
export function contentOf(
  contents: Contents,
  point: CrashPoint,
  nth: number,
  choice: number,
): number {
  if (choice < 0) return contents.garbage(point.pending.open[nth].unit);
  return point.contents[nth][choice];
}

/** The hash of images of one point, which are told one after the other: the same bytes, the same hash. */
export class ImageHash {
  readonly #hash: Int32Array;
  readonly #choices: Int32Array;

  constructor(
    private readonly contents: Contents,
    private readonly point: CrashPoint,
  ) {
    this.#hash = point.floorHash.slice();
    this.#choices = new Int32Array(point.pending.open.length);
  }

  /** Costs as much as differs from the image before. */
  of(choices: Int32Array): string {
    const { contents, point } = this;
    for (let i = 0; i < choices.length; i++) {
      if (choices[i] === this.#choices[i]) continue;
      const { unit } = point.pending.open[i];
      contents.toggle(this.#hash, unit, contentOf(contents, point, i, this.#choices[i]));
      contents.toggle(this.#hash, unit, contentOf(contents, point, i, choices[i]));
      this.#choices[i] = choices[i];
    }
    let text = '';
    for (const word of this.#hash) text += (word >>> 0).toString(16).padStart(8, '0');
    return text;
  }
}

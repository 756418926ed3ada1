// What a disk was asked for and when it answered, as a recording in memory, and what may be left of the
// disk if its power is cut after so many events.

import type { OpenUnit, Pending } from '../../../engine/block/power-cut.js';
import type { Contents } from '../../../engine/block/recording/contents.js';
import type { DiskEvent, Recording } from '../../../engine/block/recording/reader.js';
import { Replay } from '../../../engine/block/recording/replay.js';
import { BLOCK_BYTES, SECTOR_BYTES, type SectorStore } from './sectors.js';

/** The payload of write N is at N times this in the recording; what the disk held at first is at 0. */
const STRIDE = 2 ** 28;

/** The events of a run. A crash point is a number of events that have happened. */
export class Trace {
  readonly events: DiskEvent[] = [];
  /** The sectors that the disk held at first, then those of each write. */
  private readonly payloads: Int32Array[];
  private ids = 0;

  constructor(
    private readonly store: SectorStore,
    base: Int32Array,
  ) {
    this.payloads = [base];
  }

  get length(): number {
    return this.events.length;
  }

  /** A write is submitted. @returns its id */
  write(block: number, sectors: Int32Array, fua: boolean): number {
    const id = ++this.ids;
    this.events.push({
      kind: 'write',
      change: 'data',
      id,
      connection: 0,
      offset: block * BLOCK_BYTES,
      length: sectors.length * SECTOR_BYTES,
      fua,
      atomic: false,
      payloadAt: this.payloads.length * STRIDE,
      timeUs: 0,
    });
    this.payloads.push(sectors);
    return id;
  }

  replied(id: number, fua: boolean): void {
    this.events.push({ kind: 'replied', id, fua, timeUs: 0 });
  }

  /** A flush is submitted. @returns its id */
  flush(): number {
    const id = ++this.ids;
    this.events.push({ kind: 'flush', id, connection: 0, timeUs: 0 });
    return id;
  }

  flushed(id: number): void {
    this.events.push({ kind: 'flushed', id, ok: true, timeUs: 0 });
  }

  /** @param unitBytes bytes that a cut keeps or loses together */
  recording(unitBytes: number): Recording {
    const { events, payloads, store } = this;
    const sizeBytes = payloads[0].length * SECTOR_BYTES;
    return {
      path: 'memory',
      header: { sizeBytes, unitBytes, atomicBytes: 0, startedMs: 0, seed: 0, garbage: false },
      extents: [{ offset: 0, length: sizeBytes, payloadAt: 0 }],
      events,
      cutShort: null,
      lengthBytes: 0,
      read(at, view) {
        const sectors = payloads[Math.floor(at / STRIDE)];
        const first = (at % STRIDE) / SECTOR_BYTES;
        for (let i = 0; i * SECTOR_BYTES < view.length; i++)
          view.set(store.bytesOf(sectors[first + i]), i * SECTOR_BYTES);
      },
      close: () => undefined,
    };
  }
}

/** What is not settled at a crash point. */
export interface Unsettled {
  /** Versions that hold what another version or the floor of their unit holds are left out. */
  readonly pending: Pending;
  /** How many ways there are to choose a version for each unit (B7), and how many of the images differ. */
  readonly choices: bigint;
  readonly images: bigint;
  /** The floor of every sector. */
  readonly floor: Int32Array;
  /** The sectors of a unit that is open, by its place in pending.open, for a choice. */
  sectors(nth: number, choice: number): Int32Array;
  /** The first sector of that unit. */
  firstSector(nth: number): number;
}

/** Steps through a trace. */
export class CrashPoints {
  private readonly replay: Replay;
  private readonly known = new Map<number, Int32Array>();
  private readonly unitSectors: number;

  constructor(
    trace: Trace,
    private readonly base: Int32Array,
    private readonly store: SectorStore,
    private readonly unitBytes: number,
  ) {
    this.replay = new Replay(trace.recording(unitBytes));
    this.unitSectors = unitBytes / SECTOR_BYTES;
  }

  /** What a cut after so many events may leave. They must not be fewer than the last time. */
  at(position: number): Unsettled {
    const { replay, unitSectors } = this;
    replay.advance(position);
    const { pending, contents, floors } = replay.point();
    const floor = this.base.slice();
    for (const [place, content] of floors.entries())
      floor.set(this.sectorsOf(content), replay.units[place] * unitSectors);
    const open: OpenUnit[] = [];
    const options: number[][] = [];
    let choices = 1n;
    let images = 1n;
    for (const [nth, { unit, versions }] of pending.open.entries()) {
      choices *= BigInt(versions.length + 1);
      const { distinct, kept } = distinctOf(replay.contents, contents[nth]);
      if (distinct === 1) continue;
      images *= BigInt(distinct);
      open.push({ unit, versions: kept.map((place) => versions[place - 1]) });
      options.push([contents[nth][0], ...kept.map((place) => contents[nth][place])]);
    }
    return {
      pending: { ...pending, open },
      choices,
      images,
      floor,
      firstSector: (nth) => open[nth].unit * unitSectors,
      sectors: (nth, choice) => this.sectorsOf(options[nth][choice]),
    };
  }

  private sectorsOf(content: number): Int32Array {
    let sectors = this.known.get(content);
    if (sectors === undefined) {
      const bytes = new Uint8Array(this.unitBytes);
      this.replay.contents.load(content, bytes);
      sectors = this.store.idsOf(bytes);
      this.known.set(content, sectors);
    }
    return sectors;
  }
}

/** Do other images than before the event become possible, or impossible? */
export function matters(event: DiskEvent): boolean {
  return (
    event.kind === 'write' || event.kind === 'flushed' || (event.kind === 'replied' && event.fua)
  );
}

/**
 * Of the contents of a unit (its floor, then its versions): which versions are worth trying, since no
 * later one and not the floor is the same; the newest is always among them.
 */
function distinctOf(
  contents: Contents,
  options: readonly number[],
): { distinct: number; kept: number[] } {
  const kept: number[] = [];
  let distinct = 1;
  for (let place = options.length - 1; place > 0; place--) {
    if (kept.some((other) => contents.same(options[other], options[place]))) continue;
    const isFloor = contents.same(options[0], options[place]);
    if (!isFloor) distinct++;
    if (!isFloor || kept.length === 0) kept.push(place);
  }
  return { distinct, kept: kept.reverse() };
}

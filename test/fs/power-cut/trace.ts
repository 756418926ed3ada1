// What a disk was asked for and when it answered: the record of a run, and what may be left of the disk
// if its power is cut after so many events (B1 to B7).

import type { OpenUnit, Pending, PendingWrite } from '../../../engine/block/power-cut.js';
import { InvariantError } from '../../../engine/sched/errors.js';
import { SECTORS_PER_BLOCK } from './sectors.js';

/** A write as it was submitted. */
export interface TracedWrite {
  /** Its place in Trace.writes. */
  readonly id: number;
  readonly block: number;
  /** Numbers of its sectors (SectorStore). */
  readonly sectors: Int32Array;
  readonly fua: boolean;
  /** How many events there were when it was submitted, and when it was answered. */
  readonly submittedAt: number;
  repliedAt: number;
}

/** A flush; it covers the writes that were answered before it was submitted (B4). */
export interface TracedFlush {
  readonly submittedAt: number;
}

export type TraceEvent =
  | { readonly kind: 'submit' | 'reply'; readonly write: TracedWrite }
  | { readonly kind: 'flush' | 'flushed'; readonly flush: TracedFlush };

/** The record of a run. A crash point is a number of events that have happened. */
export class Trace {
  readonly events: TraceEvent[] = [];
  readonly writes: TracedWrite[] = [];

  get length(): number {
    return this.events.length;
  }

  submit(block: number, sectors: Int32Array, fua: boolean): TracedWrite {
    const write: TracedWrite = {
      id: this.writes.length,
      block,
      sectors,
      fua,
      submittedAt: this.length,
      repliedAt: Number.POSITIVE_INFINITY,
    };
    this.writes.push(write);
    this.events.push({ kind: 'submit', write });
    return write;
  }

  reply(write: TracedWrite): void {
    write.repliedAt = this.length;
    this.events.push({ kind: 'reply', write });
  }

  flush(): TracedFlush {
    const flush = { submittedAt: this.length };
    this.events.push({ kind: 'flush', flush });
    return flush;
  }

  flushed(flush: TracedFlush): void {
    this.events.push({ kind: 'flushed', flush });
  }
}

/** What is not settled at a crash point. */
export interface CrashPoint {
  /** Versions that hold what another version or the floor of their unit holds are left out. */
  readonly pending: Pending;
  /** How many ways there are to choose a version for each unit (B7), and how many of the images differ. */
  readonly choices: bigint;
  readonly images: bigint;
  /** The sectors of a unit that is open, by its place in pending.open, for a choice. */
  sectors(nth: number, choice: number): Int32Array;
  /** The first sector of that unit. */
  firstSector(nth: number): number;
}

/** The disk after some events of a trace. */
export class CrashModel {
  /** Per sector what is durable for sure. */
  readonly floor: Int32Array;
  /** Per unit the writes above the floor, oldest first. */
  private readonly open = new Map<number, number[]>();

  /**
   * @param base the sectors before the first event, durable
   * @param unitSectors sectors that a cut keeps or loses together: 1 or 8
   */
  constructor(
    private readonly trace: Trace,
    base: Int32Array,
    private readonly unitSectors: number,
  ) {
    this.floor = base.slice();
  }

  /** One more event happened. @returns whether other images are possible than before */
  apply(event: TraceEvent): boolean {
    switch (event.kind) {
      case 'submit':
        for (const unit of this.unitsOf(event.write)) {
          const versions = this.open.get(unit);
          if (versions === undefined) this.open.set(unit, [event.write.id]);
          else versions.push(event.write.id);
        }
        return true;
      case 'reply':
        // B5: of its own units only.
        if (event.write.fua)
          for (const unit of this.unitsOf(event.write)) {
            this.raise(unit, this.open.get(unit)?.indexOf(event.write.id) ?? -1);
          }
        return event.write.fua;
      case 'flush':
        return false;
      case 'flushed':
        for (const [unit, versions] of this.open) {
          const { submittedAt } = event.flush;
          this.raise(
            unit,
            versions.findLastIndex((id) => this.trace.writes[id].repliedAt < submittedAt),
          );
        }
        return true;
    }
  }

  /** What a cut now may leave. */
  point(): CrashPoint {
    const { unitSectors, trace } = this;
    const used = new Set<number>();
    const units: OpenUnit[] = [];
    let choices = 1n;
    let images = 1n;
    for (const unit of [...this.open.keys()].sort((a, b) => a - b)) {
      const versions = this.open.get(unit) ?? [];
      choices *= BigInt(versions.length + 1);
      const { distinct, kept } = this.distinctVersions(unit, versions);
      if (distinct === 1) continue;
      images *= BigInt(distinct);
      units.push({ unit, versions: kept });
      for (const id of kept) used.add(id);
    }
    const writes = [...used].sort((a, b) => a - b).map((id) => this.pendingWrite(trace.writes[id]));
    return {
      pending: { writes, open: units, garbage: false },
      choices,
      images,
      firstSector: (nth) => units[nth].unit * unitSectors,
      sectors: (nth, choice) => {
        const { unit, versions } = units[nth];
        return choice === 0 ? this.floorOf(unit) : this.contents(versions[choice - 1], unit);
      },
    };
  }

  private pendingWrite(write: TracedWrite): PendingWrite {
    const units = write.sectors.length / this.unitSectors;
    const firstUnit = (write.block * SECTORS_PER_BLOCK) / this.unitSectors;
    return { id: write.id, firstUnit, units, kind: 'data', atomic: false };
  }

  /** Versions without those that another one makes superfluous; the newest stays. */
  private distinctVersions(
    unit: number,
    versions: readonly number[],
  ): { distinct: number; kept: number[] } {
    const floor = this.floorOf(unit);
    const kept: number[] = [];
    let distinct = 1;
    for (let i = versions.length - 1; i >= 0; i--) {
      const mine = this.contents(versions[i], unit);
      if (kept.some((id) => equal(this.contents(id, unit), mine))) continue;
      const isFloor = equal(floor, mine);
      if (!isFloor) distinct++;
      if (!isFloor || kept.length === 0) kept.push(versions[i]);
    }
    return { distinct, kept: kept.reverse() };
  }

  private *unitsOf(write: TracedWrite): Generator<number, void> {
    const first = (write.block * SECTORS_PER_BLOCK) / this.unitSectors;
    const count = write.sectors.length / this.unitSectors;
    for (let unit = first; unit < first + count; unit++) yield unit;
  }

  /** The version at this place of a unit is durable now. */
  private raise(unit: number, place: number): void {
    const versions = this.open.get(unit);
    if (versions === undefined || place < 0) return;
    this.floor.set(this.contents(versions[place], unit), unit * this.unitSectors);
    if (place === versions.length - 1) this.open.delete(unit);
    else versions.splice(0, place + 1);
  }

  private floorOf(unit: number): Int32Array {
    return this.floor.subarray(unit * this.unitSectors, (unit + 1) * this.unitSectors);
  }

  private contents(id: number, unit: number): Int32Array {
    const { sectors, block } = this.trace.writes[id];
    const at = unit * this.unitSectors - block * SECTORS_PER_BLOCK;
    if (at < 0 || at >= sectors.length)
      throw new InvariantError(`write ${id} does not touch unit ${unit}`);
    return sectors.subarray(at, at + this.unitSectors);
  }
}

function equal(a: Int32Array, b: Int32Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

// What clients know of a disk that may die at any moment: per sector the versions that were written, which of them were
// replied to, and below which none may be found (rules B3 to B6).

import { SECTOR_BYTES, versionOf } from './stamps.js';

/** A version, and whether it is zeroes: they can't be told from others. */
interface Version {
  readonly version: number;
  readonly zeroes: boolean;
}

export class Ledger {
  /** Per sector, oldest first: what was acknowledged durable, then all that was written later. */
  readonly #history: Version[][];
  readonly #replied: number[];
  #last = 0;

  constructor(readonly sectors: number) {
    this.#history = Array.from({ length: sectors }, () => [{ version: 0, zeroes: true }]);
    this.#replied = Array.from({ length: sectors }, () => 0);
  }

  /** A write is sent. @returns its version */
  submitted(first: number, count: number, zeroes: boolean): number {
    const version = ++this.#last;
    for (let i = first; i < first + count; i++) this.#history[i]?.push({ version, zeroes });
    return version;
  }

  replied(first: number, count: number, version: number, durable: boolean): void {
    for (let i = first; i < first + count; i++) {
      this.#replied[i] = Math.max(this.#replied[i] ?? 0, version);
      if (durable) this.#raise(i, version);
    }
  }

  /** What a FLUSH that is sent now will make durable. */
  snapshot(): readonly number[] {
    return [...this.#replied];
  }

  flushed(snapshot: readonly number[]): void {
    for (const [sector, version] of snapshot.entries()) this.#raise(sector, version);
  }

  /**
   * Compares an image after the death of the server, and goes on from it.
   * @param plain no volatile cache: the host has not died, so what was replied to is there as well
   * @returns what is wrong: lost, torn, or from nowhere
   */
  check(image: Buffer, plain: boolean): string[] {
    const wrong: string[] = [];
    this.#history.forEach((history, sector) => {
      const found = versionOf(image, sector * SECTOR_BYTES, sector);
      const match = history.findLast(({ version, zeroes }) =>
        found === 0 ? zeroes : !zeroes && version === found,
      );
      const floor = history.at(0);
      const replied = this.#replied[sector] ?? 0;
      if (found === null) wrong.push(`sector ${sector} is torn`);
      else if (match === undefined)
        wrong.push(`sector ${sector}: version ${found}, flushed was ${floor?.version ?? 0}`);
      else if (plain && match.version < replied)
        wrong.push(`sector ${sector}: version ${found}, replied to was ${replied}`);
      if (match === undefined) return;
      this.#history[sector] = [match];
      this.#replied[sector] = match.version;
    });
    return wrong;
  }

  #raise(sector: number, version: number): void {
    const history = this.#history[sector] ?? [];
    const at = history.findIndex((each) => each.version === version);
    if (at > 0) history.splice(0, at);
  }
}

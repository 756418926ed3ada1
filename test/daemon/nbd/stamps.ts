// Sectors that say which write they are from, so that whoever finds one knows what was lost or torn.
//
//   sector, 512 B   | magic 4 | sector 4 | version 4 | writer 4 | filler ... | CRC-32C of all before 4 |

import { crc32c } from '../../../native/index.js';

export const SECTOR_BYTES = 512;
const MAGIC = 0x51a3d0;
const CHECKED_BYTES = SECTOR_BYTES - 4;

/** Version 0 are zeroes. */
export function stamp(into: Buffer, at: number, sector: number, version: number, writer = 0): void {
  const bytes = into.subarray(at, at + SECTOR_BYTES);
  bytes.fill(version === 0 ? 0 : (sector * 7 + version) % 256);
  if (version === 0) return;
  bytes.writeUInt32BE(MAGIC, 0);
  bytes.writeUInt32BE(sector, 4);
  bytes.writeUInt32BE(version, 8);
  bytes.writeUInt32BE(writer, 12);
  bytes.writeUInt32BE(crc32c(bytes.subarray(0, CHECKED_BYTES)), CHECKED_BYTES);
}

/** @returns the version, or null if the sector is torn, or another one's */
export function versionOf(from: Buffer, at: number, sector: number, writer = 0): number | null {
  const bytes = from.subarray(at, at + SECTOR_BYTES);
  if (bytes.every((byte) => byte === 0)) return 0;
  const whole =
    bytes.readUInt32BE(0) === MAGIC &&
    bytes.readUInt32BE(4) === sector &&
    bytes.readUInt32BE(12) === writer &&
    bytes.readUInt32BE(CHECKED_BYTES) === crc32c(bytes.subarray(0, CHECKED_BYTES));
  return whole ? bytes.readUInt32BE(8) : null;
}

/** Numbers that follow from a seed (mulberry32). */
export function randomNumbers(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

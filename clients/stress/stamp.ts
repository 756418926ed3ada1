// Stamps: what a writer puts into a cell, so that whoever finds it can tell who wrote it, when, and
// for which place.
//
// A page of 4096 B has 64 cells of 64 B (16 words):
//
//   +-------+--------+----------+------+------+------------------------+----------+
//   | magic | writer | sequence | file | page | 10 words made from all | checksum |
//   +-------+--------+----------+------+------+------------------------+----------+

export const CELL_BYTES = 64;
export const CELL_WORDS = CELL_BYTES / 4;
export const CELLS_PER_PAGE = 64;
export const PAGE_BYTES = CELL_BYTES * CELLS_PER_PAGE;
export const PAGE_WORDS = PAGE_BYTES / 4;

const MAGIC = 0x53746d70;
const CHECKSUM = CELL_WORDS - 1;
const FILL = 5;

function mix(value: number): number {
  let x = value | 0;
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return x ^ (x >>> 16);
}

/** Writes a stamp to words[at ..]. */
export function writeStamp(
  words: Int32Array,
  at: number,
  writer: number,
  sequence: number,
  file: number,
  page: number,
): void {
  words[at] = MAGIC;
  words[at + 1] = writer;
  words[at + 2] = sequence;
  words[at + 3] = file;
  words[at + 4] = page;
  let x = mix(mix(mix(mix(writer + 1) + sequence) + file) + page);
  for (let i = FILL; i < CHECKSUM; i++) {
    x = mix(x + i);
    words[at + i] = x;
  }
  words[at + CHECKSUM] = sum(words, at);
}

/** What a cell may hold. */
export type CellKind = 'zero' | 'stamp' | 'broken';

/** A cell that was read; reused by the reader. */
export interface Cell {
  kind: CellKind;
  /** Of a whole stamp; of a broken one, what its words say. */
  writer: number;
  sequence: number;
  file: number;
  page: number;
}

export function newCell(): Cell {
  return { kind: 'zero', writer: 0, sequence: 0, file: 0, page: 0 };
}

/** Reads the cell at words[at ..] into `cell`. */
export function readCell(words: Int32Array, at: number, cell: Cell): void {
  let any = 0;
  for (let i = 0; i < CELL_WORDS; i++) any |= words[at + i];
  cell.writer = words[at + 1];
  cell.sequence = words[at + 2];
  cell.file = words[at + 3];
  cell.page = words[at + 4];
  if (any === 0) cell.kind = 'zero';
  else if (words[at] === MAGIC && words[at + CHECKSUM] === sum(words, at)) cell.kind = 'stamp';
  else cell.kind = 'broken';
}

/** A sum over all words but the last, in which the place of each counts. */
function sum(words: Int32Array, at: number): number {
  let x = 0x811c9dc5 | 0;
  for (let i = 0; i < CHECKSUM; i++) x = Math.imul(x ^ words[at + i], 0x01000193) + (x >>> 13);
  return mix(x);
}

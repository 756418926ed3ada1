// What is kept in files: a matrix, and the searches of one that is not filled yet.

import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { FINDING_KINDS } from '../../engine/finding.js';
import { Errno } from '../../engine/sched/errors.js';
import type { Cell, Searched } from './cell.js';

const OUTCOME = {
  verdict: z.enum(['safe', 'unsafe', 'not-found', 'not-applicable']),
  failures: z.array(z.enum(FINDING_KINDS)),
  schedule: z.string().nullable(),
  exhaustive: z.boolean(),
  preemptionBound: z.number().nullable(),
  executions: z.number(),
  preemptions: z.number().nullable(),
  why: z.string().nullable(),
};

const CELL = z.object({
  hazard: z.string(),
  profile: z.string(),
  ...OUTCOME,
  sameAs: z.string().nullable(),
});

const MATRIX = z.object({
  digest: z.string(),
  budget: z.number(),
  hazards: z.array(z.string()),
  profiles: z.array(z.string()),
  cells: z.array(CELL),
});

/** A filled matrix: a cell for each hazard under each profile, hazard by hazard. */
export interface Matrix {
  /** See matrixDigest(). */
  readonly digest: string;
  /** Executions after which a search stopped. */
  readonly budget: number;
  readonly hazards: readonly string[];
  readonly profiles: readonly string[];
  readonly cells: readonly Cell[];
}

/** As a file: a line for each cell, so that a difference between two of them can be read. */
export function formatMatrix({ cells, ...head }: Matrix): string {
  const lines = Object.entries(head).map(
    ([name, value]) => `  ${JSON.stringify(name)}: ${JSON.stringify(value)},`,
  );
  const rows = cells.map((cell) => `    ${JSON.stringify(cell)}`);
  return `{\n${lines.join('\n')}\n  "cells": [\n${rows.join(',\n')}\n  ]\n}\n`;
}

/** @throws Errno EINVAL if the text is no matrix */
export function parseMatrix(text: string, where: string): Matrix {
  try {
    return MATRIX.parse(JSON.parse(text));
  } catch (cause) {
    throw new Errno('EINVAL', `${where} is not a matrix of this version`, { cause });
  }
}

/** The cell of a hazard under a profile; undefined if the matrix does not have it. */
export function cellAt(matrix: Matrix, hazard: string, profile: string): Cell | undefined {
  return matrix.cells.find((cell) => cell.hazard === hazard && cell.profile === profile);
}

const SEARCHED = z.object({
  hazard: z.string(),
  profile: z.string(),
  asked: z.record(z.string(), z.union([z.string(), z.boolean()])),
  outcome: z.object(OUTCOME),
});

/** The searches made so far, in a file: a line each, under a line that says of which matrix. */
export class SearchLog {
  /** Those that an earlier run left there. */
  readonly known: readonly Searched[];

  /** Goes on with the file if it is of this digest and budget; else it is begun anew. */
  constructor(
    private readonly path: string,
    digest: string,
    budget: number,
  ) {
    const head = JSON.stringify({ digest, budget });
    const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n') : [];
    const isSame = lines.at(0) === head;
    this.known = isSame ? lines.slice(1).flatMap(parseSearched) : [];
    // Written anew, since a run that was killed may have left half a line.
    writeFileSync(path, [head, ...this.known.map((one) => JSON.stringify(one)), ''].join('\n'));
  }

  add(searched: Searched): void {
    appendFileSync(this.path, `${JSON.stringify(searched)}\n`);
  }
}

function parseSearched(line: string): Searched[] {
  try {
    return [SEARCHED.parse(JSON.parse(line))];
  } catch {
    return [];
  }
}

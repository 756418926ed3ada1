// pinfold lab compare: two sets of rules side by side: what each fixes, breaks and costs.

import { existsSync, readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { z } from 'zod';
import {
  type Comparison,
  type Contender,
  compare,
  contender,
  type Difference,
  profilesOf,
  type SideOfComparison,
} from '../../../../lab/compare.js';
import { type Costs, parseCosts } from '../../../../lab/costs.js';
import { hazardByName } from '../../../../lab/hazards/index.js';
import { matrixDigest } from '../../../../lab/matrix/digest.js';
import type { MatrixRequest } from '../../../../lab/matrix/matrix.js';
import { type Matrix, parseMatrix } from '../../../../lab/matrix/stored.js';
import { readProfileFile } from '../../../../lab/profile-file.js';
import { makeCommand, optionsOf } from '../../frame/command.js';
import { usageError } from '../../frame/errors.js';
import { interruptible } from '../../frame/interrupt.js';
import { formatTable, print, printJson } from '../../frame/output.js';
import { chooseHazards, SEARCH_SHAPE, withProfileFiles, withSearchOptions } from './choose.js';
import { watchMatrix } from './matrix.js';

const DOCS = new URL('../../../../../docs/', import.meta.url);
/** How far the costs can be trusted. */
const CAVEAT = 'Differences of less than a third say nothing; see docs/performance.md.';
const SHAPE = { ...SEARCH_SHAPE, profileFile: z.array(z.string()) };

export function compareCommand(): Command {
  const command = makeCommand('compare', 'what two sets of rules fix, break and cost', [
    ['pinfold lab compare P3-skip P7-bounce', 'two proposals, each on its own base'],
    ['pinfold lab compare linux-6.12 linux-6.15', 'two kernels'],
    ['pinfold lab compare best-known mine --profile-file mine.yaml', 'ours with yours'],
    ['pinfold lab compare P13-evict-under-locks P14-break-final --json', 'sides[], between[]'],
  ])
    .argument('<first>', 'a profile, or the name of a proposal')
    .argument('<second>', 'what to compare it with');
  return withSearchOptions(withProfileFiles(command)).action(
    async (first: string, second: string) => {
      const { json, profileFile, ...search } = optionsOf(command, SHAPE);
      const hazards = chooseHazards(search.hazards);
      const own = profileFile.map(readProfileFile);
      const [a, b] = [first, second].map((name) => {
        return own.find(({ profile }) => profile.name === name) ?? knownContender(name);
      });
      await interruptible(async ({ signal }) => {
        const profiles = profilesOf([a, b]);
        const matrix = await matrixOf(json, { ...search, hazards, profiles, signal });
        const comparison = compare(matrix, a, b, readCosts());
        if (json) printJson(comparison);
        else print(formatComparison(comparison));
      });
    },
  );
}

function knownContender(name: string): Contender {
  try {
    return contender(name);
  } catch (error) {
    throw usageError(error instanceof Error ? error.message.replace(/^EINVAL: /, '') : name);
  }
}

/** The committed matrix if it is of this build and has all that is asked; else it is filled now. */
async function matrixOf(json: boolean, request: MatrixRequest): Promise<Matrix> {
  const { hazards, profiles, budget } = request;
  const stored = storedMatrix();
  if (stored === null || stored.digest !== matrixDigest() || stored.budget !== budget) {
    return watchMatrix(json, request);
  }
  const hasAll =
    profiles.every(({ name }) => stored.profiles.includes(name)) &&
    hazards.every((hazard) => stored.hazards.includes(hazard));
  return hasAll ? { ...stored, hazards } : watchMatrix(json, request);
}

function storedMatrix(): Matrix | null {
  const file = new URL('matrix.json', DOCS);
  return existsSync(file) ? parseMatrix(readFileSync(file, 'utf8'), file.pathname) : null;
}

function readCosts(): Costs {
  const file = new URL('figures/writeback-vs-pin.json', DOCS);
  return existsSync(file) ? parseCosts(readFileSync(file, 'utf8'), file.pathname) : [];
}

function formatComparison({ sides, between }: Comparison): string {
  const [a, b] = sides;
  return [
    formatSide(a),
    formatSide(b),
    section(`Where they differ, ${a.profile} first`, between),
    formatCosts(sides),
  ].join('\n\n');
}

function formatSide(side: SideOfComparison): string {
  const { profile, base, fixes, breaks, leaves } = side;
  if (base === null) return `${profile} is the first kernel: it has no base.`;
  return [
    `${profile}, beside ${base}`,
    section('  fixes', fixes),
    section('  breaks', breaks),
    section('  leaves unsafe', leaves),
  ].join('\n');
}

function section(title: string, differences: readonly Difference[]): string {
  if (differences.length === 0) return `${title}: nothing`;
  const rows = differences.map(({ hazard, before, after }) => [
    `    ${hazard}`,
    `${inWord(before)} -> ${inWord(after)}`,
    hazardByName(hazard).title,
  ]);
  const [, ...lines] = formatTable(['', '', ''], rows).split('\n');
  return `${title}:\n${lines.join('\n')}`;
}

function inWord(cell: Difference['after']): string {
  return cell.verdict === 'unsafe' ? cell.failures.join(', ') : cell.verdict;
}

/** Throughput of writeback beside pins, relative to the same without. */
function formatCosts(sides: readonly SideOfComparison[]): string {
  const title =
    'What they cost: throughput of writeback while pages are pinned, beside none pinned';
  const measured = sides.flatMap(({ cost }) => (cost === null ? [] : [cost]));
  if (measured.length === 0) return `${title}: not measured`;
  const [first] = measured;
  const rows = first.cells.map(({ sharePercent, holdMs }) => [
    `${sharePercent} %`,
    `${holdMs} ms`,
    ...sides.map(({ cost }) => {
      const cell = cost?.cells.find((c) => c.sharePercent === sharePercent && c.holdMs === holdMs);
      return cell === undefined ? 'not measured' : cell.ratio.toFixed(2);
    }),
  ]);
  const head = ['PINNED', 'HELD', ...sides.map(({ profile }) => profile)];
  const rates = measured.map(
    ({ profile, unpinned }) =>
      `${profile} writes ${Math.round(unpinned).toLocaleString('en-US')} pages a second with none pinned.`,
  );
  return [`${title}:`, formatTable(head, rows), ...rates, CAVEAT].join('\n');
}

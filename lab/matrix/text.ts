// The matrix on a terminal: a line for each profile, a column for each hazard.

import type { Cell } from './cell.js';
import { cellAt, type Matrix } from './stored.js';
import { LEGEND, lettersOf, symbolOf } from './symbols.js';

/** Hazards of one story of kernel.md: `H2` with its letters. */
interface Family {
  readonly name: string;
  readonly hazards: readonly string[];
}

/**
 * The table, in blocks of as many hazards as fit beside each other, and its legend.
 * @param columns width of the terminal
 */
export function formatMatrixText(matrix: Matrix, columns: number): string {
  const name = Math.max('PROFILE'.length, ...matrix.profiles.map((profile) => profile.length));
  const blocks = blocksOf(matrix.hazards, columns - name);
  const tables = blocks.map((families) => formatBlock(matrix, families, name));
  return `${tables.join('\n\n')}\n\n${formatLegend(matrix)}`;
}

function formatBlock(matrix: Matrix, families: readonly Family[], name: number): string {
  const lines = ['', 'PROFILE', ...matrix.profiles].map((title) => title.padEnd(name));
  for (const family of families) {
    const width = widthOf(family);
    lines[0] += `  ${family.name.padEnd(width)}`;
    lines[1] += `  ${family.hazards
      .map((id) => labelOf(family, id))
      .join(' ')
      .padEnd(width)}`;
    matrix.profiles.forEach((profile, i) => {
      const symbols = family.hazards.map((hazard) =>
        oneSymbol(cellAt(matrix, hazard, profile)).padEnd(labelOf(family, hazard).length),
      );
      lines[i + 2] += `  ${symbols.join(' ').padEnd(width)}`;
    });
  }
  return lines.map((line) => line.trimEnd()).join('\n');
}

/** One letter for a cell: that of its gravest failure. */
function oneSymbol(cell: Cell | undefined): string {
  return cell?.verdict === 'unsafe' ? lettersOf(cell.failures).slice(0, 1) : symbolOf(cell);
}

/** Symbols that the table uses, with their meanings. */
function formatLegend(matrix: Matrix): string {
  const used = new Set(matrix.cells.map(oneSymbol));
  const lines = LEGEND.filter(([symbol]) => used.has(symbol));
  return lines.map(([symbol, meaning]) => `  ${symbol}  ${meaning}`).join('\n');
}

/** Families side by side, block below block. */
function blocksOf(hazards: readonly string[], columns: number): Family[][] {
  const blocks: Family[][] = [[]];
  let left = columns;
  for (const family of familiesOf(hazards)) {
    const width = widthOf(family) + 2;
    if (width > left && blocks[blocks.length - 1].length > 0) {
      blocks.push([]);
      left = columns;
    }
    blocks[blocks.length - 1].push(family);
    left -= width;
  }
  return blocks;
}

function familiesOf(hazards: readonly string[]): Family[] {
  const families = new Map<string, string[]>();
  for (const id of hazards) {
    const family = /^(H\d+)-[a-z]$/.exec(id)?.[1] ?? '';
    families.set(family, [...(families.get(family) ?? []), id]);
  }
  return [...families].map(([name, members]) => ({ name, hazards: members }));
}

/** `a` of `H2-a`; the whole name of a hazard that belongs to no family. */
function labelOf(family: Family, hazard: string): string {
  return family.name === '' ? hazard : hazard.slice(family.name.length + 1);
}

function widthOf(family: Family): number {
  const labels = family.hazards.map((hazard) => labelOf(family, hazard).length);
  return Math.max(
    family.name.length,
    labels.reduce((sum, length) => sum + length + 1, -1),
  );
}

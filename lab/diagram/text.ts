// A race diagram as text, as on a mailing list: a column per actor, time downwards, the state of
// pages and locks on the right, and below what broke and why.

import { columnWidths, lineText } from './columns.js';
import type { Broken, Diagram } from './diagram.js';
import type { Line } from './lines.js';
import { legend, linesShown, stateHead, stateTexts, stateWidth } from './state-text.js';
import { wrap } from './wrap.js';

/** Columns that a diagram may have; a terminal that is narrower or wider gets the nearest. */
export const WIDTH_MIN = 80;
export const WIDTH_MAX = 120;
const WIDTH_DEFAULT = 100;

const GAP = 2;

/** @param width columns in all, WIDTH_MIN to WIDTH_MAX */
export function formatText(diagram: Diagram, width: number = WIDTH_DEFAULT): string {
  const total = Math.min(Math.max(width, WIDTH_MIN), WIDTH_MAX);
  return [
    ...wrap(`${diagram.program} under ${diagram.profile}: ${diagram.title}`, total),
    ...wrap(runText(diagram), total),
    '',
    ...gridLines(diagram, total),
    '',
    ...brokenLines(diagram, total),
    '',
    ...wrap(legend(diagram), total),
  ].join('\n');
}

/** How the run is called and how it went. */
export function runText(diagram: Diagram): string {
  const { schedule, steps, preemptions, ending } = diagram;
  const counts = `${String(steps)} steps, ${String(preemptions)} ${preemptions === 1 ? 'preemption' : 'preemptions'}`;
  return `schedule ${schedule} (${counts}; ${ENDINGS[ending]})`;
}

const ENDINGS: Readonly<Record<Diagram['ending'], string>> = {
  done: 'ran to its end',
  deadlock: 'ended in a deadlock',
  livelock: 'never ended',
  abandoned: 'was given up',
  thrown: 'stopped before its end',
};

/** What broke, or that nothing did, in sentences. */
export function brokenTexts(diagram: Diagram): string[] {
  if (diagram.broken.length === 0) return ['Nothing broke in this run.'];
  const told = new Set<string>();
  return diagram.broken.flatMap((broken) => [
    brokenText(broken),
    ...broken.why
      .map(({ text }) => `- ${text}.`)
      .filter((text) => !told.has(text) && told.add(text).size > 0),
  ]);
}

function brokenText({ finding, line }: Broken): string {
  const where = line === null ? 'at the end' : `line ${String(line)}`;
  return `BROKEN: ${finding.kind} (${where}, ${finding.task}): ${finding.message}`;
}

function brokenLines(diagram: Diagram, width: number): string[] {
  return brokenTexts(diagram).flatMap((text) => {
    const indent = text.startsWith('- ') ? '  ' : '';
    return wrap(text, width - indent.length).map((line, i) =>
      i === 0 ? indent + line : `${indent}  ${line}`.slice(0, width),
    );
  });
}

interface Column {
  readonly actor: number;
  readonly name: string;
  readonly width: number;
}

interface Columns {
  /** Width of the line numbers. */
  readonly number: number;
  readonly actors: readonly Column[];
  readonly state: number;
}

function columnsOf(diagram: Diagram, width: number): Columns {
  const number = String(diagram.lines.length).length;
  const state = stateWidth(diagram);
  const room = width - number - state - GAP - diagram.actors.length * GAP;
  const widths = columnWidths(diagram, linesShown(diagram), room);
  return {
    number,
    state,
    actors: diagram.actors.map((name, actor) => ({ name, actor, width: widths[actor] })),
  };
}

function gridLines(diagram: Diagram, width: number): string[] {
  const states = stateTexts(diagram);
  const shown = linesShown(diagram);
  const rest = diagram.lines.length - shown.length;
  const columns = columnsOf(diagram, width);
  const head = row(
    columns,
    '',
    columns.actors.map(({ name, width: w }) => wrap(name, w)),
    [stateHead(diagram)],
  );
  const rule = columns.actors.map((column) => ['-'.repeat(column.width)]);
  return [
    ...head,
    ...row(columns, '', rule, ['-'.repeat(columns.state)]),
    ...shown.flatMap((line, i) => lineRows(columns, line, states[i], width)),
    ...(rest === 0
      ? []
      : [`${' '.repeat(columns.number + GAP)}(${String(rest)} more until the run ends)`]),
  ];
}

function lineRows(
  columns: Columns,
  line: Line,
  states: readonly string[],
  total: number,
): string[] {
  const number = String(line.number);
  if (line.kind === 'finding') {
    const indent = columns.number + GAP;
    return wrap(`*** ${line.text} ***`, total - indent).map(
      (text, i) =>
        (i === 0 ? number.padStart(columns.number) : ' '.repeat(columns.number)) +
        ' '.repeat(GAP) +
        text,
    );
  }
  const cells = columns.actors.map(({ actor, width }) =>
    actor === line.actor ? wrap(lineText(line), width) : [],
  );
  return row(
    columns,
    number,
    cells,
    states.flatMap((state) => wrap(state, columns.state)),
  );
}

/** One row of the grid: as many lines as its highest cell. */
function row(
  columns: Columns,
  number: string,
  cells: readonly (readonly string[])[],
  state: readonly string[],
): string[] {
  const height = Math.max(1, state.length, ...cells.map((cell) => cell.length));
  const gap = ' '.repeat(GAP);
  return Array.from({ length: height }, (_, i) =>
    [
      (i === 0 ? number : '').padStart(columns.number),
      ...cells.map((cell, at) => (cell.at(i) ?? '').padEnd(columns.actors[at].width)),
      (state.at(i) ?? '').padEnd(columns.state),
    ]
      .join(gap)
      .trimEnd(),
  );
}

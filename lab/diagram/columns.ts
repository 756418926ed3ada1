// How wide each actor's column is: such that the diagram has the fewest rows.

import type { Diagram } from './diagram.js';
import type { Line } from './lines.js';
import { wrap } from './wrap.js';

/** No column is narrower. */
export const COLUMN_MIN = 12;

/**
 * The widths of the actors' columns, COLUMN_MIN at least, `room` in all. Every row belongs to one
 * actor, so that the rows of the diagram are the sum of what each column needs.
 */
export function columnWidths(diagram: Diagram, lines: readonly Line[], room: number): number[] {
  const spare = Math.max(0, room - COLUMN_MIN * diagram.actors.length);
  /** With the columns so far, per spare character spent: rows, and the width of each column. */
  let best: { readonly rows: number; readonly widths: readonly number[] }[] = Array.from(
    { length: spare + 1 },
    () => ({ rows: 0, widths: [] }),
  );
  diagram.actors.forEach((name, actor) => {
    const texts = [name, ...lines.filter((line) => isOf(line, actor)).map(lineText)];
    const rows = Array.from({ length: spare + 1 }, (_, more) => rowsOf(texts, COLUMN_MIN + more));
    best = best.map((_, spent) => {
      let found = { rows: Number.POSITIVE_INFINITY, widths: best[0].widths };
      for (let more = 0; more <= spent; more++) {
        const before = best[spent - more];
        const total = before.rows + rows[more];
        if (total < found.rows) {
          found = { rows: total, widths: [...before.widths, COLUMN_MIN + more] };
        }
      }
      return found;
    });
  });
  return withRest([...best[spare].widths], Math.max(room, COLUMN_MIN * diagram.actors.length));
}

/** What a line says in its column. */
export function lineText(line: Line): string {
  return line.preempted ? `${line.text} ...` : line.text;
}

function isOf(line: Line, actor: number): boolean {
  return line.actor === actor && line.kind !== 'finding';
}

function rowsOf(texts: readonly string[], width: number): number {
  return texts.reduce((rows, text) => rows + wrap(text, width).length, 0);
}

/** Characters that save no row go to the narrowest columns. */
function withRest(widths: number[], room: number): number[] {
  for (let rest = room - widths.reduce((sum, width) => sum + width, 0); rest > 0; rest--) {
    widths[widths.indexOf(Math.min(...widths))]++;
  }
  return widths;
}

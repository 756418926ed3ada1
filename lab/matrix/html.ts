// The matrix as one standalone page: a table whose unsafe cells lead to the run that breaks them.

import type { Profile } from '../../engine/profile/profile.js';
import { diagramOf } from '../diagram/diagram.js';
import { escapeXml } from '../diagram/escape.js';
import { formatText } from '../diagram/text.js';
import { type Hazard, LAB_PAGE_BYTES } from '../hazard.js';
import type { Cell } from './cell.js';
import { cellAt, type Matrix } from './stored.js';
import { LEGEND, symbolOf, verdictInWords } from './symbols.js';

const STYLE = `
:root { color-scheme: light dark; --line: #8886; --bad: #c0392b; --good: #2e8b57; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem; }
h1, h2, h3 { line-height: 1.2; }
p, li, dd { max-width: 46rem; }
table { border-collapse: separate; border-spacing: 0; }
th, td { border-bottom: 1px solid var(--line); padding: .15rem .4rem; text-align: center; }
thead th { position: sticky; top: 0; background: Canvas; vertical-align: bottom; }
thead th span { writing-mode: vertical-rl; transform: rotate(180deg); white-space: nowrap; }
tbody th { position: sticky; left: 0; background: Canvas; text-align: left; white-space: nowrap; }
td a { color: var(--bad); font-weight: bold; text-decoration: none; }
td.safe { color: var(--good); }
.legend { border-collapse: collapse; }
.legend td:last-child { text-align: left; }
section { border-top: 1px solid var(--line); margin-top: 1.5rem; }
section:target { outline: 2px solid var(--bad); outline-offset: .5rem; }
pre, code { font: 13px/1.4 ui-monospace, monospace; overflow-x: auto; }
`;

/** @param hazards and `profiles`: those of the matrix, to draw the runs of unsafe cells */
export function formatMatrixHtml(
  matrix: Matrix,
  hazards: readonly Hazard[],
  profiles: readonly Profile[],
): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Pinfold: hazards by rules</title>
<style>${STYLE}</style>
</head>
<body>
<h1>Hazards by rules</h1>
<p>Each cell is a search of the schedules of one hazard under one set of rules, of up to
${matrix.budget.toLocaleString('en-US')} runs. A letter says what goes wrong, and leads to a run that shows it.</p>
${legend()}
${table(matrix, hazards)}
${hazards.map((hazard) => storyOf(matrix, hazard, profiles)).join('\n')}
<p>Digest of engine, hazards and profiles: <code>${escapeXml(matrix.digest)}</code></p>
</body>
</html>
`;
}

function legend(): string {
  const rows = LEGEND.map(
    ([symbol, meaning]) => `<tr><td>${symbol}</td><td>${escapeXml(meaning)}</td></tr>`,
  );
  return `<table class="legend">${rows.join('')}</table>`;
}

function table(matrix: Matrix, hazards: readonly Hazard[]): string {
  const head = matrix.profiles.map(
    (name) => `<th scope="col"><span>${escapeXml(name)}</span></th>`,
  );
  const rows = hazards.map(({ id, title }) => {
    const cells = matrix.profiles.map((profile) => td(cellAt(matrix, id, profile)));
    const link = `<a href="#${escapeXml(id)}" title="${escapeXml(title)}">${escapeXml(id)}</a>`;
    return `<tr><th scope="row">${link}</th>${cells.join('')}</tr>`;
  });
  return `<table>
<thead><tr><th></th>${head.join('')}</tr></thead>
<tbody>
${rows.join('\n')}
</tbody>
</table>`;
}

function td(cell: Cell | undefined): string {
  if (cell === undefined) return '<td></td>';
  const words = escapeXml(`${cell.hazard} under ${cell.profile}: ${verdictInWords(cell)}`);
  const symbol = symbolOf(cell);
  if (cell.verdict !== 'unsafe')
    return `<td class="${cell.verdict}" title="${words}">${symbol}</td>`;
  const target = anchorOf(cell.hazard, cell.sameAs ?? cell.profile);
  return `<td><a href="#${target}" title="${words}">${symbol}</a></td>`;
}

/** The story of a hazard, and a run for each set of rules that lets it go wrong in its own way. */
function storyOf(matrix: Matrix, hazard: Hazard, profiles: readonly Profile[]): string {
  const runs = matrix.cells.filter(
    (cell) => cell.hazard === hazard.id && cell.verdict === 'unsafe' && cell.sameAs === null,
  );
  return `<h2 id="${escapeXml(hazard.id)}">${escapeXml(hazard.id)}: ${escapeXml(hazard.title)}</h2>
<p>${escapeXml(hazard.story)}</p>
<p>Source: ${escapeXml(hazard.source)}.</p>
${runs.map((cell) => runOf(matrix, cell, hazard, profiles)).join('\n')}`;
}

function runOf(matrix: Matrix, cell: Cell, hazard: Hazard, profiles: readonly Profile[]): string {
  const same = matrix.cells
    .filter((other) => other.hazard === cell.hazard && other.sameAs === cell.profile)
    .map(({ profile }) => profile);
  const also = same.length === 0 ? '' : `<p>The same under ${escapeXml(same.join(', '))}.</p>`;
  return `<section id="${anchorOf(cell.hazard, cell.profile)}">
<h3>${escapeXml(cell.hazard)} under ${escapeXml(cell.profile)}</h3>
<p>${escapeXml(verdictInWords(cell))}</p>
${also}
<pre>${escapeXml(drawn(cell, hazard, profiles))}</pre>
</section>`;
}

/** The race diagram of the run that breaks a cell. */
function drawn(cell: Cell, hazard: Hazard, profiles: readonly Profile[]): string {
  const profile = profiles.find(({ name }) => name === cell.profile);
  if (profile === undefined || cell.schedule === null) return '';
  return formatText(diagramOf(hazard, profile, LAB_PAGE_BYTES, cell.schedule));
}

function anchorOf(hazard: string, profile: string): string {
  return escapeXml(`${hazard}/${profile}`);
}

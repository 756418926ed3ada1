// A race diagram as a picture: one standalone SVG, without scripts, fonts or anything from outside.

import { columnWidths, lineText } from './columns.js';
import type { Diagram } from './diagram.js';
import { escapeXml } from './escape.js';
import type { Line } from './lines.js';
import { legend, linesShown, stateHead, stateTexts, stateWidth } from './state-text.js';
import { brokenTexts, runText } from './text.js';
import { wrap } from './wrap.js';

/** Characters in a row, and the metrics of the font that every reader has in some form. */
const CHARACTERS = 116;
const FONT = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace";
const CHAR_PX = 7.3;
const LINE_PX = 16;
const PAD_PX = 6;
const ROW_GAP_PX = 5;
const MARGIN_PX = 18;
const NUMBER_PX = 30;

/** One colour per actor: fill and edge. Readable in black and white, too. */
const COLOURS: readonly (readonly [fill: string, edge: string])[] = [
  ['#e3eefc', '#2f6fc0'],
  ['#fdeedd', '#c4721a'],
  ['#e4f5e6', '#2f8f46'],
  ['#f1e6fa', '#7d44b3'],
  ['#fde6ee', '#b83264'],
  ['#e2f4f5', '#23838a'],
  ['#f5f1d9', '#8d7a12'],
  ['#ececec', '#5c5c5c'],
];
const RED: readonly [fill: string, edge: string] = ['#fdd9d7', '#c3201b'];

const STYLE = [
  `text{font:12px ${FONT};fill:#1c1c1c;white-space:pre}`,
  '.b{font-weight:bold}',
  '.dim{fill:#5c5c5c}',
  `.red{fill:${RED[1]};font-weight:bold}`,
].join('');

interface Column {
  readonly x: number;
  readonly width: number;
  readonly characters: number;
}

/** The diagram as an SVG document. */
export function formatSvg(diagram: Diagram): string {
  return new Picture(diagram).draw();
}

class Picture {
  private readonly parts: string[] = [];
  private readonly columns: readonly Column[];
  private readonly state: Column;
  private readonly width: number;
  private y = MARGIN_PX;
  /** Lines that explain what broke. */
  private readonly marked: ReadonlySet<number>;

  constructor(private readonly diagram: Diagram) {
    const stateCharacters = stateWidth(diagram);
    const room = CHARACTERS - stateCharacters - diagram.actors.length * 3;
    let x = MARGIN_PX + NUMBER_PX;
    this.columns = columnWidths(diagram, linesShown(diagram), room).map((characters) => {
      const width = characters * CHAR_PX + 2 * PAD_PX;
      const column = { x, width, characters };
      x += width + PAD_PX;
      return column;
    });
    this.state = { x: x + PAD_PX, width: stateCharacters * CHAR_PX, characters: stateCharacters };
    this.width = Math.ceil(this.state.x + this.state.width + MARGIN_PX);
    this.marked = new Set(diagram.broken.flatMap(({ why }) => why.flatMap(({ lines }) => lines)));
  }

  draw(): string {
    const { diagram } = this;
    const characters = Math.floor((this.width - 2 * MARGIN_PX) / CHAR_PX);
    this.paragraph(
      `${diagram.program} under ${diagram.profile}: ${diagram.title}`,
      characters,
      'b',
    );
    this.paragraph(runText(diagram), characters, 'dim');
    this.y += LINE_PX / 2;
    const top = this.y;
    this.heads();
    const states = stateTexts(diagram);
    for (const line of linesShown(diagram)) this.line(line, states[line.number - 1]);
    const lifelines = this.lifelines(top + 2 * LINE_PX, this.y);
    this.y += LINE_PX / 2;
    for (const text of brokenTexts(diagram)) {
      this.paragraph(text, characters, text.startsWith('- ') ? '' : 'b');
    }
    this.y += LINE_PX / 2;
    this.paragraph(legend(diagram), characters, 'dim');
    const height = Math.ceil(this.y + MARGIN_PX);
    const size = `width="${this.width}" height="${height}" viewBox="0 0 ${this.width} ${height}"`;
    return [
      `<svg xmlns="http://www.w3.org/2000/svg" ${size} role="img">`,
      `<title>${escapeXml(`${diagram.program} under ${diagram.profile}: ${diagram.title}`)}</title>`,
      `<style>${STYLE}</style>`,
      `<rect width="${this.width}" height="${height}" fill="#ffffff"/>`,
      ...lifelines,
      ...this.parts,
      '</svg>',
      '',
    ].join('\n');
  }

  private heads(): void {
    const height = LINE_PX + PAD_PX;
    this.diagram.actors.forEach((name, actor) => {
      const { x, width } = this.columns[actor];
      const [, edge] = COLOURS[actor % COLOURS.length];
      this.box(x, width, height, `fill="${edge}"`);
      this.parts.push(
        `<text x="${px(x + PAD_PX)}" y="${px(this.y + LINE_PX)}" class="b" style="fill:#ffffff">${escapeXml(name)}</text>`,
      );
    });
    this.text(this.state.x, this.y + LINE_PX, stateHead(this.diagram), 'b');
    this.y += height + ROW_GAP_PX;
  }

  private lifelines(from: number, to: number): string[] {
    return this.columns.map(({ x, width }, actor) => {
      const [, edge] = COLOURS[actor % COLOURS.length];
      const at = px(x + width / 2);
      return `<line x1="${at}" y1="${px(from)}" x2="${at}" y2="${px(to)}" stroke="${edge}" stroke-opacity="0.35" stroke-dasharray="2 4"/>`;
    });
  }

  private line(line: Line, states: readonly string[]): void {
    if (line.kind === 'finding') {
      this.finding(line);
      return;
    }
    const { x, width, characters } = this.columns[line.actor];
    const [fill, edge] = COLOURS[line.actor % COLOURS.length];
    const rows = wrap(lineText(line), characters);
    const right = states.flatMap((state) => wrap(state, this.state.characters));
    const height = Math.max(rows.length, right.length) * LINE_PX + PAD_PX;
    const isWaiting = line.kind === 'sleep';
    this.number(line);
    const dashes = isWaiting ? ' stroke-dasharray="3 3"' : '';
    this.box(x, width, height, `fill="${isWaiting ? '#ffffff' : fill}" stroke="${edge}"${dashes}`);
    for (const [i, row] of rows.entries()) this.text(x + PAD_PX, this.baseline(i), row, '');
    for (const [i, row] of right.entries()) this.text(this.state.x, this.baseline(i), row, '');
    this.y += height + ROW_GAP_PX;
  }

  private finding(line: Line): void {
    const [fill, edge] = RED;
    const x = MARGIN_PX + NUMBER_PX;
    const width = this.width - MARGIN_PX - x;
    const rows = wrap(line.text, Math.floor((width - 2 * PAD_PX) / CHAR_PX));
    const height = rows.length * LINE_PX + PAD_PX;
    this.number(line);
    this.box(x, width, height, `fill="${fill}" stroke="${edge}"`);
    for (const [i, row] of rows.entries()) this.text(x + PAD_PX, this.baseline(i), row, 'red');
    this.y += height + ROW_GAP_PX;
  }

  private box(x: number, width: number, height: number, paint: string): void {
    const place = `x="${px(x)}" y="${px(this.y)}" width="${px(width)}" height="${height}"`;
    this.parts.push(`<rect ${place} rx="3" ${paint}/>`);
  }

  private number({ number }: Line): void {
    this.text(MARGIN_PX, this.baseline(0), String(number), this.marked.has(number) ? 'red' : 'dim');
  }

  private paragraph(text: string, characters: number, style: string): void {
    for (const row of wrap(text, characters)) {
      this.y += LINE_PX;
      this.text(MARGIN_PX, this.y, row, style);
    }
  }

  private baseline(row: number): number {
    return this.y + LINE_PX * (row + 1) - 1;
  }

  private text(x: number, y: number, text: string, style: string): void {
    const css = style === '' ? '' : ` class="${style}"`;
    this.parts.push(`<text x="${px(x)}" y="${px(y)}"${css}>${escapeXml(text)}</text>`);
  }
}

function px(value: number): string {
  return String(Math.round(value * 10) / 10);
}

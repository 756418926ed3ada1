// The curves of `writeback-vs-pin` as one SVG: a panel per hold time, a line per profile.
//
// Fifty lines of our own: the chart libraries at hand draw in a browser or bring forty packages.

import type { BenchResult } from './measure.js';
import { HOLD_MS, PINNED_SHARES } from './writeback-vs-pin.js';

const PANEL = { width: 300, height: 220, left: 46, top: 34 } as const;
const COLOURS = ['#1b6ca8', '#c0392b', '#2e8b57', '#8e44ad', '#d68910'];

/** Draws results of `writeback-vs-pin`: throughput of writeback relative to none pinned. */
export function drawCurves(results: readonly BenchResult[]): string {
  const profiles = [...new Set(results.map(profileOf))];
  const width = HOLD_MS.length * (PANEL.width + PANEL.left) + 20;
  const height = PANEL.height + PANEL.top + 40 + profiles.length * 18;
  const box = `0 0 ${String(width)} ${String(height)}`;
  const font = 'font-family="sans-serif" font-size="12"';
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${box}" ${font}>`,
    '<title>Throughput of writeback over the share of pages pinned, by profile</title>',
    `<rect width="${String(width)}" height="${String(height)}" fill="#ffffff"/>`,
  ];
  HOLD_MS.forEach((holdMs, i) => {
    parts.push(...panel(results, profiles, holdMs, i * (PANEL.width + PANEL.left) + PANEL.left));
  });
  profiles.forEach((profile, i) => {
    const y = PANEL.top + PANEL.height + 52 + i * 18;
    parts.push(
      `<path d="M ${String(PANEL.left)} ${String(y - 4)} h 24" ${stroke(i)}/>`,
      `<text x="${String(PANEL.left + 32)}" y="${String(y)}">${profile}</text>`,
    );
  });
  parts.push('</svg>');
  return `${parts.join('\n')}\n`;
}

function panel(
  results: readonly BenchResult[],
  profiles: readonly string[],
  holdMs: number,
  left: number,
): string[] {
  const of = results.filter((result) => result.details['holdMs'] === holdMs || isBase(result));
  const top = Math.max(1.2, ...of.map((result) => result.ratio ?? 0));
  const x = (share: number): string => (left + (share / 100) * (PANEL.width - 20)).toFixed(1);
  const y = (ratio: number): string => (PANEL.top + PANEL.height * (1 - ratio / top)).toFixed(1);
  const parts = [
    `<text x="${x(0)}" y="20" font-weight="bold">pins held ${String(holdMs)} ms</text>`,
    `<text x="${x(50)}" y="${String(PANEL.top + PANEL.height + 32)}" text-anchor="middle">pages pinned, %</text>`,
  ];
  for (const ratio of [0, 0.25, 0.5, 0.75, 1]) {
    parts.push(
      `<line x1="${x(0)}" y1="${y(ratio)}" x2="${x(100)}" y2="${y(ratio)}" stroke="#dddddd"/>`,
      `<text x="${String(left - 6)}" y="${y(ratio)}" text-anchor="end" dy="4">${String(ratio)}</text>`,
    );
  }
  for (const share of PINNED_SHARES) {
    parts.push(
      `<text x="${x(share)}" y="${String(PANEL.top + PANEL.height + 16)}" text-anchor="middle">${String(share)}</text>`,
    );
  }
  profiles.forEach((profile, i) => {
    const points = of
      .filter((result) => profileOf(result) === profile)
      .map((result) => `${x(result.details['sharePercent'] ?? 0)},${y(result.ratio ?? 0)}`);
    parts.push(`<polyline fill="none" ${stroke(i)} points="${points.join(' ')}"/>`);
  });
  return parts;
}

/** How the line of profile number `i` is drawn. */
function stroke(i: number): string {
  return `stroke="${COLOURS[i % COLOURS.length]}" stroke-width="2"`;
}

function isBase(result: BenchResult): boolean {
  return result.details['sharePercent'] === 0;
}

function profileOf(result: BenchResult): string {
  return result.name.slice(result.name.indexOf('@') + 1, result.name.indexOf(','));
}

// A race diagram as a page: the picture, the story behind it, and what broke and why. Standalone.

import type { Hazard } from '../hazard.js';
import type { Diagram } from './diagram.js';
import { escapeXml } from './escape.js';
import { formatSvg } from './svg.js';
import { brokenTexts } from './text.js';

const STYLE = `
body { font: 16px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem;
  color: #1c1c1c; background: #ffffff; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
svg { max-width: 100%; height: auto; border: 1px solid #dddddd; border-radius: 6px; }
code, pre { font: 0.9em ui-monospace, Menlo, Consolas, monospace; background: #f4f4f4; }
pre { padding: 0.6rem; overflow-x: auto; }
.broken { border-left: 4px solid #c3201b; padding-left: 1rem; }
`;

/** @param hazard for its story; a program of one's own may have none */
export function formatHtml(diagram: Diagram, hazard: Hazard | null = null): string {
  const title = `${diagram.program} under ${diagram.profile}: ${diagram.title}`;
  return [
    '<!DOCTYPE html>',
    '<html lang="en">',
    `<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">`,
    `<title>${escapeXml(title)}</title><style>${STYLE}</style></head>`,
    '<body>',
    `<h1>${escapeXml(title)}</h1>`,
    ...(hazard === null ? [] : [`<p>${escapeXml(hazard.story)}</p>`]),
    formatSvg(diagram),
    ...brokenSection(diagram),
    '<h2>Replay it</h2>',
    `<pre>pinfold lab run ${escapeXml(diagram.program)} --schedule ${escapeXml(diagram.schedule)}</pre>`,
    ...(hazard === null ? [] : [`<p>Source: ${escapeXml(hazard.source)}</p>`]),
    '</body>',
    '</html>',
    '',
  ].join('\n');
}

function brokenSection(diagram: Diagram): string[] {
  const [first, ...rest] = brokenTexts(diagram);
  if (diagram.broken.length === 0) return [`<p>${escapeXml(first)}</p>`];
  const lines = [first, ...rest].map((text) =>
    text.startsWith('- ')
      ? `<li>${escapeXml(text.slice(2))}</li>`
      : `<li><strong>${escapeXml(text)}</strong></li>`,
  );
  return ['<h2>What broke, and why</h2>', `<ul class="broken">${lines.join('\n')}</ul>`];
}

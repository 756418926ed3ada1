// The state beside a line, in a few words: `dirty lock pin rw`.

import type { Diagram } from './diagram.js';
import type { Line } from './lines.js';
import type { LockState, PageState } from './world.js';

/** What the words of the state column mean. */
const MEANINGS: readonly (readonly [word: RegExp, meaning: string])[] = [
  [/\bwb\b/, 'wb: under writeback'],
  [/\block\b/, 'lock: folio locked'],
  [/\bpin\b/, 'pin: pinned for DMA'],
  [/\br[ow]\b/, 'rw, ro: mapped writable, write-protected'],
  [/\bnobuf\b/, 'nobuf: dirty, but the file system has no buffers for it'],
  [/\bgone\b/, 'gone: no file owns it'],
];

/** What one has to know to read the diagram, as one paragraph. */
export function legend(diagram: Diagram): string {
  const shown = linesShown(diagram);
  const states = stateTexts(diagram).slice(0, shown.length).flat().join(' ');
  const words = MEANINGS.filter(([word]) => word.test(states)).map(([, meaning]) => meaning);
  const preempted = shown.some((line) => line.preempted);
  return [
    pageLegend(diagram),
    ...(words.length === 0
      ? []
      : [`State after each line, where it changed (${words.join('; ')}).`]),
    ...(preempted ? ['... : interrupted here.'] : []),
  ]
    .filter((text) => text !== '')
    .join(' ');
}

/** The state column: for each line what has changed of the pages and locks that it touched. */
export function stateTexts(diagram: Diagram): string[][] {
  const shown = new Map<string, string>();
  const prefixed = pagesOf(diagram).length > 1;
  const news = (key: string, text: string): string[] => {
    if (shown.get(key) === text) return [];
    shown.set(key, text);
    return [text];
  };
  return diagram.lines.map((line) => [
    ...line.pages.flatMap((page) =>
      news(`page ${String(page.pfn)}`, (prefixed ? `${String(page.pfn)}: ` : '') + pageText(page)),
    ),
    ...line.locks.flatMap((lock) => {
      const isFirst = !shown.has(lock.lock) && lock.holders.length === 0;
      return isFirst ? [] : news(lock.lock, lockText(lock));
    }),
  ]);
}

/** What stands over the state column. */
export function stateHead(diagram: Diagram): string {
  const pages = pagesOf(diagram);
  return pages.length === 1 ? `page ${String(pages[0].pfn)}` : 'pages and locks';
}

const WIDTH_MAX = 22;

/** Characters of the state column: longer states are wrapped. */
export function stateWidth(diagram: Diagram): number {
  const texts = [stateHead(diagram), ...stateTexts(diagram).flat()];
  return Math.min(Math.max(...texts.map((text) => text.length)), WIDTH_MAX);
}

/** The pages of a diagram, by pfn, each as it was first seen in a file. */
export function pagesOf(diagram: Diagram): PageState[] {
  const pages = new Map<number, PageState>();
  for (const page of diagram.lines.flatMap((line: Line) => line.pages)) {
    const known = pages.get(page.pfn);
    if (known === undefined || known.file === null) pages.set(page.pfn, page);
  }
  return [...pages.values()].sort((a, b) => a.pfn - b.pfn);
}

/** `Page 1 is page 0 of inode 0.` */
function pageLegend(diagram: Diagram): string {
  return pagesOf(diagram)
    .flatMap(({ pfn, file }) =>
      file === null
        ? []
        : [`Page ${String(pfn)} is page ${String(file.index)} of inode ${String(file.inode)}.`],
    )
    .join(' ');
}

/**
 * The lines up to the last that shows what broke; all, if the end does. What comes after that is
 * of no interest.
 */
export function linesShown(diagram: Diagram): readonly Line[] {
  const ends = diagram.broken.map(({ line }) => line ?? Number.POSITIVE_INFINITY);
  if (ends.length === 0) return diagram.lines;
  return diagram.lines.slice(0, Math.max(...ends));
}

export function pageText({ free, flags, pins, mapped, file }: PageState): string {
  if (free) return 'free';
  const has = (flag: string): boolean => flags.includes(flag);
  const inFile = file !== null;
  const words = [
    has('dirty') ? 'dirty' : '',
    has('dirty') && inFile && !has('private') ? 'nobuf' : '',
    has('writeback') ? 'wb' : '',
    has('locked') ? 'lock' : '',
    pins === 0 ? '' : pins === 1 ? 'pin' : `pin x${String(pins)}`,
    mapped === 'no' ? '' : mapped,
    inFile || has('anon') || !has('uptodate') ? '' : 'gone',
  ].filter((word) => word !== '');
  return words.length === 0 ? (inFile ? 'clean' : 'no file') : words.join(' ');
}

function lockText({ lock, holders }: LockState): string {
  const name = lock.replace(/ of (?:inode|mm) /, ' ');
  return holders.length === 0 ? `${name} free` : `${name}: ${holders.join(', ')}`;
}

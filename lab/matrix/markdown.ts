// The matrix as the page docs/matrix.md: kernels, proposals, claims, and a schedule for each hazard.

import { KERNELS } from '../../engine/profile/kernels.js';
import { PROPOSALS, UNPROFILED } from '../../engine/profile/proposals.js';
import { CLAIM_OUTCOMES, type Claim, type ClaimOutcome, judgeClaims } from '../claims.js';
import type { Hazard } from '../hazard.js';
import type { Cell } from './cell.js';
import { cellAt, type Matrix } from './stored.js';
import { LEGEND, symbolOf } from './symbols.js';

/** Outcomes that are told with a schedule; the others are only named. */
const SHOWN: readonly ClaimOutcome[] = [
  'refuted',
  'confirmed',
  'agreed',
  'better',
  'brings',
  'fixes-too',
];

/** @param hazards those of the matrix, for their titles */
export function formatMatrixMarkdown(matrix: Matrix, hazards: readonly Hazard[]): string {
  const kernels = KERNELS.map(({ version }) => `linux-${version}`);
  const proposals = PROPOSALS.flatMap(({ id, base, alsoOn = [] }) =>
    [base, ...alsoOn].map((kernel) => `${kernel}+${id}`),
  );
  const others = matrix.profiles.filter(
    (name) => !kernels.includes(name) && !proposals.includes(name),
  );
  const claims = judgeClaims(matrix);
  const parts = [
    intro(matrix),
    '## In short',
    inShort(matrix, claims, kernels),
    '## Kernels',
    kernelTable(matrix, hazards, kernels),
    '## Proposals',
    'Each on the kernel on which the hazard that it is for is alive; last, our own answer.',
    profileTable(matrix, [...proposals, ...others]),
    'These numbers have no profile:',
    UNPROFILED.map(({ id, what, why }) => `- ${id}, ${what}: ${why}.`).join('\n'),
    '## Claims',
    claimSections(claims),
    '## Schedules',
    'For each hazard, the newest kernel on which it is alive, and a schedule with the fewest preemptions.',
    scheduleTable(matrix, hazards, kernels),
  ];
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

function intro(matrix: Matrix): string {
  const used = matrix.cells.map(symbolOf);
  const legend = LEGEND.filter(([symbol]) => used.some((symbols) => symbols.includes(symbol)));
  const budget = matrix.budget.toLocaleString('en-US');
  return `# The matrix

<!-- Written by \`npm run matrix\`, together with matrix.json. Edits are lost. -->

Each hazard of the mailing lists, under the rules of each kernel and of each proposal. A cell is a search of
the schedules of a few actors (CPUs, the flusher, a device) on a tiny machine that runs the engine's own code:
first those without preemptions, then those with up to 1, 2 and 3, then all, until there are no more or
${budget} were run. What goes wrong under the rules is decided by the order of steps that kernels follow, not by
what was said of them. All cells are in [matrix.json](matrix.json); the digest of the code that filled them is
\`${matrix.digest}\`.

${table(['', 'meaning'], legend)}

Several letters: several kinds of failure were seen, in different schedules. See one with
\`pinfold lab run HAZARD --profile PROFILE --schedule SCHEDULE\`.`;
}

/** What the newest kernel and our own answer leave unsafe, and how the claims fared. */
function inShort(matrix: Matrix, claims: readonly Claim[], kernels: readonly string[]): string {
  const newest = kernels.filter((name) => matrix.profiles.includes(name)).at(-1);
  const lines = [newest, 'best-known'].flatMap((profile) => {
    const cells = matrix.cells.filter((cell) => cell.profile === profile);
    if (profile === undefined || cells.length === 0) return [];
    const unsafe = cells.filter((cell) => cell.verdict === 'unsafe').map(({ hazard }) => hazard);
    const list = unsafe.length === 0 ? '' : `: ${unsafe.join(', ')}`;
    const posed = cells.filter((cell) => cell.verdict !== 'not-applicable').length;
    return [
      `- \`${profile}\`: of ${posed} hazards that can be posed, ${unsafe.length} unsafe${list}.`,
    ];
  });
  const count = (outcome: ClaimOutcome): string =>
    String(claims.filter((claim) => claim.outcome === outcome).length);
  return [
    ...lines,
    `- Claims of proposals: ${count('confirmed')} confirmed, ${count('refuted')} refuted.`,
  ].join('\n');
}

function kernelTable(
  matrix: Matrix,
  hazards: readonly Hazard[],
  kernels: readonly string[],
): string {
  const present = kernels.filter((name) => matrix.profiles.includes(name));
  const head = ['hazard', ...present.map((name) => name.replace('linux-', '')), 'what happens'];
  const rows = hazards.map(({ id, title }) => [
    id,
    ...present.map((kernel) => symbolOf(cellAt(matrix, id, kernel))),
    title,
  ]);
  return table(head, rows);
}

function profileTable(matrix: Matrix, profiles: readonly string[]): string {
  const present = profiles.filter((name) => matrix.profiles.includes(name));
  const rows = present.map((profile) => [
    `\`${profile}\``,
    ...matrix.hazards.map((hazard) => symbolOf(cellAt(matrix, hazard, profile))),
  ]);
  return table(['rules', ...matrix.hazards], rows);
}

function claimSections(claims: readonly Claim[]): string {
  const shown = SHOWN.flatMap((outcome) => {
    const of = claims.filter((claim) => claim.outcome === outcome);
    if (of.length === 0) return [];
    const rows = of.map((claim) => [
      claim.proposal,
      claim.hazard,
      claim.base,
      claim.before.join(', '),
      claim.after.join(', '),
      code(claim.schedule),
    ]);
    const head = ['proposal', 'hazard', 'kernel', 'without it', 'with it', 'schedule'];
    return [`### ${title(outcome)}`, sentence(CLAIM_OUTCOMES[outcome]), table(head, rows)];
  });
  const named = claims.filter((claim) => !SHOWN.includes(claim.outcome));
  if (named.length === 0) return shown.join('\n\n');
  const rows = named.map((claim) => [
    claim.proposal,
    claim.hazard,
    claim.said === 'fixes' ? 'claimed' : 'denied',
    `${claim.outcome}: ${CLAIM_OUTCOMES[claim.outcome]}`,
  ]);
  return [...shown, '### Undecided', table(['proposal', 'hazard', 'was', 'and is'], rows)].join(
    '\n\n',
  );
}

function scheduleTable(
  matrix: Matrix,
  hazards: readonly Hazard[],
  kernels: readonly string[],
): string {
  const rows = hazards.flatMap(({ id }) => {
    const newest = kernels
      .map((kernel) => cellAt(matrix, id, kernel))
      .filter((cell): cell is Cell => cell?.verdict === 'unsafe')
      .at(-1);
    if (newest === undefined) return [];
    const { profile, failures, preemptions, schedule } = newest;
    return [[id, profile, failures.join(', '), String(preemptions), code(schedule)]];
  });
  return table(['hazard', 'kernel', 'failures', 'preemptions', 'schedule'], rows);
}

/** Columns of equal width, so that the page can be read as it is, too. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((_, i) =>
    Math.max(3, ...[head, ...rows].map((line) => (line.at(i) ?? '').length)),
  );
  const rule = widths.map((width) => '-'.repeat(width));
  const lines = [head, rule, ...rows].map((line) =>
    line.map((cell, i) => cell.padEnd(widths[i])).join(' | '),
  );
  return lines.map((line) => `| ${line} |`).join('\n');
}

function code(text: string | null): string {
  return text === null ? '' : `\`${text}\``;
}

function title(outcome: ClaimOutcome): string {
  const words = outcome.replaceAll('-', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function sentence(words: string): string {
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}.`;
}

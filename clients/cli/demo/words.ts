// What the demo says, in plain words, around what was measured.

import type { Exploration } from '../../../lab/explore.js';
import { parseSchedule } from '../../../lab/search/schedule.js';
import type { StressReport } from '../../stress/index.js';
import { formatTable } from '../frame/output.js';
import { humanSize } from '../frame/values.js';
import type { DaemonReport } from './through-daemon.js';

export const WELCOME = `Pinfold emulates a disk, a file system and its page cache over real memory, and asks one
question: a device holds a pin on a page of a file, and stores into it without asking
anybody. What if the file system writes, moves or frees that page meanwhile?
`;

export const WHERE_NEXT = `Where to go next:
  pinfold profile show linux-6.12     what that kernel does with pinned pages
  pinfold stress --profile linux-5.2  older rules: more goes wrong
  pinfold volume --help               put files of your own into a volume
  pinfold serve --help                the machine as a daemon, for programs
  docs/ARCHITECTURE.md                how it is built`;

/** Who the actors of H1-c are, by their letter in a schedule. */
const ACTORS: Readonly<Record<string, string | undefined>> = {
  a: 'the flusher, which writes the page to the disk',
  b: 'direct I/O, which pins the page for a device and unpins it',
  c: 'the device, which stores into the page',
};

/** H1-c in the lab: every schedule of three actors. */
export function showLab(explorations: readonly Exploration[]): string {
  const rows = explorations.map(({ profile, verdict, reduction, executions }) => [
    profile,
    verdict === 'unsafe' ? 'torn' : verdict === 'safe' ? 'safe' : 'not found',
    reduction?.traces.toLocaleString('en-US') ?? 'not all',
    executions.toLocaleString('en-US'),
  ]);
  const lines = [
    '1. The lab: hazard H1-c, a flusher, a short pin and a device, in every order there is.',
    '',
    indent(formatTable(['RULES', 'RESULT', 'TRACES', 'RUNS'], rows)),
    '',
  ];
  const torn = explorations.flatMap(({ failures }) => failures).at(0);
  if (torn === undefined) return lines.join('\n');
  return [
    ...lines,
    `   ${torn.finding.message}.`,
    '   The flusher took the checksum, the device stored, the disk got the new bytes: they do',
    '   not fit together, as RAID parity or an encrypted block would not. It happens when',
    '',
    ...turnsOf(torn.schedule),
    '',
    `   The schedule ${torn.schedule} replays it exactly.`,
    '',
  ].join('\n');
}

/** The turns of a schedule, one line each. */
function turnsOf(schedule: string): string[] {
  const { choices } = parseSchedule(schedule);
  const lines: string[] = [];
  for (let i = 0; i < choices.length; ) {
    let end = i + 1;
    while (end < choices.length && choices[end] === choices[i]) end++;
    const letter = String.fromCharCode(97 + choices[i]);
    lines.push(
      `     ${letter} runs ${String(end - i).padStart(2)} steps: ${ACTORS[letter] ?? letter}`,
    );
    i = end;
  }
  return lines;
}

/** One run of the stress in real threads. */
export function showStress(report: StressReport): string {
  const { profile, cpus, devices, seconds, operations, fsck } = report;
  const done = Object.values(operations).reduce((sum, n) => sum + n, 0);
  const first = report.findings.find((one) => one.kind === 'torn-write') ?? report.findings.at(0);
  const step = profile === 'best-known' ? '3' : '2';
  const lines = [
    `${step}. Real threads under ${profile}: ${cpus} CPUs and ${devices} devices on one volume, ${seconds.toFixed(1)} s.`,
    '',
    `   ${count(done)} operations, ${count(report.pagesPinned)} pages pinned, ${count(report.pagesWrittenBack)} written back;`,
    `   ${count(report.verifiedCells)} cells read back and verified at the end, fsck ${fsck.clean ? 'clean' : 'found damage'}.`,
  ];
  if (first === undefined) lines.push('   Nothing went wrong: every byte is accounted for.');
  else {
    const total = report.findings.reduce((sum, one) => sum + one.count, 0);
    lines.push(
      `   ${count(total)} times something went wrong that these rules allow. The first of ${first.hazard ?? 'them'}:`,
      `     ${first.example.message}`,
    );
    if (first.source !== null) lines.push(`     (${first.source})`);
  }
  for (const one of report.unexpected) lines.push(`   UNEXPECTED: ${one.example.message}`);
  for (const damage of fsck.damages) lines.push(`   DAMAGE: ${damage}`);
  return [...lines, ''].join('\n');
}

/** The daemon in a second process, and every byte accounted for. */
export function showDaemon(report: DaemonReport): string {
  const { daemonPid, clientPid, pagesPinned, bytesByDma, writebacks, written } = report;
  const same = (sum: string): string => (sum === written ? 'the same' : `DIFFERENT: ${sum}`);
  return [
    `4. Through a daemon (pid ${daemonPid}), with this process (pid ${clientPid}) as its client.`,
    '',
    `   ${count(pagesPinned)} pages of a file pinned; a device wrote ${humanSize(bytesByDma)} into them while the file was`,
    `   cleaned ${writebacks} times (${count(report.pagesWrittenBack)} pages written back). Then unpin, fsync, and the daemon ended`,
    `   with ${report.daemonExit ?? 'a signal'}. sha256 of what was written ${written.slice(0, 16)}...`,
    `   read back through the daemon: ${same(report.readBack)}; from the backing file: ${same(report.onDisk)};`,
    `   fsck: ${report.fsckSound ? 'sound' : 'DAMAGED'}.`,
    '',
  ].join('\n');
}

function count(n: number): string {
  return n.toLocaleString('en-US');
}

function indent(text: string): string {
  return text.replace(/^/gm, '   ');
}

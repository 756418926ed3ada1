// What a stress run reports: stable fields for programs, and a text for people.

import type { Finding, FindingKind } from '../../engine/finding.js';

/** The first finding of its hazard and kind, in full. */
export interface Example {
  readonly epoch: number;
  /** Seconds since the run began. */
  readonly atSeconds: number;
  readonly task: string;
  readonly message: string;
}

export interface FindingCount {
  readonly hazard: string | null;
  readonly kind: FindingKind;
  readonly count: number;
  /** May the profile show it? Then `source` says where kernel.md says so. */
  readonly expected: boolean;
  readonly source: string | null;
  readonly example: Example;
}

export interface StressReport {
  readonly profile: string;
  readonly seed: number;
  readonly cpus: number;
  readonly devices: number;
  readonly seconds: number;
  /** Ended early by the caller. */
  readonly aborted: boolean;
  /** Lives of the machine: one more than the times that a BUG ended it. */
  readonly epochs: number;
  /** How often each operation of board.ts was done. */
  readonly operations: Readonly<Record<string, number>>;
  readonly gigabytesPerSecond: {
    readonly cpuStores: number;
    readonly dma: number;
    readonly writeback: number;
  };
  readonly pagesPinned: number;
  readonly pagesWrittenBack: number;
  readonly findings: readonly FindingCount[];
  readonly fsck: {
    readonly runs: number;
    readonly clean: boolean;
    readonly damages: readonly string[];
  };
  /** Cells read back and judged when no CPU and no device ran, and while they did. */
  readonly verifiedCells: number;
  readonly cellsReadMeanwhile: number;
  readonly ok: boolean;
  /** Findings that the profile may not show: why `ok` is false. */
  readonly unexpected: readonly FindingCount[];
}

export interface StressProgress {
  readonly elapsedSeconds: number;
  readonly seconds: number;
  readonly epoch: number;
  /** What goes on: `running`, or what the warden does. */
  readonly phase: string;
  readonly operations: number;
  readonly pagesPinned: number;
  readonly pagesWrittenBack: number;
  readonly findings: number;
}

/** The report as a table. */
export function formatReport(report: StressReport): string {
  const lines = [
    `pinfold stress: ${report.profile}, ${report.cpus} CPUs, ${report.devices} devices, ` +
      `${report.seconds.toFixed(1)} s, seed ${report.seed}${report.aborted ? ' (ended early)' : ''}`,
    '',
    ...operationLines(report),
    '',
    `  CPU stores ${rate(report.gigabytesPerSecond.cpuStores)}, DMA ${rate(report.gigabytesPerSecond.dma)}, ` +
      `writeback ${rate(report.gigabytesPerSecond.writeback)}`,
    `  ${count(report.pagesPinned)} pages pinned, ${count(report.pagesWrittenBack)} written back, ` +
      `${report.epochs} ${report.epochs === 1 ? 'epoch' : 'epochs'}`,
    `  ${count(report.verifiedCells)} cells verified at rest, ${count(report.cellsReadMeanwhile)} while running; ` +
      `fsck ${report.fsck.clean ? 'clean' : 'found damage'} (${report.fsck.runs} runs)`,
    ...report.fsck.damages.map((damage) => `    ${damage}`),
    '',
    ...findingLines(report),
    '',
    report.ok
      ? 'ok: nothing outside the table of expectations'
      : 'FAILED: findings that this profile may not show, or damage',
  ];
  return lines.join('\n');
}

function operationLines(report: StressReport): string[] {
  const entries = Object.entries(report.operations).filter(([, n]) => n > 0);
  const lines: string[] = [];
  for (let i = 0; i < entries.length; i += 3) {
    const row = entries.slice(i, i + 3);
    lines.push(
      `  ${row.map(([name, n]) => `${name.padEnd(18)}${count(n).padStart(10)}`).join('   ')}`,
    );
  }
  return lines;
}

function findingLines(report: StressReport): string[] {
  if (report.findings.length === 0) return ['  no findings'];
  return report.findings.flatMap((one) => [
    `  ${name(one)}  x ${count(one.count)}  ${one.expected ? 'expected' : 'UNEXPECTED'}`,
    `    first in epoch ${one.example.epoch} at ${one.example.atSeconds.toFixed(3)} s by ${one.example.task}:`,
    `    ${one.example.message}`,
    ...(one.source === null ? [] : [`    source: ${one.source}`]),
  ]);
}

/** As in the matrix: hazard and kind. */
export function name(finding: Pick<Finding, 'hazard' | 'kind'>): string {
  return `${finding.hazard ?? 'no known hazard'}: ${finding.kind}`;
}

function rate(gigabytes: number): string {
  return gigabytes >= 0.1
    ? `${gigabytes.toFixed(2)} GB/s`
    : `${(gigabytes * 1000).toFixed(1)} MB/s`;
}

function count(n: number): string {
  return n.toLocaleString('en-US');
}

// Findings: what the rules in force let go wrong. The product of the whole machine.

/** Bytes of one record in a machine's ring of findings, and how many it keeps. */
export const FINDING_BYTES = 768;
export const FINDINGS_MAX = 512;

/** Kinds of failure (kernel.md 4.14). Stable: reports and tables name them. */
export const FINDING_KINDS = [
  'bug',
  'warn',
  'lost-write',
  'torn-write',
  'foreign-write',
  'late-enospc',
  'spurious-error',
  'hang',
  'lockdep',
  'leak',
] as const;

export type FindingKind = (typeof FINDING_KINDS)[number];

/** The page that a finding is about. */
export interface FindingPage {
  /** Inode number on disk. */
  readonly ino: number;
  /** Page index in the file. */
  readonly index: number;
  readonly pfn: number;
}

/** One thing that went wrong under the rules in force. */
export interface Finding {
  readonly kind: FindingKind;
  /** Hazard of kernel.md section 1 that this is an instance of, where the detector can tell. */
  readonly hazard: string | null;
  /** The task that tripped over it. */
  readonly task: string;
  /** What was seen, in a sentence, with the values. */
  readonly message: string;
  /** The page, where the detector knows it. */
  readonly page?: FindingPage;
}

// The ring of findings in shared memory: records of FINDING_BYTES, each with the number of its
// finding + 1 (0: being written), then its fields as text with tabs between them.

/** Where finding number `i` lies in the ring. */
export function findingRecord(
  ring: Uint8Array,
  i: number,
): { readonly number: Int32Array; readonly text: Uint8Array } {
  const at = (i % (ring.length / FINDING_BYTES)) * FINDING_BYTES;
  return {
    number: new Int32Array(ring.buffer, ring.byteOffset + at, 1),
    text: ring.subarray(at + 4, at + FINDING_BYTES),
  };
}

/** A finding as text of at most `bytes` bytes; a long message is cut. */
export function encodeFinding(finding: Finding, bytes: number): Uint8Array {
  const { page } = finding;
  const place = page === undefined ? ['', '', ''] : [page.ino, page.index, page.pfn].map(String);
  const fields = [finding.kind, finding.hazard ?? '', finding.task, ...place, finding.message];
  return new TextEncoder().encode(fields.join('\t')).subarray(0, bytes);
}

/** The finding in a record; null if it is none. */
export function decodeFinding(record: Uint8Array): Finding | null {
  const end = record.indexOf(0);
  const text = new TextDecoder().decode(end < 0 ? record : record.subarray(0, end));
  const [name, hazard, task, ino, index, pfn, ...message] = text.split('\t');
  const kind = FINDING_KINDS.find((k) => k === name);
  if (kind === undefined) return null;
  const finding = {
    kind,
    hazard: hazard === '' ? null : hazard,
    task,
    message: message.join('\t'),
  };
  if (ino === '') return finding;
  return { ...finding, page: { ino: Number(ino), index: Number(index), pfn: Number(pfn) } };
}

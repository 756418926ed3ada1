// Findings: what the rules in force let go wrong. The product of the whole machine.

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

/** One thing that went wrong under the rules in force. */
export interface Finding {
  readonly kind: FindingKind;
  /** Hazard of kernel.md section 1 that this is an instance of, where the detector can tell. */
  readonly hazard: string | null;
  /** The task that tripped over it. */
  readonly task: string;
  /** What was seen, in a sentence, with the values. */
  readonly message: string;
}

// The exit codes of the command; docs/cli.md explains them. Scripts rely on them.

export const EXIT = {
  ok: 0,
  /** The command did its work, and found something: damage, a finding outside the profile's table. */
  findings: 1,
  /** The command line is wrong: nothing was done. */
  usage: 2,
  /** The operation failed, or a part of it. */
  failed: 3,
  /** A defect of Pinfold itself (EX_SOFTWARE). */
  defect: 70,
  /** 128 + the number of the signal, as shells have it. */
  interrupted: 130,
  terminated: 143,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

// A thread of the campaign `volume-crash`: searches one case after the other.

import { type CrashCase, searchCase } from '../fs/power-cut/case.js';
import type { Report } from '../fs/power-cut/explore.js';

/** What a case came to, and how long that took. */
export interface CaseResult {
  readonly one: CrashCase;
  readonly report: Report;
  readonly seconds: number;
}

export default function search(one: CrashCase): CaseResult {
  const start = performance.now();
  const report = searchCase(one);
  return { one, report, seconds: (performance.now() - start) / 1000 };
}

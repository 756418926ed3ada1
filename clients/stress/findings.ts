// The findings of a run, counted by hazard and kind, with the first of each in full.

import type { Finding } from '../../engine/finding.js';
import { hazardOf, type Place } from './classify.js';
import { expectationsOf } from './expectations.js';
import type { Plan } from './plan.js';
import type { Example, FindingCount } from './report.js';
import type { Tables } from './tables.js';

interface Line {
  readonly finding: Finding;
  readonly example: Example;
  count: number;
}

export class FindingLog {
  private readonly lines = new Map<string, Line>();

  constructor(
    private readonly profile: string,
    private readonly tables: Tables,
  ) {}

  /** How many findings there were. */
  get total(): number {
    let sum = 0;
    for (const line of this.lines.values()) sum += line.count;
    return sum;
  }

  /** @param inos inode numbers of the run's files, to tell which one a finding is about */
  add(raw: Finding, epoch: number, inos: readonly number[], times = 1): void {
    const place = placeOf(this.tables.plan, raw, inos);
    const finding = { ...raw, hazard: hazardOf(this.tables, raw, place) };
    const key = `${finding.hazard ?? ''} ${finding.kind}`;
    const line = this.lines.get(key);
    if (line !== undefined) {
      line.count += times;
      return;
    }
    const example = {
      epoch,
      atSeconds: this.tables.now() / 1000,
      task: finding.task,
      message: this.tell(finding, place),
    };
    this.lines.set(key, { finding, example, count: times });
  }

  /** All of them, those that are not expected first. */
  summary(): FindingCount[] {
    const table = expectationsOf(this.profile);
    const counts = [...this.lines.values()].map(({ finding, example, count }) => {
      const { hazard, kind } = finding;
      const line = table.find((one) => one.hazard === hazard && one.kind === kind);
      return {
        hazard,
        kind,
        count,
        expected: line !== undefined,
        source: line?.source ?? null,
        example,
      };
    });
    return counts.sort((a, b) => Number(a.expected) - Number(b.expected));
  }

  private tell(finding: Finding, place: Place | null): string {
    if (place === null || finding.message.includes(`${place.file.name} page`))
      return finding.message;
    const { file, page } = place;
    return `${finding.message}; ${file.name} page ${page}: ${this.tables.story(file, page)}`;
  }
}

function placeOf(plan: Plan, finding: Finding, inos: readonly number[]): Place | null {
  const { page } = finding;
  if (page === undefined) return null;
  const file = plan.files.at(inos.indexOf(page.ino));
  if (file === undefined || !inos.includes(page.ino) || page.index >= file.pages) return null;
  return { file, page: page.index };
}

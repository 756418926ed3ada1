// docs/lab.md: its example is the test that runs, and its schedules break what it says they break.

import { readFileSync } from 'node:fs';
import test from 'ava';
import { profileByName } from '../../engine/profile/profiles.js';
import { diagramOf } from '../../lab/diagram/diagram.js';
import { LAB_PAGE_BYTES } from '../../lab/hazard.js';
import { hazardByName } from '../../lab/hazards/index.js';
import { parseSchedule } from '../../lab/search/schedule.js';

const read = (path: string): string =>
  readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');

test('the worked example is a test of ours, word for word', (t) => {
  const source = read('test/lab/own-hazard.test.ts');
  const example = source.slice(source.indexOf("import test from 'ava';"));
  t.true(read('docs/lab.md').includes(`\`\`\`ts\n${example}\`\`\``));
});

test('the schedules of the documents break what they show', (t) => {
  const text = read('docs/lab.md') + read('docs/cli.md');
  const schedules = new Set(text.match(/pf1\/H[\w-]+\/linux-[\w.+-]+\/(?:[a-h]\d+)+/g) ?? []);
  t.true(schedules.size > 0);
  for (const schedule of schedules) {
    const { program, profile } = parseSchedule(schedule);
    const made = diagramOf(hazardByName(program), profileByName(profile), LAB_PAGE_BYTES, schedule);
    t.true(made.broken.length > 0, schedule);
  }
});

// pinfold crash: a planted bug is found, made small and shown again; runs that are stopped go on; checkers that misbehave.

import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { z } from 'zod';
import { type RecordingOptions, recordIn, type Script, UNIT } from '../block/recording/make.js';
import { requires } from '../support/requires.js';
import { failsWith, pinfold, start, succeeds, temporaryFolder } from './run.js';

/** Five versions of two units each, and in unit 0 which of them counts; one of them is not flushed before it counts. */
function versions(s: Script): void {
  for (let i = 0; i < 5; i++) {
    s.done(8 + 2 * i, 'DD');
    if (i !== 3) s.sync();
    s.replied(s.write(0, String.fromCharCode(65 + i), { fua: true }));
    s.writer.mark(`version ${i}`);
  }
  s.done(30, 'ZZZZ');
  s.sync();
}

/** The version that counts has to be whole. */
const CHECK = `#!/bin/sh
version=$(head -c 1 "$1")
case "$version" in A) at=8;; B) at=10;; C) at=12;; D) at=14;; E) at=16;; *) exit 0;; esac
odd=$(tail -c +$((at * 512 + 1)) "$1" | head -c 1024 | tr -d D | wc -c)
[ "$odd" = 0 ] && exit 0
echo "version $version has $odd bytes that are not its own"
exit 1
`;

interface Rig {
  readonly folder: string;
  readonly record: string;
  readonly check: string;
}

function rig(
  t: ExecutionContext,
  check = CHECK,
  write = versions,
  options: RecordingOptions = {},
): Rig {
  const folder = temporaryFolder(t);
  const record = recordIn(folder, write, options);
  const script = join(folder, 'check.sh');
  writeFileSync(script, check);
  chmodSync(script, 0o755);
  return { folder, record, check: script };
}

const reportSchema = z.object({
  points: z.int(),
  pointsDone: z.int(),
  legalImages: z.string().nullable(),
  distinct: z.int(),
  checked: z.int(),
  resumed: z.int(),
  failingImages: z.int(),
  exhaustive: z.boolean(),
  caps: z.array(z.string()),
  failures: z.array(
    z.object({
      message: z.string(),
      how: z.string(),
      images: z.int(),
      position: z.int(),
      where: z.string(),
      lastMark: z.string().nullable(),
      state: z.string(),
      lostUnits: z.int(),
      lost: z.string(),
      kept: z.string(),
      minimal: z.boolean(),
      reproduced: z.boolean(),
      output: z.string(),
    }),
  ),
});

async function explored(t: ExecutionContext, exit: number, ...args: string[]) {
  const result = await pinfold('crash', 'explore', '--json', ...args);
  t.is(result.exit, exit, result.stderr);
  return reportSchema.parse(JSON.parse(result.stdout));
}

test('a forgotten flush is found, and made as small as it gets', async (t) => {
  const { folder, record, check } = rig(t);
  const command = ['--record', record, '--check', `${check} {image}`];
  const report = await explored(t, 1, ...command);
  t.true(report.exhaustive);
  t.is(report.pointsDone, report.points);
  t.is(report.checked, report.distinct);
  t.is(report.legalImages, '73');
  t.is(report.failures.length, 1);
  const [failure] = report.failures;
  t.like(failure, {
    how: 'exit code 1',
    images: report.failingImages,
    position: 24,
    where: 'after FUA write #8, before reply to FUA write #8',
    lastMark: 'version 2',
    lostUnits: 1,
    kept: 'everything else, also FUA write #8, which came later',
    minimal: true,
    reproduced: true,
  });
  t.regex(failure.message, /version D has 512 bytes/);
  t.regex(failure.lost, /^write #7, sector 1[45]$/);
  t.false(existsSync(`${record}.explore`));

  const image = join(folder, 'crash.img');
  const at = ['--point', String(failure.position), '--state', failure.state, '--output', image];
  t.regex(
    await succeeds(t, 'crash', 'image', '--record', record, ...at),
    /lost: +write #7, sector 1/,
  );
  const bytes = readFileSync(image);
  t.is(bytes.length, 64 * UNIT);
  t.is(bytes[0], 'D'.charCodeAt(0));
  t.is(bytes.subarray(14 * UNIT, 16 * UNIT).filter((byte) => byte === 0).length, UNIT);
  const again = await pinfold('crash', 'image', '--record', record, ...at);
  failsWith(t, again, 3, 'EEXIST', /is there already: give a new file/);

  const text = await pinfold('crash', 'explore', ...command);
  t.is(text.exit, 1);
  t.regex(text.stdout, /20 of 20 crash points \(flush\), 73 legal images, 48 distinct/);
  t.regex(text.stdout, /FAILURE 1: version D has 512 bytes/);
});

test('what is right passes, also after each reply, and JSON tells what the client knew', async (t) => {
  const check = `#!/bin/sh
grep -q '"version 0"' "$2" || exit 0
[ "$(head -c 1 "$1")" != '' ] || { echo 'no version at all'; exit 1; }
`;
  const { record, check: script } = rig(t, check);
  const command = ['--record', record, '--check', `${script} {image} {replies}`];
  const report = await explored(t, 0, ...command, '--points', 'reply', '--jobs', '2');
  t.true(report.exhaustive);
  t.is(report.failures.length, 0);
});

test('a checker may change the image: the next one is as it has to be', async (t) => {
  const { record, check } = rig(
    t,
    CHECK.replace(
      '#!/bin/sh\n',
      '#!/bin/sh\ntrap spoil EXIT\nspoil() { head -c 20000 /dev/urandom | dd of="$image" conv=notrunc 2>/dev/null; }\nimage=$1\n',
    ),
  );
  const report = await explored(t, 1, '--record', record, '--check', `${check} {image}`);
  t.is(report.failures.length, 1);
  t.is(report.failingImages, 12);
});

test('a stopped run tells what it has, and the next one goes on', async (t) => {
  const { folder, record, check } = rig(t);
  const go = join(folder, 'go');
  // From the 20th image on it waits for the file.
  writeFileSync(
    check,
    `#!/bin/sh
n=$(cat "${folder}/n" 2>/dev/null || echo 0); n=$((n + 1)); echo $n > "${folder}/n"
[ $n -lt 20 ] || [ -e "${go}" ] || { touch "${folder}/waits"; exec sleep 1000; }
`,
  );
  const args = ['crash', 'explore', '--record', record, '--check', `${check} {image}`];
  const running = start({}, ...args, '--jobs', '1', '--json');
  t.teardown(() => running.child.kill('SIGKILL'));
  while (!existsSync(join(folder, 'waits')))
    await new Promise((resolve) => setTimeout(resolve, 10));
  running.child.kill('SIGINT');
  const stopped = await running.ended;
  t.is(stopped.exit, 130, stopped.stderr);
  const partial = reportSchema.parse(JSON.parse(stopped.stdout));
  t.false(partial.exhaustive);
  t.true(partial.caps.includes('stopped by a signal'));
  t.is(partial.checked, 19);
  t.true(existsSync(`${record}.explore`));
  writeFileSync(go, '');
  const report = await explored(t, 0, ...args.slice(2), '--jobs', '1');
  t.true(report.exhaustive);
  t.is(report.resumed, 19);
  t.is(report.distinct, 48);
  t.is(report.checked, 48 - 19);
  t.false(existsSync(`${record}.explore`));
});

test('caps are told: points with too many images, the budget, the first failure', async (t) => {
  const wide = rig(t, CHECK, (s) => {
    s.done(8, 'D'.repeat(14));
    s.sync();
  });
  const command = ['--record', wide.record, '--check', 'test -s {image}'];
  const capped = await explored(t, 0, ...command, '--limit', '100', '--sample', '10');
  t.false(capped.exhaustive);
  t.regex(capped.caps.join(), /1 crash point with more than 100 legal images.*100 images at most/);
  t.is(capped.legalImages, String(2 ** 14 + 1));
  const budget = await explored(t, 0, ...command, '--budget', '5', '--jobs', '1', '--fresh');
  t.is(budget.checked, 5);
  t.deepEqual(budget.caps.slice(-1), ['stopped after 5 checks (--budget)']);
  const { record, check } = rig(t);
  const first = await explored(t, 1, '--record', record, '--check', `${check} {image}`, '--first');
  t.true(first.checked < 48);
  t.true(first.caps.includes('stopped at the first failure (--first)'));
});

test('checkers that hang, crash or are missing', async (t) => {
  const { record, check } = rig(t, '#!/bin/sh\nsleep 1000 & sleep 1000\n', (s) => s.done(8, 'D'));
  const hangs = ['--record', record, '--check', `${check} {image}`, '--timeout', '0.3'];
  const hung = await explored(t, 1, ...hangs);
  t.is(hung.failures[0].how, 'timed out after 0.3 s');
  writeFileSync(check, '#!/bin/sh\nkill -SEGV $$\n');
  const crashed = await explored(t, 1, '--record', record, '--check', `${check} {image}`);
  t.is(crashed.failures[0].how, 'killed by SIGSEGV');
  const missing = await pinfold(
    'crash',
    'explore',
    '--record',
    record,
    '--check',
    'no-such-checker {image}',
  );
  failsWith(t, missing, 3, 'ENOENT', /cannot be run: .*no-such-checker.*not found/);
  const blind = await pinfold('crash', 'explore', '--record', record, '--check', 'true');
  failsWith(t, blind, 2, 'EUSAGE', /looks at no image: write \{image\}/);
});

test('a checker that takes an NBD URI gets one, and may write', async (t) => {
  if (!requires(t, 'nbdcopy', 'libnbd-bin')) return;
  const { folder, record, check } = rig(t, '', versions);
  writeFileSync(
    check,
    `#!/bin/sh
nbdcopy "$1" - > ${folder}/out.$$ && nbdcopy /dev/urandom.none "$1" 2>/dev/null
head -c 1 ${folder}/out.$$ | grep -q E && head -c 15360 ${folder}/out.$$ | tail -c 512 | grep -q . && exit 0
printf spoilt > ${folder}/spoilt; nbdcopy ${folder}/whole "$1" || exit 9
exit 0
`,
  );
  writeFileSync(join(folder, 'whole'), Buffer.alloc(64 * UNIT, 1));
  const command = [
    '--record',
    record,
    '--check',
    `${check} {nbd}`,
    '--limit',
    '8',
    '--sample',
    '2',
  ];
  const report = await explored(t, 0, ...command, '--jobs', '2');
  t.is(report.failures.length, 0);
  t.true(existsSync(join(folder, 'spoilt')));
});

test('show lists the events; a recording that ends early says so', async (t) => {
  const { record } = rig(t, CHECK, versions, { cutShort: true, initial: 'a' });
  const text = await succeeds(
    t,
    'crash',
    'show',
    '--record',
    record,
    '--from',
    '20',
    '--count',
    '2',
  );
  t.regex(text, /with 512 B of data at first; 37 events; it ends early: it was not stopped/);
  t.regex(text, /21 +\d+\.\d{6} +mark 'version 2'\n +22 .* write #7 +14-15$/m);
  const json: unknown = JSON.parse(
    await succeeds(t, 'crash', 'show', '--record', record, '--json'),
  );
  const { events } = z
    .object({ events: z.array(z.object({ point: z.int(), what: z.string() })) })
    .parse(json);
  t.is(events.length, 37);
  t.like(events[0], { point: 1, what: 'write #1' });
  const beyond = await pinfold(
    'crash',
    'image',
    '--record',
    record,
    '--point',
    '99',
    '--state',
    'drop-all',
    '--output',
    '/nowhere',
  );
  failsWith(t, beyond, 3, 'EINVAL', /has points 0 to 37, not 99/);
  const odd = await pinfold(
    'crash',
    'image',
    '--record',
    record,
    '--state',
    'some',
    '--output',
    '/nowhere/x',
  );
  failsWith(t, odd, 3, 'EINVAL', /state 'some'/);
});

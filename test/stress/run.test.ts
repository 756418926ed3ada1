// Whole runs, short and small: clean rules stay clean, mainline shows what it may, and bad options
// and interruptions are answered as they should be.

import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { expectationsOf, stressProfiles } from '../../clients/stress/expectations.js';
import {
  formatReport,
  runStress,
  type StressOptions,
  type StressProgress,
  type StressReport,
} from '../../clients/stress/index.js';
import { openDisk } from '../../engine/block/disk.js';
import { profileNames } from '../../engine/profile/profiles.js';

const SMALL = { sharedFiles: 2, sharedPages: 640, frames: 1536 };
const BASE: StressOptions = {
  profile: 'best-known',
  cpus: 1,
  devices: 1,
  seconds: 3,
  seed: 1,
  size: SMALL,
};

async function rejects(t: ExecutionContext, changes: Partial<StressOptions>): Promise<string> {
  const error = await t.throwsAsync(runStress({ ...BASE, ...changes }));
  return error.message;
}

test.serial('best-known is clean', async (t) => {
  const seen: StressProgress[] = [];
  const report = await runStress(BASE, (progress) => seen.push(progress));
  t.true(report.ok, formatReport(report));
  t.deepEqual(report.findings, []);
  t.true(report.fsck.clean);
  t.true(report.operations['mmap-store'] > 0 && report.operations['dma-write'] > 0);
  t.true(report.pagesPinned > 0 && report.pagesWrittenBack > 0);
  t.true(report.verifiedCells > 64 * SMALL.sharedFiles * SMALL.sharedPages);
  t.true(seen.length >= 3);
  t.is(report.epochs, 1);
  t.deepEqual(JSON.parse(JSON.stringify(report)), report);
});

/** Runs until enough has been seen, at most a minute: how soon depends on how busy the host is. */
async function runUntil(
  changes: Partial<StressOptions>,
  enough: (progress: StressProgress) => boolean,
): Promise<StressReport> {
  const abort = new AbortController();
  const options = { ...BASE, seconds: 60, ...changes, signal: abort.signal };
  return await runStress(options, (progress) => {
    if (enough(progress)) abort.abort();
  });
}

test.serial('linux-6.12 shows H1-c, and nothing that is not in its table', async (t) => {
  const changes = { profile: 'linux-6.12', seed: 2 };
  const report = await runUntil(changes, ({ findings }) => findings > 0);
  t.true(report.ok, formatReport(report));
  const torn = report.findings.find((one) => one.hazard === 'H1-c' && one.kind === 'torn-write');
  t.truthy(torn, formatReport(report));
  t.regex(torn?.example.message ?? '', /pinned for short/);
  t.true(report.operations['long-pin-refused'] > 0);
  t.is(report.operations['long-pin'], 0);
});

test.serial('linux-5.2 ends in a BUG and goes on in a new epoch', async (t) => {
  const changes = { profile: 'linux-5.2', seed: 3 };
  const report = await runUntil(changes, ({ epoch, phase }) => epoch > 1 && phase === 'running');
  t.true(report.ok, formatReport(report));
  const names = report.findings.map((one) => `${one.hazard ?? ''} ${one.kind}`);
  t.true(names.includes('H0-a bug') && names.includes('H0-a warn'), formatReport(report));
  t.true(report.epochs > 1 && report.fsck.clean);
});

test.serial('what fsync promised under best-known is there after each crash', async (t) => {
  const report = await runStress({ ...BASE, seed: 4, crashEverySeconds: 1 });
  t.true(report.ok, formatReport(report));
  t.deepEqual(report.findings, []);
  t.true(report.epochs > 1);
});

test.serial('an abort ends the run early, which still unmounts and verifies', async (t) => {
  const abort = new AbortController();
  const report = await runStress({ ...BASE, seconds: 600, signal: abort.signal }, (progress) => {
    if (progress.operations > 0) abort.abort();
  });
  t.true(report.aborted);
  t.true(report.ok, formatReport(report));
  t.true(report.seconds < 60);
  t.true(report.fsck.runs > 0 && report.verifiedCells > 0);
});

test.serial('an abort before anything runs ends the run too', async (t) => {
  const report = await runStress({ ...BASE, seconds: 600, signal: AbortSignal.abort() });
  t.true(report.aborted && report.ok, formatReport(report));
});

test.serial('the temporary file is removed, a given one is kept', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'pinfold-run-'));
  const before = readdirSync(tmpdir()).filter((name) => name.startsWith('pinfold-stress-')).length;
  try {
    const backing = join(folder, 'disk.img');
    const report = await runStress({ ...BASE, seconds: 0.2, backing });
    t.true(report.ok, formatReport(report));
    t.deepEqual(readdirSync(folder), ['disk.img']);
    await runStress({ ...BASE, seconds: 0.2 });
    const after = readdirSync(tmpdir()).filter((name) => name.startsWith('pinfold-stress-')).length;
    t.true(after <= before);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test.serial('wrong options are named with their range', async (t) => {
  t.regex(await rejects(t, { profile: 'linux-9.9' }), /EINVAL.*linux-9\.9.*linux-6\.12/);
  t.regex(await rejects(t, { cpus: 0 }), /EINVAL.*cpus 0.*1 to 32/);
  t.regex(await rejects(t, { cpus: 33 }), /EINVAL.*cpus 33/);
  t.regex(await rejects(t, { cpus: 1.5 }), /EINVAL.*cpus 1\.5/);
  t.regex(await rejects(t, { devices: -1 }), /EINVAL.*devices -1.*0 to 16/);
  t.regex(await rejects(t, { seconds: 0 }), /EINVAL.*seconds 0/);
  t.regex(await rejects(t, { seconds: Number.NaN }), /EINVAL.*seconds/);
  t.regex(await rejects(t, { crashEverySeconds: 0 }), /EINVAL.*crashEverySeconds 0/);
  t.regex(await rejects(t, { seed: -1 }), /EINVAL.*seed -1/);
});

test.serial('a backing file that is too small, locked or no file is refused', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'pinfold-run-'));
  try {
    const small = join(folder, 'small.img');
    writeFileSync(small, new Uint8Array(8192));
    t.regex(await rejects(t, { backing: small }), /EINVAL.*small\.img has 8192 B/);
    t.regex(await rejects(t, { backing: folder }), /EINVAL.*neither a regular file/);
    t.regex(await rejects(t, { backing: join(folder, 'no', 'disk.img') }), /ENOENT/);
    const locked = openDisk(join(folder, 'locked.img'), { createBytes: 2 ** 28 });
    t.regex(await rejects(t, { backing: join(folder, 'locked.img') }), /EBUSY.*lock held by/);
    locked.close();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('each table is of a shipped profile, and each line of it has a source', (t) => {
  t.true(stressProfiles().every((name) => profileNames().includes(name)));
  t.deepEqual(expectationsOf('best-known'), []);
  t.deepEqual(expectationsOf('no such profile'), []);
  for (const profile of stressProfiles()) {
    for (const line of expectationsOf(profile)) t.regex(line.source, /kernel\.md/);
  }
});

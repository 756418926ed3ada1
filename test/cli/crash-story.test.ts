// The story of docs/crash-explorer.md: a program that forgets a flush, recorded, explored, and mended.

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { pinfold, start, succeeds, temporaryFolder } from './run.js';

const examples = new URL('../../../docs/examples/', import.meta.url).pathname;

test('the ledger of the documentation fails without its flush, and not with it', async (t) => {
  const folder = temporaryFolder(t);
  const socket = join(folder, 'ipc');
  const on = ['--socket', socket];
  const daemon = start({}, 'serve', ...on, '--disk', 'disk0,size=1M');
  t.teardown(() => daemon.child.kill('SIGKILL'));
  await daemon.shows('serving');
  const check = ['--check', `node ${examples}check-ledger.mjs {image} {replies}`];
  for (const variant of ['buggy', 'fixed']) {
    const record = join(folder, `${variant}.rec`);
    const recording = start({}, 'disk', 'record', 'disk0', '--output', record, ...on);
    t.teardown(() => recording.child.kill('SIGKILL'));
    await recording.shows('recording disk disk0');
    await promisify(execFile)('node', [`${examples}ledger.mjs`, socket, 'disk0', variant]);
    t.regex(await succeeds(t, 'disk', 'record', 'disk0', '--stop', ...on), /events of disk disk0/);
    recording.child.kill('SIGKILL');
    await succeeds(t, 'disk', 'discard', 'disk0', '--offset', '0', '--length', '1M', ...on);
    const { exit, stdout } = await pinfold('crash', 'explore', '--record', record, ...check);
    t.is(exit, variant === 'buggy' ? 1 : 0, stdout);
    t.regex(stdout, /exhaustive: every legal image of these points was checked/);
    if (variant === 'fixed') continue;
    t.regex(stdout, /FAILURE 1: value 1 counts, but is not whole/);
    t.regex(
      stdout,
      /lost: {2}write #1, sector 1[678]\n {2}kept: {2}everything else, also write #2/,
    );
    t.notRegex(stdout, /FAILURE 2/);
  }
});

// pinfold disk record, when the recording ends otherwise than by Ctrl-C.

import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { z } from 'zod';
import { start, succeeds, temporaryFolder } from './run.js';

async function recorded(t: ExecutionContext, ...more: string[]) {
  const folder = temporaryFolder(t);
  const on = ['--socket', join(folder, 'socket')];
  const daemon = start({}, 'serve', ...on, '--disk', 'd,size=1M,cache=volatile');
  t.teardown(() => daemon.child.kill('SIGKILL'));
  await daemon.shows('serving on');
  const output = join(folder, 'run.rec');
  const recording = start({}, 'disk', 'record', 'd', '--output', output, ...on, ...more);
  t.teardown(() => recording.child.kill('SIGKILL'));
  await recording.shows('recording disk d');
  return { on, recording, folder };
}

test('a recording that is stopped from elsewhere ends its command, too', async (t) => {
  const { on, recording } = await recorded(t);
  await succeeds(t, 'disk', 'write', 'd', ...on, '--input', '/etc/passwd', '--pad');
  const stopped = await succeeds(t, 'disk', 'record', 'd', '--stop', ...on, '--json');
  const { events } = z.object({ events: z.number() }).parse(JSON.parse(stopped));
  const { exit, stdout } = await recording.ended;
  t.is(exit, 0);
  t.true(events > 0);
  t.regex(stdout, new RegExp(`^${events} events of disk d recorded`));
});

test('a power cut ends the recording and its command, and the disk can be recorded again', async (t) => {
  const { on, recording, folder } = await recorded(t);
  await succeeds(t, 'disk', 'cut', 'd', ...on);
  const { exit, stderr } = await recording.ended;
  t.is(exit, 3);
  t.regex(stderr, /EIO: the recording ended before it was stopped: the power of disk d was cut/);
  const again = ['--output', join(folder, 'again.rec'), '--for', '0.1'];
  t.regex(await succeeds(t, 'disk', 'record', 'd', ...again, ...on), /^0 events of disk d/);
});

test('a recording for a time says so', async (t) => {
  const { recording } = await recorded(t, '--for', '0.5');
  const { exit, stderr } = await recording.ended;
  t.is(exit, 0);
  t.regex(stderr, /for 0\.5 s/);
});

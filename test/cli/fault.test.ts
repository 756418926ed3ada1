// pinfold disk fault, and faults of pinfold serve.

import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { z } from 'zod';
import { failsWith, pinfold, start, succeeds, temporaryFolder } from './run.js';

async function serve(t: ExecutionContext, ...more: string[]) {
  const on = ['--socket', join(temporaryFolder(t), 'ipc')];
  const running = start({}, 'serve', ...on, '--disk', 'd,size=1M', ...more);
  t.teardown(() => running.child.kill('SIGKILL'));
  await running.shows('serving on');
  return { on, running };
}

test('a layer is added, fires, is listed with its last firings, and cleared', async (t) => {
  const { on } = await serve(t);
  const fault = (...args: string[]) => succeeds(t, 'disk', 'fault', ...args, ...on);
  t.is(await fault('list', 'd'), 'd has no fault layers\n');
  const added: unknown = JSON.parse(
    await fault('add', 'd', 'error,op=read,nth=2,seed=9', '--json'),
  );
  t.deepEqual(added, { disk: 'd', id: 1, fault: 'error,errno=EIO,op=read,nth=2,seed=9' });
  t.regex(
    await fault('add', 'd', 'bit-rot,rate=0', '--before', '1'),
    /^layer 2 of d: bit-rot,rate=0,seed=\d+\n$/,
  );
  const read = ['disk', 'read', 'd', '--length', '512', '--hex', ...on];
  await succeeds(t, ...read);
  failsWith(t, await pinfold(...read), 3, 'EIO', /the disk says EIO/);
  t.is(await fault('wait', 'd', '1'), 'layer 1 of d has fired once\n');
  const { layers } = z
    .strictObject({
      disk: z.literal('d'),
      layers: z.array(
        z.strictObject({
          id: z.number(),
          fault: z.string(),
          outside: z.boolean(),
          seen: z.number(),
          fired: z.number(),
          last: z.array(z.string()),
        }),
      ),
    })
    .parse(JSON.parse(await fault('list', 'd', '--json')));
  t.deepEqual(
    layers.map(({ id, outside, seen, fired }) => [id, outside, seen, fired]),
    [
      [2, true, 2, 0],
      [1, false, 2, 1],
    ],
  );
  t.deepEqual(layers.at(1)?.last, ['request 2, read of 512 bytes at 0: failed with EIO']);
  const listed = await fault('list', 'd');
  t.regex(
    listed,
    /^ID +SEEN +FIRED +FAULT\n +2 +2 +0 +bit-rot.*\n +1 +2 +1 +error.*\nlayer 1: request 2, read/,
  );
  t.regex(await succeeds(t, 'disk', 'list', ...on), /memory +bit-rot, error/);
  t.regex(await succeeds(t, 'status', ...on), /memory; bit-rot,rate=0,.*; error,errno=EIO/);
  t.is(await fault('clear', 'd', '2'), '1 fault layer of d cleared\n');
  t.deepEqual(JSON.parse(await fault('clear', 'd', '--json')), { disk: 'd', cleared: 1 });
});

test('a wait gives up after its timeout, and ends with 130 at Ctrl-C', async (t) => {
  const { on } = await serve(t, '--fault', 'd,error');
  const wait = ['disk', 'fault', 'wait', 'd', '1', ...on];
  const late = await pinfold(...wait, '--times', '2', '--timeout', '0.1');
  failsWith(t, late, 3, 'ETIMEDOUT', /layer 1 of d has not fired 2 times within 0\.1 seconds/);
  const stopped = start({}, ...wait);
  t.teardown(() => stopped.child.kill('SIGKILL'));
  const seen = async () => {
    const counters = z.object({ counters: z.object({ clients: z.number() }) });
    const status = await succeeds(t, 'status', ...on, '--json');
    return counters.parse(JSON.parse(status)).counters.clients;
  };
  while ((await seen()) < 2); // status itself, and the one that waits
  stopped.child.kill('SIGINT');
  const { exit, stderr } = await stopped.ended;
  t.is(exit, 130, stderr);
  const gone = await pinfold('disk', 'fault', 'wait', 'd', '2', ...on);
  failsWith(t, gone, 3, 'ENOENT', /disk d has no fault layer 2; it has 1/);
});

test('serve takes layers, tells their seeds, and refuses bad ones as usage errors', async (t) => {
  const { on, running } = await serve(
    t,
    '--fault',
    'd,error,op=write',
    '--fault',
    'd,delay,mean=1us,seed=3',
  );
  t.regex(
    await running.shows('seed=3'),
    /fault layer of d: error,errno=EIO,op=write,seed=\d+\nfault layer of d: delay,mean=1us,.*seed=3\n/,
  );
  const write = await pinfold('disk', 'discard', 'd', '--offset', '0', '--length', '512', ...on);
  t.is(write.exit, 0, 'a discard is no write');
  const refused = async (fault: string, says: RegExp) => {
    const socket = join(temporaryFolder(t), 'ipc');
    const disk = ['--disk', 'd,size=1M'];
    const run = await pinfold('serve', '--socket', socket, ...disk, '--fault', fault);
    failsWith(t, run, 2, 'EUSAGE', says);
  };
  await refused('e,error', /--fault e,error: no disk is named e/);
  await refused('d,error,op=wirte', /disks\.0\.faults\.0 .*op is "wirte": expected read, write/);
});

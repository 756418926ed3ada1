// What a thread says about itself to the kernel, read back from /proc.

import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import test from 'ava';
import { z } from 'zod';
import { pinThread, setTimerSlack, threadId } from '../../native/index.js';
import { nextEvent, refuses, startWorker } from './surroundings.js';

const Report = z.object({
  threadId: z.number(),
  slack: z.string(),
  cpus: z.string(),
});

test('a worker is a thread of its own, with its own slack and processors', async (t) => {
  const [cpu = 0] = (
    /^Cpus_allowed_list:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
  )
    .slice(1)
    .map(Number);
  const worker = startWorker('describe-thread', { slackNs: 1234, cpus: [cpu] });
  const message = await nextEvent(worker, 'message');
  const report = Report.parse(message);
  t.is(threadId(), process.pid);
  t.not(report.threadId, process.pid);
  t.is(report.cpus, String(cpu));
  t.is(report.slack, '1234');
  t.not(readFileSync(`/proc/${process.pid}/timerslack_ns`, 'utf8').trim(), '1234');
  await once(worker, 'exit');
  t.false(existsSync(`/proc/self/task/${report.threadId}`));
});

test('wrong slacks and processors are refused', (t) => {
  for (const slack of [0, -1, 1.5, Number.NaN, 2 ** 32]) {
    refuses(t, 'EINVAL', `slackNs is ${slack}`, () => setTimerSlack(slack));
  }
  for (const cpu of [-1, 1.5, Number.NaN, 1024]) {
    refuses(t, 'EINVAL', `cpu is ${cpu}`, () => pinThread([cpu]));
  }
  refuses(t, 'EINVAL', 'available', () => pinThread([]));
  refuses(t, 'EINVAL', 'available', () => pinThread([1023]));
});

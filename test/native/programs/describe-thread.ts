// A worker that sets its timer slack and processors, and posts what /proc says about it then.

import { readFileSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { z } from 'zod';
import { pinThread, setTimerSlack, threadId } from '../../../native/index.js';

const { slackNs, cpus } = z
  .object({ slackNs: z.number(), cpus: z.array(z.number()) })
  .parse(workerData);
setTimerSlack(slackNs);
pinThread(cpus);
const status = readFileSync(`/proc/self/task/${threadId()}/status`, 'utf8');
parentPort?.postMessage({
  threadId: threadId(),
  slack: readFileSync(`/proc/${threadId()}/timerslack_ns`, 'utf8').trim(),
  cpus: /^Cpus_allowed_list:\s+(\S+)$/m.exec(status)?.at(1),
});

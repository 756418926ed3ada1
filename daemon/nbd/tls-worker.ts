// The thread that does TLS for the NBD server, on an event loop: started only if TLS is configured.

import { parentPort, workerData } from 'node:worker_threads';
import { z } from 'zod';
import { COUNTER, NbdCounters } from './counters.js';
import { TlsBridge } from './tls-bridge.js';
import {
  handOverSchema,
  leaveSchema,
  type TlsFailure,
  tlsWorkerDataSchema,
} from './tls-messages.js';

const { credentials, handOvers, counters, sockets } = tlsWorkerDataSchema.parse(workerData);
const counted = new NbdCounters(counters);
const owned = new Int32Array(sockets);

const bridge = new TlsBridge(credentials, {
  failed: (reason) => {
    counted.add(COUNTER.nbdTlsFailures, 1);
    parentPort?.postMessage({ failed: reason } satisfies TlsFailure);
  },
  closed: () => Atomics.sub(owned, 0, 1),
});
const messageSchema = z.union([handOverSchema, leaveSchema]);
handOvers.on('message', (message: unknown) => {
  const word = messageSchema.parse(message);
  if ('left' in word) bridge.leave(word.left);
  else bridge.take(word);
});

// Bytes of every kind on the socket of the NBD server, judged by a reference that knows the specification only.

import { readdirSync } from 'node:fs';
import test from 'ava';
import fc from 'fast-check';
import { fuzzCases } from './fuzz/client-bytes.js';
import { FuzzedServer } from './fuzz/peer.js';

const CASES = 100_000;
const KEPT_BYTES_MAX = 64 * 2 ** 20;

test('whatever a client sends, it gets right answers or the end, and nothing is kept', (t) => {
  t.timeout(600_000);
  const server = new FuzzedServer();
  const descriptors = readdirSync('/proc/self/fd').length;
  const seed = Number(process.env['PINFOLD_FUZZ_SEED'] ?? Date.now() % 2 ** 31);
  t.log(`seed ${seed}`);
  fc.assert(
    fc.property(fuzzCases, (fuzzed) => server.run(fuzzed)),
    { numRuns: CASES, seed },
  );
  t.is(readdirSync('/proc/self/fd').length, descriptors);
  t.true(process.memoryUsage().external < KEPT_BYTES_MAX);
  server.close();
});

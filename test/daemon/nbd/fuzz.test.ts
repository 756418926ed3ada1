// Bytes of every kind on the socket of the NBD server, judged by a reference that knows the specification only. The
// campaign nbd-fuzz replays what fails here.

import { readdirSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import test from 'ava';
import fc from 'fast-check';
import { fuzzCases } from './fuzz/client-bytes.js';
import { FuzzedServer } from './fuzz/peer.js';

const ROUNDS = 20;
const CASES = 5000;
const GROWTH_BYTES_MAX = 256 * 2 ** 20;

test('whatever a client sends, it gets right answers or the end, and nothing is kept', async (t) => {
  t.timeout(600_000);
  const server = new FuzzedServer();
  const property = fc.property(fuzzCases, (fuzzed) => server.run(fuzzed));
  const first = Date.now() % 2 ** 31;
  t.log(`seeds ${first} to ${first + ROUNDS - 1}, ${CASES} cases each`);
  fc.assert(property, { numRuns: CASES, seed: first });
  const descriptors = readdirSync('/proc/self/fd').length;
  const before = process.memoryUsage.rss();
  for (let seed = first + 1; seed < first + ROUNDS; seed++) {
    fc.assert(property, { numRuns: CASES, seed });
    await setImmediate();
  }
  t.is(readdirSync('/proc/self/fd').length, descriptors);
  const grown = process.memoryUsage.rss() - before;
  t.true(grown < GROWTH_BYTES_MAX, `${grown} bytes are kept`);
  server.close();
});

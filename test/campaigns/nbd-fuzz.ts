// A campaign: bytes of every kind on the socket of the NBD server, in this process, judged by a reference of the
// specification. The tests run a hundred thousand cases of it.
//
//   npm run campaign:nbd-fuzz [CASES] [SEED]     CASES: 1,000,000; SEED: a new one
//   npm run campaign:nbd-fuzz CASES SEED PATH    PATH: replays a failure, as it was printed

import { readdirSync } from 'node:fs';
import fc from 'fast-check';
import { fuzzCases } from '../daemon/nbd/fuzz/client-bytes.js';
import { FuzzedServer } from '../daemon/nbd/fuzz/peer.js';

const CASES = 1_000_000;
const PROGRESS_CASES = 100_000;

const numRuns = Number(process.argv.at(2) ?? CASES);
const seed = Number(process.argv.at(3) ?? Date.now() % 2 ** 31);
const path = process.argv.at(4);
const server = new FuzzedServer();
let cases = 0;
const started = performance.now();

function sum(): string {
  const seconds = (performance.now() - started) / 1000;
  const { external, rss } = process.memoryUsage();
  const fds = readdirSync('/proc/self/fd').length;
  const memory = `rss ${Math.round(rss / 2 ** 20)} MiB, buffers ${Math.round(external / 2 ** 20)} MiB`;
  return `${cases} cases in ${seconds.toFixed(0)} s, ${memory}, ${fds} descriptors`;
}

console.log(`${numRuns} cases, seed ${seed}`);
const property = fc.property(fuzzCases, (fuzzed) => {
  server.run(fuzzed);
  if (++cases % PROGRESS_CASES === 0) console.log(sum());
});
const result = fc.check(property, { numRuns, seed, ...(path === undefined ? {} : { path }) });
if (result.failed) {
  console.log(`FAILED: ${result.errorInstance instanceof Error ? result.errorInstance.stack : ''}`);
  console.log(`the smallest case: ${JSON.stringify(result.counterexample?.at(0))}`);
  console.log(
    `again: npm run campaign:nbd-fuzz ${numRuns} ${seed} ${result.counterexamplePath ?? ''}`,
  );
  process.exitCode = 1;
} else {
  console.log(`passed: ${sum()}`);
}
server.close();

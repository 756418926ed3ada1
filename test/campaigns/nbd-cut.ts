// A campaign: the power of a disk with a volatile cache is cut while four clients in several threads write to it, again and
// again. Whatever any of them has flushed has to be there, and no sector is torn.
//
//   npm run campaign:nbd-cut [ROUNDS] [SEED]     ROUNDS: 500; SEED: a new one

import { cutRounds } from '../daemon/nbd/cut-rounds.js';

const rounds = Number(process.argv.at(2) ?? 500);
const seed = Number(process.argv.at(3) ?? Date.now() % 2 ** 31);
const ends: (() => Promise<void> | void)[] = [];
console.log(`${rounds} rounds, seed ${seed}`);
try {
  const teardown = (end: () => Promise<void> | void): void => void ends.push(end);
  const { replies, flushes, lost } = await cutRounds({ teardown }, rounds, seed, console.log);
  console.log(
    `passed: ${rounds} rounds, ${replies} replies, ${flushes} flushes, ${lost} lost units`,
  );
} catch (error) {
  console.log(`FAILED: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  for (const end of ends.reverse()) await end();
}

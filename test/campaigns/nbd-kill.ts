// A campaign: kill -9 of a daemon that four clients write to, again and again on the same image, each time after a number
// of replies. Whatever was replied to has to be in the image, and no sector is torn.
//
//   npm run campaign:nbd-kill [ROUNDS] [SEED] [CACHE]     ROUNDS: 100; SEED: a new one
//
// With CACHE `volatile`, the disk has a volatile cache: only what was flushed has to be there.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { killRounds } from '../daemon/nbd/kill-rounds.js';

const rounds = Number(process.argv.at(2) ?? 100);
const seed = Number(process.argv.at(3) ?? Date.now() % 2 ** 31);
const cache = process.argv.at(4) === 'volatile' ? 'volatile' : undefined;
const folder = mkdtempSync(join(tmpdir(), 'pinfold-campaign-'));
const ends: (() => Promise<void> | void)[] = [];
console.log(`${rounds} rounds, seed ${seed}`);
try {
  const teardown = (end: () => Promise<void> | void): void => void ends.push(end);
  const result = await killRounds({ teardown }, folder, rounds, seed, {
    report: console.log,
    ...(cache === undefined ? {} : { cache }),
  });
  console.log(
    `passed: ${result.rounds} rounds, ${result.replies} replies, ${result.flushes} flushes`,
  );
} catch (error) {
  console.log(`FAILED: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  for (const end of ends) await end();
  rmSync(folder, { recursive: true, force: true });
}

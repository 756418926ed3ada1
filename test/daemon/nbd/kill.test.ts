// kill -9 of the daemon under load; the campaign has a hundred rounds.

import test from 'ava';
import { temporaryFolder } from '../../support/test-daemon.js';
import { killRounds } from './kill-rounds.js';

test('kill -9 loses nothing that was replied to, and tears no sector', async (t) => {
  const seed = Date.now() % 2 ** 31;
  t.log(`seed ${seed}`);
  const { replies } = await killRounds(t, temporaryFolder(t), 5, seed);
  t.true(replies >= 5);
});

test('kill -9 of a disk with a volatile cache loses nothing that was flushed', async (t) => {
  const seed = Date.now() % 2 ** 31;
  t.log(`seed ${seed}`);
  const { replies } = await killRounds(t, temporaryFolder(t), 3, seed, { cache: 'volatile' });
  t.true(replies >= 3);
});

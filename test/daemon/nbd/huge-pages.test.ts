// Huge pages for a disk in memory: what large WRITEs go to again and again gets them, without a client noticing.

import test from 'ava';
import { HUGE_WORTH_BYTES } from '../../../daemon/nbd/limits.js';
import { COMMAND, ERROR } from '../../../daemon/nbd/protocol.js';
import { Arena, createMemory, HUGE_PAGE_BYTES } from '../../../native/index.js';
import { hugeBytes, memfdBytes } from '../../support/memfd.js';
import { RawClient, startNbd } from './raw-client.js';

const DISK = 'huge-test';
const NAME = `pinfold-disk-${DISK}`;
const MIB = 2 ** 20;
const SIZE = 8 * MIB;

function hostHasThem(): boolean {
  const memory = createMemory(HUGE_PAGE_BYTES);
  const arena = new Arena(memory.segments.map((segment) => new Uint8Array(segment)));
  arena.write(0, new Uint8Array(HUGE_PAGE_BYTES).fill(1), 0, HUGE_PAGE_BYTES);
  const has = arena.collapse(0, HUGE_PAGE_BYTES);
  memory.close();
  return has;
}

test('what is written again and again lies in huge pages, what was never written has no memory', async (t) => {
  if (!hostHasThem()) {
    t.log('SKIPPED: this kernel has no MADV_COLLAPSE, or no huge page is free');
    t.pass();
    return;
  }
  const { socket } = await startNbd(t, '/tmp', {}, [{ name: DISK, size: SIZE }]);
  const client = await RawClient.attach(t, socket, DISK);
  const does = async (type: number, at: number, length: number, fill = 0): Promise<void> => {
    client.request(
      type,
      at,
      length,
      0,
      type === COMMAND.WRITE ? Buffer.alloc(length, fill) : undefined,
    );
    t.is(await client.simple(), ERROR.NONE);
  };
  // The first part as a whole; of the second one all but a page. After attempts in vain it takes more of them.
  let times = 0;
  while (hugeBytes(NAME) === 0 && times < (16 * HUGE_WORTH_BYTES) / HUGE_PAGE_BYTES) {
    times++;
    await does(COMMAND.WRITE, 0, HUGE_PAGE_BYTES, times);
    for (let twice = 0; twice < 2; twice++) {
      await does(COMMAND.WRITE, HUGE_PAGE_BYTES + 4096, HUGE_PAGE_BYTES - 4096, times);
    }
  }
  t.is(hugeBytes(NAME), HUGE_PAGE_BYTES);
  t.is(memfdBytes(NAME), 2 * HUGE_PAGE_BYTES - 4096);
  await does(COMMAND.READ, 0, 2 * HUGE_PAGE_BYTES);
  const bytes = await client.read(2 * HUGE_PAGE_BYTES);
  const expected = Buffer.alloc(2 * HUGE_PAGE_BYTES, times);
  expected.fill(0, HUGE_PAGE_BYTES, HUGE_PAGE_BYTES + 4096);
  t.true(bytes.equals(expected));
  // A part of it gives its memory back, and reads as zeroes.
  await does(COMMAND.TRIM, 4096, MIB);
  t.is(memfdBytes(NAME), 2 * HUGE_PAGE_BYTES - 4096 - MIB);
  await does(COMMAND.READ, 0, HUGE_PAGE_BYTES);
  t.true(
    (await client.read(HUGE_PAGE_BYTES)).equals(
      expected.fill(0, 4096, 4096 + MIB).subarray(0, HUGE_PAGE_BYTES),
    ),
  );
});

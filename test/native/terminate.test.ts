// Workers that are terminated in the middle of calls, and memory that changes under a call: nothing crashes or hangs.

import { once } from 'node:events';
import { createServer, Socket } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import {
  Arena,
  closeDescriptor,
  connectUnix,
  createMemory,
  NativeError,
} from '../../native/index.js';
import {
  collectsUntil,
  nextEvent,
  openDescriptors,
  PAGE_BYTES,
  startWorker,
  temporaryFile,
  temporaryFolder,
} from './surroundings.js';

const SEGMENTS = 4;

function sharedWords(): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(8));
}

/** Resolves when the worker has counted further than `count` in the first word. */
async function counts(words: Int32Array, count: number): Promise<void> {
  while (Atomics.load(words, 0) <= count) await new Promise(setImmediate);
}

for (const activity of ['transfer', 'fail', 'make-memory', 'make-arena'] as const) {
  test.serial(`a worker can be terminated while it does this in a loop: ${activity}`, async (t) => {
    const memory = createMemory(SEGMENTS * PAGE_BYTES, { segmentBytes: PAGE_BYTES });
    const { fd } = temporaryFile(t);
    for (let round = 0; round < 8; round++) {
      const words = sharedWords();
      const worker = startWorker('call-for-ever', {
        activity,
        words: words.buffer,
        segments: memory.segments,
        fd,
      });
      await counts(words, 100 * round);
      t.is(await worker.terminate(), 1);
      const count = Atomics.load(words, 0);
      await new Promise(setImmediate);
      t.is(Atomics.load(words, 0), count);
    }
    memory.close();
  });
}

test.serial('a worker can be terminated while it loads the addon', async (t) => {
  for (let round = 0; round < 10; round++) {
    const words = sharedWords();
    const worker = startWorker('load-late', { words: words.buffer });
    await counts(words, 0);
    // The worker spins on the second word, then loads: let it run a little further each time.
    Atomics.store(words, 1, 1);
    for (let turn = 0; turn < round * 20; turn++) await new Promise(setImmediate);
    await worker.terminate();
  }
  t.pass();
});

test.serial(
  'a worker that waits for descriptors ends at once, and closes its duplicate',
  async (t) => {
    const path = join(temporaryFolder(t), 'socket');
    const server = createServer(() => undefined).listen(path);
    await once(server, 'listening');
    const connected = nextEvent(server, 'connection');
    const fd = connectUnix(path);
    const peer = await connected;
    const before = openDescriptors();
    for (let round = 0; round < 5; round++) {
      const words = sharedWords();
      const worker = startWorker('receive-for-ever', { words: words.buffer, fd });
      await counts(words, 0);
      t.true(openDescriptors() > before);
      t.is(await worker.terminate(), 1);
    }
    t.true(await collectsUntil(() => openDescriptors() <= before));
    closeDescriptor(fd);
    if (peer instanceof Socket) peer.destroy();
    server.close();
  },
);

test.serial(
  'ranges that another thread changes during the call are refused or used, never followed',
  async (t) => {
    const memory = createMemory(SEGMENTS * PAGE_BYTES, { segmentBytes: PAGE_BYTES });
    const arena = new Arena(memory.segments.map((segment) => new Uint8Array(segment)));
    memory.close();
    const { fd } = temporaryFile(t);
    const words = sharedWords();
    const iov = new Float64Array(new SharedArrayBuffer(2 * 200 * 8));
    const worker = startWorker('spoil-ranges', { words: words.buffer, iov: iov.buffer });
    await counts(words, 0);
    const outcomes = { transferred: 0, refused: 0 };
    for (let round = 0; round < 1_000_000; round++) {
      try {
        const moved =
          round % 2 === 0 ? arena.pwritev(fd, iov, 200, 0) : arena.preadv(fd, iov, 200, 0);
        t.true(moved <= 200 * SEGMENTS * PAGE_BYTES);
        outcomes.transferred++;
      } catch (error) {
        if (!(error instanceof NativeError) || error.code !== 'EINVAL') throw error;
        outcomes.refused++;
      }
      if (outcomes.transferred > 1000 && outcomes.refused > 1000) break;
    }
    t.true(outcomes.transferred > 1000);
    t.true(outcomes.refused > 1000);
    await worker.terminate();
  },
);

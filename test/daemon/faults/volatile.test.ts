// Fault layers over a volatile write cache: what they do is kept, lost and cut like anything else that was written.

import test, { type ExecutionContext } from 'ava';
import { parseFault } from '../../../daemon/faults/spec.js';
import { FileDisk } from '../../../daemon/file-disk.js';
import { MemoryDisk } from '../../../daemon/memory-disk.js';
import { NbdServer } from '../../../daemon/nbd/server.js';
import { ServedDisk } from '../../../daemon/served-disk.js';
import { temporaryFolder } from '../../support/test-daemon.js';

const MIB = 2 ** 20;
const KIB = 1024;
const never = new AbortController().signal;

async function volatileDisk(t: ExecutionContext, kind: string) {
  const plain =
    kind === 'memory'
      ? new MemoryDisk('d', MIB)
      : FileDisk.open('d', `${temporaryFolder(t)}/disk.img`, MIB);
  const disk = new ServedDisk(plain, { unitBytes: 512, atomicBytes: 0, versionBytes: MIB });
  const server = await NbdServer.start(undefined, [disk], [], (error) => {
    throw error;
  });
  disk.thread = server;
  t.teardown(async () => {
    await server.close();
    await disk.close();
  });
  return {
    disk,
    fault: async (text: string) => await disk.faults.add(parseFault(text, 'test'), null),
    write: async (offset: number, length: number, fill: number, fua = false) => {
      await disk.write(offset, Buffer.alloc(length, fill), fua, never);
    },
    read: async (offset: number, length: number): Promise<Buffer> => {
      const target = Buffer.alloc(length);
      await disk.read(offset, target, never);
      return target;
    },
  };
}

for (const kind of ['memory', 'file']) {
  test(`${kind}: what a lying flush or FUA has acknowledged does not survive a cut`, async (t) => {
    const { disk, fault, read, write } = await volatileDisk(t, kind);
    await write(0, 4 * KIB, 1);
    await disk.flush(never);
    await fault('lying-flush');
    await write(0, 4 * KIB, 2);
    await disk.flush(never);
    await write(8 * KIB, 4 * KIB, 2, true);
    t.deepEqual(await read(0, 4 * KIB), Buffer.alloc(4 * KIB, 2));
    await disk.cut('drop-all');
    t.deepEqual(await read(0, 4 * KIB), Buffer.alloc(4 * KIB, 1));
    t.deepEqual(await read(8 * KIB, 4 * KIB), Buffer.alloc(4 * KIB, 0));
    await disk.faults.clear(null);
    await write(0, 4 * KIB, 3);
    await disk.flush(never);
    await disk.cut('drop-all');
    t.deepEqual(await read(0, 4 * KIB), Buffer.alloc(4 * KIB, 3));
  });

  test(`${kind}: a torn, a misdirected and a rotten write over the cache`, async (t) => {
    const { disk, fault, read, write } = await volatileDisk(t, kind);
    await write(0, 64 * KIB, 1);
    await fault('torn-write,unit=64,keep=first');
    await write(0, 32 * KIB, 2);
    const torn = await read(0, 64 * KIB);
    const kept = torn.lastIndexOf(2) + 1;
    t.true(kept > 0 && kept < 32 * KIB && kept % 64 === 0, `${kept}`);
    t.true(torn.subarray(0, kept).every((byte) => byte === 2));
    t.true(torn.subarray(kept).every((byte) => byte === 1));
    await disk.faults.clear(null);
    await fault('misdirected-write,shift=256K');
    await write(512, 100 * KIB, 3);
    await disk.faults.clear(null);
    t.deepEqual(await read(256 * KIB + 512, 100 * KIB), Buffer.alloc(100 * KIB, 3));
    t.deepEqual(await read(0, 64 * KIB), torn);
    await fault('stuck-bits,rate=1,value=1,range=40K-41K,seed=5');
    const spoiled = await read(0, 64 * KIB);
    const wrong = [...spoiled.keys()].filter((i) => spoiled[i] !== torn[i]);
    t.deepEqual(
      wrong.map((at) => Math.floor(at / 512)),
      [80, 81],
    );
    await disk.flush(never);
    await disk.cut('drop-all');
    t.deepEqual(await read(0, 64 * KIB), spoiled);
    await disk.faults.clear(null);
    t.deepEqual(await read(0, 64 * KIB), torn);
  });
}

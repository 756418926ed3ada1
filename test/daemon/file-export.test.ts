// A file of a volume as an export, without NBD: bytes, holes, sizes, what other clients of the volume see, and errors.

import { randomBytes } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { join } from 'node:path';
import test from 'ava';
import pino from 'pino';
import type { ExportConfig } from '../../daemon/config.js';
import { exportGate, FileExport } from '../../daemon/file-export.js';
import type { FileHandle, MachineService } from '../../daemon/machine-service.js';
import { openVolumeService } from '../../daemon/volume-service.js';
import { openDisk } from '../../engine/block/disk.js';
import { mkfs } from '../../engine/fs/mkfs.js';
import { MemoryVolume } from '../support/memory-volume.js';
import { type Test, temporaryFolder } from '../support/test-daemon.js';

const MIB = 2 ** 20;
const PAGE = 4096;
const MEMORY = 4 * MIB;
const never = new AbortController().signal;
setMaxListeners(0, never);

const OPEN = { create: true, exclusive: false, truncate: false, writable: true, direct: false };

interface Rig {
  readonly service: MachineService;
  readonly open: (config?: Partial<ExportConfig>) => Promise<FileExport>;
  /** The file as another client of the volume has it open. */
  readonly other: (path?: string) => Promise<FileHandle>;
}

async function startRig(t: Test, profile = 'best-known', sizeBytes = 32 * MIB): Promise<Rig> {
  const path = join(temporaryFolder(t), 'volume.img');
  const disk = openDisk(path, { createBytes: sizeBytes });
  mkfs(disk);
  disk.close();
  const config = { name: 'v', path, profile, memory: MEMORY, lockdep: true };
  const service = await openVolumeService(config, pino({ level: 'silent' }));
  const opened: { close: () => Promise<void> }[] = [service];
  t.teardown(async () => {
    for (const each of opened.reverse()) await each.close();
  });
  const gate = exportGate(MEMORY);
  return {
    service,
    open: async (more = {}) => {
      const config = { name: 'e', volume: 'v', file: '/f', size: MIB, ...more };
      const exported = await FileExport.open(config, service, gate);
      opened.push(exported);
      return exported;
    },
    other: async (file = '/f') => {
      const session = await service.newSession('other');
      opened.push(session);
      return await session.open(file, { ...OPEN, mode: 0o644 }, never);
    },
  };
}

async function read(exported: FileExport, offset: number, length: number): Promise<Buffer> {
  const target = Buffer.alloc(length);
  await exported.read(offset, target, never);
  return target;
}

for (const profile of ['best-known', 'linux-6.12', 'linux-2.6.19', 'linux-6.12+P11-page-lock']) {
  test.serial(
    `under ${profile}, an export and other clients of the volume see one file`,
    async (t) => {
      const { open, other, service } = await startRig(t, profile);
      const exported = await open();
      const file = await other();
      t.is((await file.stat(never)).sizeBytes, MIB);
      const data = randomBytes(300_000);
      await exported.write(5000, data, never);
      const seen = Buffer.alloc(data.length);
      await file.pread(5000, seen, never);
      t.true(seen.equals(data));
      await file.pwrite(100_001, Buffer.from('of a client'), never);
      t.is((await read(exported, 100_001, 11)).toString(), 'of a client');
      const mapping = await file.map(0, MIB, true, never);
      await mapping.store(200_002, Buffer.from('of its memory'), never);
      t.is((await read(exported, 200_002, 13)).toString(), 'of its memory');
      await exported.flush(never);
      const { pinsAcquired, pinsReleased } = service.statistics();
      t.is(pinsAcquired, pinsReleased);
      t.deepEqual(service.findings().kept, []);
    },
  );
}

for (const rule of ['P3-skip', 'P7-bounce', 'P10-no-gup-under-writeback']) {
  test.serial(`more is dirtied than may be, under linux-6.12 with ${rule}`, async (t) => {
    const { open } = await startRig(t, `linux-6.12+${rule}`);
    const exported = await open({ size: 16 * MIB });
    const parts = Array.from({ length: 16 }, () => randomBytes(MIB));
    await Promise.all(parts.map(async (part, i) => await exported.write(i * MIB, part, never)));
    const back = await Promise.all(parts.map(async (_, i) => await read(exported, i * MIB, MIB)));
    t.true(back.every((each, i) => each.equals(parts[i])));
  });
}

test.serial(
  'more than the memory of the machine, and more windows than are mapped at a time',
  async (t) => {
    const { open } = await startRig(t);
    const exported = await open({ size: 512 * MIB });
    const parts = Array.from({ length: 40 }, () => randomBytes(150_000));
    const at = (i: number): number => i * 12 * MIB + 8 * MIB - 70_000;
    await Promise.all(parts.map(async (part, i) => await exported.write(at(i), part, never)));
    const back = await Promise.all(
      parts.map(async (part, i) => await read(exported, at(i), part.length)),
    );
    t.true(back.every((each, i) => each.equals(parts[i])));
  },
);

test.serial('many requests on few pages, all at a time', async (t) => {
  const { open } = await startRig(t);
  const exported = await open({ size: 64 * PAGE });
  await Promise.all(
    Array.from({ length: 200 }, async (_, i) => {
      const data = Buffer.alloc(PAGE, i);
      await exported.write((i % 64) * PAGE, data, never);
      if (i % 8 === 0) await exported.flush(never);
    }),
  );
  for (let page = 0; page < 64; page++) {
    const found = await read(exported, page * PAGE, PAGE);
    t.true([...found].every((byte) => byte === found[0] && byte % 64 === page % 64));
  }
});

test.serial('holes, pages that have no block yet, and data are told apart', async (t) => {
  const { open } = await startRig(t);
  const exported = await open();
  const extents = async (offset: number, length: number, max = 10) =>
    (await exported.extents(offset, length, max, never)).map((each) => [
      each.lengthBytes,
      each.data,
    ]);
  t.deepEqual(await extents(0, MIB), [[MIB, false]]);
  await exported.write(8 * PAGE + 1, Buffer.from('x'), never);
  const one = [
    [8 * PAGE, false],
    [PAGE, true],
    [MIB - 9 * PAGE, false],
  ];
  t.deepEqual(await extents(0, MIB), one, 'only in the cache');
  await exported.flush(never);
  t.deepEqual(await extents(0, MIB), one, 'on the disk');
  await read(exported, 0, MIB);
  t.deepEqual(await extents(0, MIB), one, 'zeroes that were read are no data');
  t.deepEqual(await extents(8 * PAGE + 100, 10), [[PAGE - 100, true]]);
  t.deepEqual(await extents(0, MIB, 2), one.slice(0, 2));
  await exported.zero(8 * PAGE, PAGE, false, never);
  t.deepEqual(await extents(0, MIB), [[MIB, false]]);
  await exported.zero(PAGE + 5, 2 * PAGE, true, never);
  t.deepEqual((await extents(0, 5 * PAGE)).at(1), [3 * PAGE, true]);
});

test.serial('zeroes and holes read as zeroes, and leave what is around them', async (t) => {
  const { open } = await startRig(t);
  const exported = await open();
  for (const keepBlocks of [true, false]) {
    const data = randomBytes(20 * PAGE);
    await exported.write(0, data, never);
    await exported.zero(777, 9 * PAGE, keepBlocks, never);
    data.fill(0, 777, 777 + 9 * PAGE);
    t.true((await read(exported, 0, data.length)).equals(data));
  }
});

test.serial('a file of any size, also one that lies in its inode', async (t) => {
  const { open, other } = await startRig(t);
  const text = Buffer.from('a small file');
  await (await other('/small')).pwrite(0, text, never);
  const exported = await open({ file: '/small', size: undefined });
  t.is(exported.sizeBytes, text.length);
  t.true((await read(exported, 0, text.length)).equals(text));
  await exported.write(2, Buffer.from('SMALL'), never);
  await exported.flush(never);
  t.is((await read(exported, 0, text.length)).toString(), 'a SMALL file');
});

test.serial(
  'a file that another client cuts: what is gone is EIO, and comes back with its size',
  async (t) => {
    const { open, other } = await startRig(t);
    const exported = await open();
    const file = await other();
    const data = randomBytes(MIB);
    await exported.write(0, data, never);
    await file.truncate(10 * PAGE + 100, never);
    t.true((await read(exported, 0, 10 * PAGE + 100)).equals(data.subarray(0, 10 * PAGE + 100)));
    const gone: readonly (readonly [string, () => Promise<unknown>])[] = [
      ['read across the end', async () => await read(exported, 10 * PAGE, 101)],
      ['read behind it', async () => await read(exported, 20 * PAGE, PAGE)],
      [
        'write across the end',
        async () => await exported.write(10 * PAGE + 99, Buffer.from('xy'), never),
      ],
      ['write behind it', async () => await exported.write(20 * PAGE, Buffer.from('x'), never)],
      ['zero', async () => await exported.zero(20 * PAGE, PAGE, true, never)],
      ['punch', async () => await exported.zero(20 * PAGE, PAGE, false, never)],
      ['extents', async () => await exported.extents(0, MIB, 10, never)],
    ];
    for (const [what, action] of gone) await t.throwsAsync(action, { code: 'EIO' }, what);
    await exported.write(0, Buffer.from('still here'), never);
    await exported.flush(never);
    await file.truncate(MIB, never);
    const back = await read(exported, 10 * PAGE + 98, MIB - 10 * PAGE - 98);
    t.is(back[0], data[10 * PAGE + 98]);
    t.true(
      back.subarray(2).every((byte) => byte === 0),
      'nothing of the failed writes is there',
    );
    await exported.write(20 * PAGE, data.subarray(0, PAGE), never);
    t.true((await read(exported, 20 * PAGE, PAGE)).equals(data.subarray(0, PAGE)));
  },
);

test.serial('an unlinked file lives on as long as it is exported', async (t) => {
  const { open, service } = await startRig(t);
  const exported = await open();
  const session = await service.newSession('other');
  await session.unlink('/f', never);
  await session.close();
  await exported.write(0, Buffer.from('unlinked'), never);
  await exported.flush(never);
  t.is((await read(exported, 0, 8)).toString(), 'unlinked');
});

test.serial(
  'a full volume is ENOSPC for who writes, and what was there can be written over',
  async (t) => {
    const { open } = await startRig(t, 'best-known', 8 * MIB);
    const exported = await open({ size: 64 * MIB });
    await exported.write(0, Buffer.alloc(PAGE, 1), never);
    await t.throwsAsync(
      async () => {
        for (let at = 0; at < 64 * MIB; at += MIB)
          await exported.write(at, Buffer.alloc(MIB, 2), never);
      },
      { code: 'ENOSPC' },
    );
    await exported.flush(never);
    await exported.write(0, Buffer.alloc(PAGE, 3), never);
    await exported.zero(MIB, 2 * MIB, false, never);
    await exported.write(40 * MIB, Buffer.alloc(MIB, 4), never);
    await exported.flush(never);
    t.is((await read(exported, 40 * MIB, 1))[0], 4);
  },
);

test.serial(
  'a long-term pin of another client holds up a hole, until it is given back',
  async (t) => {
    const { open, other } = await startRig(t);
    const exported = await open();
    const file = await other();
    const mapping = await file.map(0, MIB, true, never);
    const pin = await mapping.pin(0, PAGE, { write: true, longterm: true }, never);
    let done = false;
    const punched = exported.zero(0, PAGE, false, never).then(() => {
      done = true;
    });
    await exported.write(PAGE, Buffer.from('goes on'), never);
    t.is((await read(exported, PAGE, 7)).toString(), 'goes on');
    t.false(done);
    await pin.unpin(true);
    await punched;
    t.true(done);
  },
);

test.serial('a client that goes takes what it waits for with it', async (t) => {
  const { open, other } = await startRig(t);
  const exported = await open();
  const mapping = await (await other()).map(0, MIB, true, never);
  const pin = await mapping.pin(0, PAGE, { write: true, longterm: true }, never);
  const client = new AbortController();
  const punched = exported.zero(0, PAGE, false, client.signal);
  client.abort();
  await t.throwsAsync(punched, { code: 'EINTR' });
  await pin.unpin(true);
});

test.serial('a machine that has panicked is ESHUTDOWN for good', async (t) => {
  const volume = new MemoryVolume();
  const config = { name: 'e', volume: 'v', file: '/f', size: MIB };
  const exported = await FileExport.open(config, volume, exportGate(MEMORY));
  await exported.write(0, Buffer.from('before'), never);
  volume.panicked = true;
  await t.throwsAsync(read(exported, 0, 1), { code: 'ESHUTDOWN' });
  await t.throwsAsync(exported.flush(never), { code: 'ESHUTDOWN' });
  await exported.close();
  t.deepEqual([volume.mappings, volume.openFiles, volume.sessions], [0, 0, 0]);
});

test.serial('what is not in the cache is read, and ends where the file does', async (t) => {
  const { open, other } = await startRig(t);
  const exported = await open({ size: 16 * MIB });
  const data = randomBytes(16 * MIB);
  await exported.write(0, data, never); // four times the memory
  t.true((await read(exported, 0, 3 * MIB)).equals(data.subarray(0, 3 * MIB)));
  await (await other()).truncate(5 * MIB + 100, never);
  t.true((await read(exported, 4 * MIB, MIB + 100)).equals(data.subarray(4 * MIB, 5 * MIB + 100)));
  await t.throwsAsync(read(exported, 4 * MIB, 2 * MIB), { code: 'EIO' });
});

const refused: readonly (readonly [string, Partial<ExportConfig>, string])[] = [
  ['a missing file', { file: '/none', size: undefined }, 'ENOENT'],
  ['a missing file to be read only', { file: '/none', readOnly: true }, 'ENOENT'],
  ['a directory', { file: '/', size: undefined }, 'EISDIR'],
  ['a file of another size', { file: '/two', size: PAGE }, 'EINVAL'],
  ['an empty file', { file: '/empty', size: undefined }, 'EINVAL'],
];

for (const [what, config, code] of refused) {
  test.serial(`${what} is refused`, async (t) => {
    const { open, other } = await startRig(t);
    await (await other('/two')).pwrite(0, Buffer.alloc(2), never);
    await other('/empty');
    const error = await t.throwsAsync(open(config), { code });
    t.regex(String(error), new RegExp(code));
  });
}

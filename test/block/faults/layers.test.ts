// What each fault layer does to a disk, and that it does it only where and when it may.

import test from 'ava';
import { ERRNO, type FaultSpec } from '../../../engine/block/faults/index.js';
import { ALWAYS, FaultyDisk, SECTOR, sectors } from './faulty-disk.js';

const CHANGES = ['write', 'zero', 'trim'] as const;

test('an error fails the requests of its operations and ranges, and leaves the disk as it was', (t) => {
  const range = [{ from: 2 * SECTOR, until: 4 * SECTOR }];
  const disk = new FaultyDisk(8, [
    { kind: 'error', errno: 'ENOSPC', ...ALWAYS, op: CHANGES, range },
  ]);
  t.is(disk.write(0, sectors(2, 1)), 0);
  t.is(disk.write(SECTOR, sectors(2, 2)), ERRNO.ENOSPC);
  t.is(disk.zero('trim', 3 * SECTOR, 512), ERRNO.ENOSPC);
  t.is(disk.write(4 * SECTOR, sectors(1, 3)), 0);
  t.deepEqual(disk.read(0, 4 * SECTOR), Uint8Array.from([...sectors(2, 1), ...sectors(2, 0)]));
  const layer = disk.stack.layers.at(0);
  t.is(layer?.seen, 2);
  t.deepEqual(layer?.firings(), [
    'request 1, write of 1024 bytes at 512: failed with ENOSPC',
    'request 2, trim of 512 bytes at 1536: failed with ENOSPC',
  ]);
});

test('nth counts, and once is once', (t) => {
  const errors = (change: object) => {
    const spec: FaultSpec = { kind: 'error', errno: 'EIO', ...ALWAYS, op: ['read'], ...change };
    const disk = new FaultyDisk(1, [spec]);
    return Array.from({ length: 8 }, () => (disk.read(0, 1) === ERRNO.EIO ? 'x' : '.')).join('');
  };
  t.is(errors({}), 'xxxxxxxx');
  t.is(errors({ nth: 3 }), '..x..x..');
  t.is(errors({ nth: 3, once: true }), '..x.....');
  t.is(errors({ rate: 0 }), '........');
});

test('a flush lies in no range', (t) => {
  const range = [{ from: 0, until: SECTOR }];
  const spec: FaultSpec = { kind: 'error', errno: 'EIO', ...ALWAYS, op: ['flush'] };
  t.is(new FaultyDisk(1, [{ ...spec, range }]).flush(), 0);
  t.is(new FaultyDisk(1, [spec]).flush(), ERRNO.EIO);
});

test('the first layer is asked first, and an error ends the question', (t) => {
  const error: FaultSpec = { kind: 'error', errno: 'EIO', ...ALWAYS, op: ['read'] };
  const delay: FaultSpec = {
    kind: 'delay',
    ...ALWAYS,
    op: ['read'],
    distribution: 'constant',
    meanUs: 70,
    p99Us: 70,
    time: 'wall',
  };
  const slowFailure = new FaultyDisk(1, [delay, error]);
  t.is(slowFailure.read(0, 1), ERRNO.EIO);
  t.is(slowFailure.delayUs, 70);
  const fastFailure = new FaultyDisk(1, [error, delay]);
  t.is(fastFailure.read(0, 1), ERRNO.EIO);
  t.is(fastFailure.delayUs, 0);
  t.is(fastFailure.stack.layers.at(1)?.seen, 0);
});

test('bits rot, stay rotten, and are sound again where they are written', (t) => {
  const disk = new FaultyDisk(64, [{ kind: 'bit-rot', range: [], rate: 0.5, seed: 3 }]);
  t.is(disk.write(0, sectors(64, 0xff)), 0);
  const first = disk.read(0, 64 * SECTOR);
  if (typeof first === 'number') return t.fail();
  const wrong = [...first.keys()].filter((i) => first[i] !== 0xff);
  t.true(wrong.length >= 20 && wrong.length <= 44, `${wrong.length} of 64 sectors`);
  t.is(disk.stack.fired, wrong.length);
  t.true(disk.medium.every((byte) => byte === 0xff));
  // Without further draws the same bytes come again; written ones are right.
  const bytes = disk.medium.slice();
  disk.stack.read(bytes, 0);
  t.deepEqual(bytes, first);
  const at = wrong.at(0) ?? 0;
  t.is(disk.write(at, Uint8Array.of(0xff)), 0);
  const again = disk.medium.slice();
  disk.stack.read(again, 0);
  t.deepEqual(
    [...again.keys()].filter((i) => again[i] !== 0xff),
    wrong.slice(1),
  );
  t.regex(
    disk.stack.layers.at(0)?.firings().at(0) ?? '',
    /^request 1, read .* bit \d of the byte at \d+ flipped$/,
  );
  return undefined;
});

test('a rotten bit is the same in a part of the read', (t) => {
  const disk = new FaultyDisk(8, [{ kind: 'bit-rot', range: [], rate: 1, seed: 9 }]);
  const whole = disk.read(0, 8 * SECTOR);
  if (typeof whole === 'number') return t.fail();
  for (const [from, until] of [
    [0, 100],
    [100, 1400],
    [511, 4096],
  ] as const) {
    const part = disk.medium.slice(from, until);
    disk.stack.read(part, from);
    t.deepEqual(part, whole.slice(from, until));
  }
  return undefined;
});

test('stuck bits are always 0, or 1, at the same places', (t) => {
  const stuckAt = (value: 0 | 1, fill: number): number[] => {
    const disk = new FaultyDisk(100, [
      { kind: 'stuck-bits', range: [], rate: 0.2, seed: 5, value },
    ]);
    disk.write(0, sectors(100, fill));
    const bytes = disk.read(0, 100 * SECTOR);
    if (typeof bytes === 'number') return [];
    return [...bytes.keys()].filter((i) => bytes[i] !== fill);
  };
  const places = stuckAt(0, 0xff);
  t.true(places.length >= 8 && places.length <= 35, `${places.length} of 100 sectors`);
  t.deepEqual(stuckAt(1, 0), places);
  t.deepEqual(stuckAt(0, 0), []);
  t.deepEqual(stuckAt(1, 0xff), []);
});

test('a latent error is over when the unit is written as a whole', (t) => {
  const range = [{ from: 2 * SECTOR, until: 3 * SECTOR }];
  const disk = new FaultyDisk(8, [{ kind: 'latent-error', range, rate: 1, seed: 1 }]);
  t.is(typeof disk.read(0, 2 * SECTOR), 'object');
  t.is(disk.read(0, 3 * SECTOR), ERRNO.EIO);
  t.is(disk.read(2 * SECTOR + 511, 1), ERRNO.EIO);
  disk.write(2 * SECTOR, new Uint8Array(511));
  t.is(disk.read(2 * SECTOR, 1), ERRNO.EIO);
  disk.write(2 * SECTOR - 1, sectors(2, 7));
  t.is(typeof disk.read(0, 8 * SECTOR), 'object');
  t.regex(disk.stack.layers.at(0)?.firings().at(0) ?? '', /: the unit at 1024 can't be read$/);
});

test('a write that failed above repairs nothing', (t) => {
  const disk = new FaultyDisk(1, [
    { kind: 'error', errno: 'EIO', ...ALWAYS, op: ['write'], once: true },
    { kind: 'latent-error', range: [], rate: 1, seed: 1 },
  ]);
  t.is(disk.write(0, sectors(1, 1)), ERRNO.EIO);
  t.is(disk.read(0, 1), ERRNO.EIO);
  t.is(disk.write(0, sectors(1, 1)), 0);
  t.deepEqual(disk.read(0, 1), Uint8Array.of(1));
});

test('a misdirected write lands elsewhere in the mask, and by a shift if asked', (t) => {
  const range = [
    { from: 0, until: 2 * SECTOR },
    { from: 5 * SECTOR, until: 7 * SECTOR },
  ];
  const spec = { kind: 'misdirected-write', ...ALWAYS, op: ['write'], unitBytes: SECTOR } as const;
  const places = new Set<number>();
  for (let seed = 0; seed < 40; seed++) {
    const disk = new FaultyDisk(8, [{ ...spec, range, seed, shiftBytes: null }]);
    t.is(disk.write(SECTOR, sectors(1, 9)), 0);
    places.add(disk.medium.indexOf(9) / SECTOR);
    t.is(disk.medium.filter((byte) => byte === 9).length, SECTOR);
    disk.write(3 * SECTOR, sectors(1, 8)); // not in the mask
    t.is(disk.medium.indexOf(8), 3 * SECTOR);
  }
  t.deepEqual([...places].sort(), [0, 5, 6]);
  const shifted = new FaultyDisk(8, [{ ...spec, shiftBytes: 3 * SECTOR }]);
  shifted.write(6 * SECTOR, sectors(1, 9));
  t.is(shifted.medium.indexOf(9), SECTOR);
  t.deepEqual(shifted.stack.layers.at(0)?.firings(), [
    'request 1, write of 512 bytes at 3072: written at 512 instead',
  ]);
});

test('a write that fills the disk has nowhere else to go', (t) => {
  const spec = { kind: 'misdirected-write', ...ALWAYS, op: ['write'], unitBytes: SECTOR } as const;
  const disk = new FaultyDisk(2, [{ ...spec, shiftBytes: null }]);
  disk.write(0, sectors(2, 1));
  t.deepEqual(disk.medium, sectors(2, 1));
  t.is(disk.stack.fired, 0);
});

test('a latent error is repaired where a misdirected write really landed', (t) => {
  const disk = new FaultyDisk(4, [
    { kind: 'misdirected-write', ...ALWAYS, op: ['write'], unitBytes: SECTOR, shiftBytes: SECTOR },
    { kind: 'latent-error', range: [], rate: 1, seed: 1 },
  ]);
  disk.write(0, sectors(1, 1));
  t.is(disk.read(0, 1), ERRNO.EIO);
  t.deepEqual(disk.read(SECTOR, 1), Uint8Array.of(1));
});

test('lying flush: FLUSH and FUA are acknowledged without being done', (t) => {
  const op = ['flush', 'write'] as const;
  const disk = new FaultyDisk(4, [{ kind: 'lying-flush', ...ALWAYS, op, nth: 2 }]);
  t.deepEqual(
    [disk.flush(), disk.write(0, sectors(1, 1), true), disk.write(0, sectors(1, 1))],
    [0, 0, 0],
  );
  t.is(disk.flushes, 1);
  t.is(disk.flush(), 0);
  t.is(disk.flushes, 2);
});

test('a full device refuses what needs new space, and a trim gives some back', (t) => {
  const op = ['write', 'zero'] as const;
  const disk = new FaultyDisk(8, [{ kind: 'full-device', ...ALWAYS, op, freeBytes: 2 * SECTOR }]);
  t.is(disk.write(0, sectors(2, 1)), 0);
  t.is(disk.write(SECTOR, sectors(2, 2)), ERRNO.ENOSPC);
  t.is(disk.write(0, sectors(2, 3)), 0);
  t.is(disk.zero('zero', 7 * SECTOR, SECTOR), ERRNO.ENOSPC);
  t.is(disk.zero('trim', 0, SECTOR), 0);
  t.is(disk.write(7 * SECTOR, sectors(1, 4)), 0);
  t.is(disk.write(0, sectors(1, 5)), ERRNO.ENOSPC);
});

test('a layer remembers its last sixteen firings', (t) => {
  const disk = new FaultyDisk(1, [{ kind: 'error', errno: 'EIO', ...ALWAYS, op: ['read'] }]);
  for (let i = 0; i < 40; i++) disk.read(0, 1);
  const firings = disk.stack.layers.at(0)?.firings() ?? [];
  t.is(firings.length, 16);
  t.regex(firings.at(0) ?? '', /^request 25,/);
  t.regex(firings.at(-1) ?? '', /^request 40,/);
});

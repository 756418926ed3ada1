// What holds for all fault layers, whatever they are asked: the same seed gives the same faults, rates are kept, torn
// writes lose whole sub-units, nothing happens outside of the mask.

import test from 'ava';
import fc from 'fast-check';
import type { FaultSpec, KeptPart } from '../../../engine/block/faults/index.js';
import { FaultStack, KEPT_PARTS, makeLayer } from '../../../engine/block/faults/index.js';
import { ALWAYS, FaultyDisk, SECTOR } from './faulty-disk.js';

const DISK_SECTORS = 64;
const DISK_BYTES = DISK_SECTORS * SECTOR;
const ALL = ['read', 'write', 'zero', 'trim', 'flush', 'cache'] as const;

const trigger = fc.record({
  range: fc.constantFrom([], [{ from: 4 * SECTOR, until: 20 * SECTOR }]),
  rate: fc.double({ min: 0, max: 1, noNaN: true }),
  nth: fc.constant(null),
  once: fc.boolean(),
  seed: fc.nat(),
});
const units = fc.record({
  range: fc.constantFrom([], [{ from: 4 * SECTOR, until: 20 * SECTOR }]),
  rate: fc.double({ min: 0, max: 1, noNaN: true }),
  seed: fc.nat(),
});
const writes = ['write'] as const;
const spec: fc.Arbitrary<FaultSpec> = fc.oneof(
  trigger.map((t): FaultSpec => ({ kind: 'error', errno: 'EIO', ...t, op: ALL })),
  trigger.map((t): FaultSpec => {
    const times = { meanUs: 100, p99Us: 300, time: 'wall' } as const;
    return { kind: 'delay', ...t, op: ALL, distribution: 'lognormal', ...times };
  }),
  units.map((u): FaultSpec => ({ kind: 'bit-rot', ...u })),
  units.map((u): FaultSpec => ({ kind: 'stuck-bits', ...u, value: null })),
  units.map((u): FaultSpec => ({ kind: 'latent-error', ...u })),
  trigger.map((t): FaultSpec => {
    return { kind: 'misdirected-write', ...t, op: writes, unitBytes: SECTOR, shiftBytes: null };
  }),
  trigger.map((t): FaultSpec => ({ kind: 'lying-flush', ...t, op: ['flush', 'write'] })),
  trigger.map((t): FaultSpec => ({ kind: 'full-device', ...t, op: writes, freeBytes: 4096 })),
  fc
    .tuple(trigger, fc.constantFrom(...KEPT_PARTS))
    .map(([t, keep]): FaultSpec => ({ kind: 'torn-write', ...t, op: writes, unitBytes: 64, keep })),
);

const request = fc
  .record({
    op: fc.constantFrom('read', 'write', 'trim', 'flush'),
    offset: fc.nat(DISK_BYTES - 1),
    length: fc.integer({ min: 1, max: 8 * SECTOR }),
    fua: fc.boolean(),
    fill: fc.nat(255),
  })
  .map((r) => ({ ...r, length: Math.min(r.length, DISK_BYTES - r.offset) }));
type Request = typeof request extends fc.Arbitrary<infer T> ? T : never;

/** Large arrays compare slowly. */
function shown(bytes: Uint8Array | number): string {
  return typeof bytes === 'number' ? String(bytes) : Buffer.from(bytes).toString('base64');
}

/** All that a client can tell. */
function run(disk: FaultyDisk, requests: readonly Request[]): unknown[] {
  return requests.map(({ op, offset, length, fua, fill }) => {
    disk.nowUs += 10;
    const seen =
      op === 'read'
        ? disk.read(offset, length)
        : op === 'write'
          ? disk.write(offset, new Uint8Array(length).fill(fill), fua)
          : op === 'trim'
            ? disk.zero('trim', offset, length)
            : disk.flush();
    return [shown(seen), disk.delayUs, disk.flushes];
  });
}

test('the same seeds and requests give the same faults, whatever the stack', (t) => {
  fc.assert(
    fc.property(
      fc.array(spec, { maxLength: 4 }),
      fc.array(request, { maxLength: 30 }),
      (specs, requests) => {
        const [a, b] = [new FaultyDisk(DISK_SECTORS, specs), new FaultyDisk(DISK_SECTORS, specs)];
        t.deepEqual(run(a, requests), run(b, requests));
        t.is(shown(a.medium), shown(b.medium));
        const firings = (disk: FaultyDisk) => disk.stack.layers.map((layer) => layer.firings());
        t.deepEqual(firings(a), firings(b));
      },
    ),
    { numRuns: 150 },
  );
});

test('a disk whose layers never fire is a disk without layers', (t) => {
  const quiet = spec.map((each): FaultSpec => ('rate' in each ? { ...each, rate: 0 } : each));
  fc.assert(
    fc.property(fc.array(quiet), fc.array(request, { maxLength: 30 }), (specs, requests) => {
      const [a, b] = [new FaultyDisk(DISK_SECTORS, specs), new FaultyDisk(DISK_SECTORS, [])];
      t.deepEqual(run(a, requests), run(b, requests));
      t.is(a.stack.fired, 0);
    }),
    { numRuns: 50 },
  );
});

test('what lies outside of the mask is as on a sound disk', (t) => {
  const outside = (disk: FaultyDisk) => {
    const bytes = disk.medium.slice();
    disk.stack.read(bytes, 0);
    return shown(bytes.fill(0, 4 * SECTOR, 20 * SECTOR));
  };
  const masked = spec.map((each): FaultSpec => {
    return { ...each, range: [{ from: 4 * SECTOR, until: 20 * SECTOR }] };
  });
  // Requests that don't cross the edges: an error of a part is one of the whole.
  const apart = request.filter(({ offset, length }) => {
    const end = offset + length;
    return (
      end <= 4 * SECTOR || (offset >= 4 * SECTOR && end <= 20 * SECTOR) || offset >= 20 * SECTOR
    );
  });
  fc.assert(
    fc.property(fc.array(masked, { maxLength: 3 }), fc.array(apart), (specs, requests) => {
      const [a, b] = [new FaultyDisk(DISK_SECTORS, specs), new FaultyDisk(DISK_SECTORS, [])];
      run(a, requests);
      run(b, requests);
      t.is(outside(a), outside(b));
    }),
    { numRuns: 150 },
  );
});

test('a torn write keeps and loses whole sub-units, the part that was asked for', (t) => {
  const keeps = fc.constantFrom<KeptPart>('first', 'last', 'random');
  const sizes = fc.constantFrom(64, 512, 4096);
  fc.assert(
    fc.property(keeps, sizes, fc.nat(), request, (keep, unitBytes, seed, { offset, length }) => {
      const torn = { kind: 'torn-write', ...ALWAYS, op: writes, unitBytes, keep, seed } as const;
      const disk = new FaultyDisk(DISK_SECTORS, [torn]);
      disk.write(offset, new Uint8Array(length).fill(1));
      const stored = Array.from(disk.medium.subarray(offset, offset + length), (byte, i) => {
        return { byte, unit: Math.floor((offset + i) / unitBytes) };
      });
      const byUnit = new Map<number, number>();
      for (const { byte, unit } of stored) {
        t.is(byUnit.get(unit) ?? byte, byte, `sub-unit ${unit} is torn itself`);
        byUnit.set(unit, byte);
      }
      const pattern = [...byUnit.values()].join('');
      if (byUnit.size === 1) t.is(pattern, '1');
      else if (keep === 'first') t.regex(pattern, /^1+0+$/);
      else if (keep === 'last') t.regex(pattern, /^0+1+$/);
      else t.regex(pattern, /01|10/);
      t.is(
        disk.medium.filter((byte) => byte === 1).length,
        stored.filter(({ byte }) => byte === 1).length,
      );
    }),
    { numRuns: 300 },
  );
});

test('what two torn layers lose is what either loses', (t) => {
  fc.assert(
    fc.property(fc.nat(), fc.nat(), (seedA, seedB) => {
      const base = {
        kind: 'torn-write',
        ...ALWAYS,
        op: writes,
        unitBytes: 64,
        keep: 'random',
      } as const;
      const store = (specs: readonly FaultSpec[]): Uint8Array => {
        const disk = new FaultyDisk(4, specs);
        disk.write(100, new Uint8Array(1500).fill(1));
        return disk.medium;
      };
      const [a, b] = [
        { ...base, seed: seedA },
        { ...base, seed: seedB },
      ];
      const [one, two] = [store([a]), store([b])];
      t.deepEqual(
        store([a, b]),
        one.map((byte, i) => byte & (two[i] ?? 0)),
      );
    }),
    { numRuns: 100 },
  );
});

test('rates are kept', (t) => {
  for (const rate of [0.01, 0.2, 0.9]) {
    const stack = new FaultStack();
    const error: FaultSpec = { kind: 'error', errno: 'EIO', ...ALWAYS, op: ALL, rate, seed: 21 };
    stack.set([makeLayer(error, DISK_BYTES)]);
    const requests = 50_000;
    for (let i = 0; i < requests; i++) stack.decide('read', 0, 512, false, 0);
    const expected = requests * rate;
    const deviation = Math.sqrt(expected * (1 - rate));
    t.true(
      Math.abs(stack.fired - expected) < 5 * deviation,
      `${stack.fired} of ${requests} at ${rate}`,
    );
  }
});

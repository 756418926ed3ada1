// Delays have the mean and the 99th percentile that were asked for; a rate limit is kept.

import test from 'ava';
import {
  type DelaySpec,
  DISTRIBUTIONS,
  p99Default,
  p99Max,
} from '../../../engine/block/faults/index.js';
import { ALWAYS, FaultyDisk } from './faulty-disk.js';

const DRAWS = 20_000;

function delaysOf(spec: DelaySpec): number[] {
  const disk = new FaultyDisk(1, [spec]);
  return Array.from({ length: DRAWS }, () => {
    disk.read(0, 1);
    return disk.delayUs;
  }).sort((a, b) => a - b);
}

function near(actual: number, wanted: number, tolerance: number): boolean {
  return Math.abs(actual / wanted - 1) < tolerance;
}

for (const distribution of DISTRIBUTIONS) {
  test(`${distribution} delays have the mean and the 99th percentile asked for`, (t) => {
    const meanUs = 10_000;
    const max = p99Max(distribution) * meanUs;
    for (const p99Us of [p99Default(distribution, meanUs), meanUs + (max - meanUs) / 4]) {
      const delays = delaysOf({
        kind: 'delay',
        ...ALWAYS,
        op: ['read'],
        distribution,
        meanUs,
        p99Us,
        time: 'virtual',
        seed: 11,
      });
      const mean = delays.reduce((sum, us) => sum + us, 0) / DRAWS;
      const p99 = delays[Math.floor(DRAWS * 0.99)] ?? 0;
      t.true(near(mean, meanUs, 0.03), `mean ${mean} instead of ${meanUs}`);
      t.true(near(p99, p99Us, 0.08), `99th percentile ${p99} instead of ${p99Us}`);
      t.true((delays.at(0) ?? -1) >= 0);
    }
  });
}

test('delays of layers add up, to an hour at most; one virtual clock is the clock of all', (t) => {
  const base = { kind: 'delay', ...ALWAYS, op: ['read'], distribution: 'constant' } as const;
  const disk = new FaultyDisk(1, [
    { ...base, meanUs: 5, p99Us: 5, time: 'wall' },
    { ...base, meanUs: 7, p99Us: 7, time: 'wall' },
    { ...base, meanUs: 100, p99Us: 100, time: 'virtual' },
  ]);
  disk.read(0, 1);
  t.is(disk.delayUs, 112);
  t.true(disk.stack.isVirtual);
  const hour = { ...base, meanUs: 3.6e9, p99Us: 3.6e9, time: 'wall' } as const;
  const slow = new FaultyDisk(1, [hour, hour]);
  slow.read(0, 1);
  t.is(slow.delayUs, 3.6e9);
  t.false(slow.stack.isVirtual);
});

test('a rate limit lets through so many bytes, and so many requests, a second', (t) => {
  const spec = { kind: 'rate-limit', op: ['read'], range: [], time: 'wall' } as const;
  // A client with one request in flight: it sends the next one when the last one is answered.
  const lasts = (disk: FaultyDisk, requests: number, length: number): number => {
    for (let i = 0; i < requests; i++) {
      disk.read(0, length);
      disk.nowUs += disk.delayUs;
    }
    return disk.nowUs;
  };
  const limits = { bytes: 51_200, requests: null, burstUs: 0 };
  t.is(lasts(new FaultyDisk(1, [{ ...spec, ...limits }]), 200, 512), 2_000_000);
  const rare = { bytes: null, requests: 50, burstUs: 0 };
  t.is(lasts(new FaultyDisk(1, [{ ...spec, ...rare }]), 200, 1), 4_000_000);
  const saved = { ...limits, burstUs: 500_000 };
  t.is(lasts(new FaultyDisk(1, [{ ...spec, ...saved }]), 200, 512), 1_500_000);
  const both = { bytes: 51_200, requests: 50, burstUs: 0 };
  t.is(lasts(new FaultyDisk(1, [{ ...spec, ...both }]), 100, 512), 2_000_000);
});

test('a queue of requests is spread out, and an idle time is forgotten', (t) => {
  const limits = { bytes: null, requests: 1000, burstUs: 0 };
  const disk = new FaultyDisk(1, [
    { kind: 'rate-limit', op: ['read'], range: [], time: 'wall', ...limits },
  ]);
  const delay = (): number => {
    disk.read(0, 1);
    return disk.delayUs;
  };
  t.deepEqual([delay(), delay(), delay()], [1000, 2000, 3000]);
  disk.nowUs = 60_000_000;
  t.deepEqual([delay(), delay()], [1000, 2000]);
});

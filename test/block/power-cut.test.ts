// The images of a power cut against a listing by brute force, and the words that pick one.

import test from 'ava';
import fc from 'fast-check';
import {
  checkState,
  isLegal,
  type OpenUnit,
  type Pending,
  type PendingWrite,
  pick,
  stateOf,
} from '../../engine/block/power-cut.js';
import { countImages } from '../../engine/block/power-cut-count.js';
import { images, planImages } from '../../engine/block/power-cut-images.js';
import { mix } from '../../engine/block/seeded.js';

const SEED = 20_261_126;

/** Pending writes as they stand when nothing was made durable. */
function pendingOf(writes: readonly Omit<PendingWrite, 'id'>[], garbage = false): Pending {
  const numbered = writes.map((write, i) => ({ ...write, id: 10 + i }));
  const versions = new Map<number, number[]>();
  for (const { id, firstUnit, units } of numbered) {
    for (let unit = firstUnit; unit < firstUnit + units; unit++)
      versions.set(unit, [...(versions.get(unit) ?? []), id]);
  }
  const open: OpenUnit[] = [...versions]
    .sort(([a], [b]) => a - b)
    .map(([unit, ids]) => ({ unit, versions: ids }));
  return { writes: numbered, open, garbage };
}

function data(firstUnit: number, units: number, atomic = false): Omit<PendingWrite, 'id'> {
  return { firstUnit, units, kind: 'data', atomic };
}

const ALL = { exhaustUpTo: 1e9, sample: 0, seed: 0 };

function listed(pending: Pending, limits = ALL): string[] {
  return Array.from(images(pending, limits), (choices) => choices.join(' '));
}

/** Every combination of choices that neither tears an atomic write nor invents garbage. */
function bruteForce(pending: Pending): string[] {
  const found: string[] = [];
  const choices: number[] = [];
  const byId = new Map(pending.writes.map((write) => [write.id, write]));
  const legal = (): boolean => {
    for (const { id, atomic } of pending.writes) {
      if (!atomic) continue;
      const places = pending.open.flatMap(({ versions }, i) => {
        const place = versions.indexOf(id) + 1;
        return place === 0 ? [] : [Math.sign(Math.abs(choices[i]) - place)];
      });
      if (places.includes(0) && places.includes(-1)) return false;
    }
    return true;
  };
  const vary = (i: number): void => {
    const unit = pending.open.at(i);
    if (unit === undefined) {
      if (legal()) found.push(choices.join(' '));
      return;
    }
    for (let k = -unit.versions.length; k <= unit.versions.length; k++) {
      if (k < 0 && !(pending.garbage && byId.get(unit.versions[-k - 1])?.kind === 'trim')) continue;
      choices[i] = k;
      vary(i + 1);
    }
    choices.length = i;
  };
  vary(0);
  return found;
}

const anyWrite = fc
  .record({
    firstUnit: fc.nat(5),
    units: fc.integer({ min: 1, max: 4 }),
    kind: fc.constantFrom('data' as const, 'data' as const, 'zeroes' as const, 'trim' as const),
    whole: fc.boolean(),
  })
  .map(({ firstUnit, units, kind, whole }) => ({
    firstUnit,
    units: Math.min(units, 6 - firstUnit),
    kind,
    atomic: whole && kind === 'data',
  }));
const anyPending = fc
  .tuple(fc.array(anyWrite, { maxLength: 5 }), fc.boolean())
  .map(([writes, garbage]) => pendingOf(writes, garbage));

test('a listing of up to 6 units has what brute force finds, and the closed form counts it (E4)', (t) => {
  fc.assert(
    fc.property(anyPending, (pending) => {
      const expected = bruteForce(pending).sort();
      t.deepEqual(listed(pending).sort(), expected);
      t.is(countImages(pending), BigInt(expected.length));
    }),
    { seed: SEED, numRuns: 300 },
  );
});

test('a write of n units may leave any subset of them (B1, B6)', (t) => {
  t.is(countImages(pendingOf([data(0, 6)])), 64n);
  t.is(countImages(pendingOf([data(0, 1_000_000)]))?.toString(2).length, 1_000_001);
});

test('an atomic write is all or nothing, and counts as one more version (B1)', (t) => {
  t.is(countImages(pendingOf([data(0, 6, true)])), 2n);
  t.is(countImages(pendingOf([data(0, 4, true), data(0, 4, true), data(0, 4, true)])), 4n);
  // With a later plain write over one half, the atomic one may stay hidden behind it.
  const pending = pendingOf([data(0, 2, true), data(0, 1)]);
  t.deepEqual(listed(pending).sort(), ['0 0', '1 1', '2 0', '2 1']);
  t.throws(() => pick(pending, 'keep-all,0=1,1=0'), {
    message: /write 10 is atomic and would be torn/,
  });
});

test('a lost trim leaves the old bytes; garbage is left only where it is allowed (B8)', (t) => {
  const trim = { firstUnit: 0, units: 1, kind: 'trim', atomic: false } as const;
  t.deepEqual(listed(pendingOf([trim])), ['0', '1']);
  t.deepEqual(listed(pendingOf([trim], true)), ['0', '-1', '1']);
  t.throws(() => pick(pendingOf([trim]), 'keep-all,0=1g'), { message: /garbage is not allowed/ });
});

test("null_blk's state, prefixes and subsets of an epoch are among the images (E4)", (t) => {
  fc.assert(
    fc.property(anyPending, fc.nat(31), (pending, subset) => {
      const known = new Set(listed(pending));
      t.true(known.has(pick(pending, 'drop-all').join(' ')));
      t.true(known.has(pick(pending, 'keep-all').join(' ')));
      for (let n = 0; n <= 5; n++) t.true(known.has(pick(pending, `prefix:${n}`).join(' ')));
      // CrashMonkey: any subset of the writes, each of them whole.
      const whole = pending.open.map(({ versions }) => {
        const last = versions.findLastIndex((id) => ((subset >> (id - 10)) & 1) === 1);
        return last + 1;
      });
      t.true(known.has(whole.join(' ')));
    }),
    { seed: SEED, numRuns: 200 },
  );
});

test('each image has a text that picks it again', (t) => {
  fc.assert(
    fc.property(anyPending, (pending) => {
      for (const choices of images(pending, { exhaustUpTo: 1e9, sample: 0, seed: 0 })) {
        const text = stateOf(pending, choices);
        t.deepEqual(pick(pending, text), choices, text);
      }
    }),
    { seed: SEED, numRuns: 100 },
  );
});

test('the text of an image is short', (t) => {
  const pending = pendingOf([data(0, 100), data(50, 100)]);
  const lost = pick(pending, 'keep-all');
  lost.fill(0, 20, 60);
  t.is(stateOf(pending, lost), 'keep-all,20-59=0');
  t.is(stateOf(pending, pick(pending, 'prefix:1')), 'drop-all,0-99=1');
  t.is(stateOf(pending, pick(pending, 'drop-all')), 'drop-all');
});

test('random and adversarial states are legal, come back by seed and differ by seed', (t) => {
  fc.assert(
    fc.property(anyPending, fc.nat(1000), (pending, seed) => {
      for (const state of [`random:${seed}`, `adversarial:${seed}`]) {
        const choices = pick(pending, state);
        t.true(isLegal(pending, choices), state);
        t.deepEqual(pick(pending, state), choices);
      }
    }),
    { seed: SEED, numRuns: 200 },
  );
  const pending = pendingOf([data(0, 8), data(4, 8), data(2, 4)]);
  const drawn = Array.from({ length: 2000 }, (_, seed) => pick(pending, `random:${seed}`).join());
  t.true(new Set(drawn).size > 500);
});

test('adversarial: the earliest is lost, the latest is kept, and one write is torn', (t) => {
  const pending = pendingOf([data(0, 4), data(10, 4), data(20, 4), data(30, 4)]);
  const shapes = new Set<string>();
  for (let seed = 0; seed < 64; seed++) {
    const bits = pick(pending, `adversarial:${seed}`).join('');
    const torn = [0, 1, 2, 3].filter((n) => /01|10/.test(bits.slice(4 * n, 4 * n + 4)));
    t.is(torn.length, 1, bits);
    t.regex(bits, new RegExp(`^0{${4 * torn[0]}}....1{${12 - 4 * torn[0]}}$`));
    shapes.add(bits);
  }
  t.true(shapes.size > 10);
});

test('beyond the limit come those with up to two units lost or kept, and a sample', (t) => {
  const pending = pendingOf([data(0, 20)]);
  const limits = { exhaustUpTo: 4096, sample: 50, seed: 7 };
  t.deepEqual(planImages(pending, limits), { count: 2n ** 20n, exhaustive: false });
  const found = listed(pending, limits);
  const kept = found.map((image) => image.split(' ').filter((choice) => choice === '1').length);
  t.is(found.length, 2 * (1 + 20 + 190) + 50);
  for (const [count, times] of [
    [20, 1],
    [19, 20],
    [18, 190],
    [0, 1],
    [1, 20],
    [2, 190],
  ])
    t.true(kept.filter((n) => n === count).length >= times, `${count} kept`);
  t.deepEqual(listed(pending, limits), found);
});

test('states that are none are refused, and told why', (t) => {
  const pending = pendingOf([data(5, 2)]);
  for (const [state, why] of [
    ['prefix', /give a number/],
    ['random:-1', /give a number/],
    ['random:99999999999', /give a number/],
    ['keep-all:1', /takes no number/],
    ['prefix:1,5=0', /only drop-all and keep-all/],
    ['sometimes:1', /unknown.*adversarial:SEED/],
    ['keep-all,4=0', /unit 4 is not open/],
    ['keep-all,5=2', /unit 5 has 1 versions/],
    ['keep-all,6=0,5=0', /not in rising order/],
    ['keep-all,5', /UNIT=CHOICE/],
    ['', /give a number/],
  ] as const) {
    t.throws(() => pick(pending, state), { code: 'EINVAL', message: why }, state);
  }
});

test('draws of neighbouring seeds and units do not look alike', (t) => {
  const words = new Set<number>();
  for (let seed = 0; seed < 30; seed++)
    for (let unit = 0; unit < 30; unit++) words.add(mix(seed, unit, 2 ** 33 + unit));
  t.is(words.size, 900);
});

test('many tied versions are capped only where the listing is', (t) => {
  // 13 plain versions below an atomic write, of two units: 1 + 14 * 14.
  const pending = pendingOf([...Array.from({ length: 13 }, () => data(0, 2)), data(0, 2, true)]);
  t.is(countImages(pending), 197n);
  t.is(listed(pending).length, 197);
  const deep = pendingOf([...Array.from({ length: 70 }, () => data(0, 2)), data(0, 2, true)]);
  t.is(countImages(deep), 5042n);
  t.is(new Set(listed(deep)).size, 5042);
  const capped = listed(deep, { exhaustUpTo: 4096, sample: 10, seed: 1 });
  t.is(capped[0], '71 71');
  t.is(capped[1], '0 0');
});

test('the form of a state can be checked before there is a disk', (t) => {
  for (const state of ['drop-all', 'keep-all', 'prefix:3', 'random:9', 'keep-all,1-4=0,9=2g'])
    t.notThrows(() => {
      checkState(state);
    });
  for (const state of ['', 'keep', 'prefix:', 'random:x', 'keep-all,', 'keep-all,3'])
    t.throws(() => {
      checkState(state);
    });
});

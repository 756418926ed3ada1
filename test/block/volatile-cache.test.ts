// The volatile cache against the reference of the rules: what is visible, what is open, what a cut leaves.

import test from 'ava';
import fc from 'fast-check';
import { type Pending, pick } from '../../engine/block/power-cut.js';
import { countImages } from '../../engine/block/power-cut-count.js';
import { images } from '../../engine/block/power-cut-images.js';
import { CacheUnderTest, Reference } from './cache-model.js';

const SEED = 20_260;
const PAGES = 2;
const SIZE = PAGES * 4096;
/** Writes stay within these bytes: six units of 512, three in each page, or both units of 4096. */
const FIRST = 4096 - 3 * 512;
const SPAN = 6 * 512;

type Step =
  | { readonly do: 'write'; at: number; length: number; fua: boolean }
  | { readonly do: 'zeroes' | 'trim'; at: number; length: number; fua: boolean }
  | { readonly do: 'reply'; nth: number }
  | { readonly do: 'flush begins' | 'flush ends' | 'flush' | 'abort' }
  | { readonly do: 'cut'; seed: number };

const range = {
  // Whole units often, any byte sometimes.
  at: fc.oneof(
    { weight: 3, arbitrary: fc.nat(5).map((unit) => FIRST + unit * 512) },
    fc.integer({ min: FIRST, max: FIRST + SPAN - 1 }),
  ),
  length: fc.oneof(
    { weight: 3, arbitrary: fc.integer({ min: 1, max: 6 }).map((units) => units * 512) },
    fc.integer({ min: 1, max: SPAN }),
  ),
  fua: fc.integer({ min: 0, max: 5 }).map((n) => n === 0),
};
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('write' as const), ...range }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('zeroes' as const), ...range }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('trim' as const), ...range }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('trim' as const),
      at: fc.constantFrom(0, 4096),
      length: fc.constantFrom(4096, SIZE),
      fua: fc.boolean(),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('reply' as const), nth: fc.nat(3) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'flush begins' as const,
        'flush ends' as const,
        'flush' as const,
        'abort' as const,
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('cut' as const), seed: fc.nat() }) },
);

interface Options {
  readonly unitBytes: number;
  readonly inFile?: boolean;
  readonly versionPages?: number;
  readonly atomicBytes?: number;
}

/** Both sides of a run, and what is between a request and its reply. */
class Run {
  readonly real: CacheUnderTest;
  readonly reference: Reference;
  readonly #unreplied: number[] = [];
  #flush: { moment: number; covered: ReturnType<Reference['flushBegins']> } | null = null;
  #fill = 0;

  constructor(readonly options: Options) {
    this.real = new CacheUnderTest(SIZE, options.unitBytes, options);
    this.reference = new Reference(SIZE, options.unitBytes);
  }

  step(step: Step): void {
    const { real, reference } = this;
    switch (step.do) {
      case 'write':
      case 'zeroes':
      case 'trim':
        this.#write(step.do, step.at, Math.min(step.length, SIZE - step.at), step.fua);
        break;
      case 'reply': {
        const id = this.#unreplied.splice(step.nth % Math.max(this.#unreplied.length, 1), 1).at(0);
        if (id !== undefined) this.#reply(id);
        break;
      }
      case 'flush begins':
        this.#flush = { moment: real.cache.flushBegins(), covered: reference.flushBegins() };
        break;
      case 'flush ends':
        if (this.#flush === null) break;
        real.cache.flush(this.#flush.moment);
        reference.flush(this.#flush.covered);
        this.#flush = null;
        break;
      case 'flush':
        real.cache.flush(real.cache.flushBegins());
        reference.flush(reference.flushBegins());
        break;
      case 'abort':
        real.cache.abort(real.receive(FIRST, Buffer.alloc(SPAN, 0xdd)));
        break;
      case 'cut':
        this.#cut(step.seed);
    }
  }

  #write(kind: 'write' | 'zeroes' | 'trim', at: number, length: number, fua: boolean): void {
    const { real, reference } = this;
    const data = Buffer.alloc(length, kind === 'write' ? (++this.#fill % 255) + 1 : 0);
    const id =
      kind === 'write' ? real.write(at, data, fua) : real.zero(kind === 'trim', at, length, fua);
    reference.write(id, kind === 'write' ? 'data' : kind, at, data, fua);
    // Over a file, what FUA covers is durable before its reply.
    if (fua && this.options.inFile === true) this.#reply(id);
    else this.#unreplied.push(id);
  }

  #reply(id: number): void {
    this.real.cache.replied(id);
    this.reference.replied(id);
  }

  #cut(seed: number): void {
    const { real, reference } = this;
    const pending = real.cache.pending();
    const choices = pick(pending, `random:${seed % 1000}`);
    const image = reference.image(pending, choices);
    real.cache.cut(choices);
    const left = real.visible();
    // What became durable early is not chosen any more.
    const right =
      this.options.versionPages === undefined ? image.equals(left) : reference.allows(left);
    if (!right) throw new Error('another image');
    reference.cut(left);
    this.#unreplied.length = 0;
    this.#flush = null;
  }
}

/** The same images are possible on both sides. */
function checkOpen(pending: Pending, reference: Reference): void {
  const versions = new Map(pending.open.map((each) => [each.unit, each.versions]));
  for (let unit = 0; unit < reference.units.length; unit++) {
    const expected = reference.open(unit);
    // The cache may list more zeroes over zeroes.
    const mine = (versions.get(unit) ?? []).slice(-expected.length || Number.POSITIVE_INFINITY);
    const rest = (versions.get(unit) ?? []).length - mine.length;
    if (mine.join() !== expected.join() || rest > reference.zeroesBelow(unit))
      throw new Error(`unit ${unit}: versions ${mine.join()}, expected ${expected.join()}`);
  }
}

function property(options: Options, check: (run: Run) => void): void {
  fc.assert(
    fc.property(fc.array(step, { minLength: 15, maxLength: 40, size: 'max' }), (steps) => {
      const run = new Run(options);
      try {
        for (const each of steps) {
          run.step(each);
          if (!run.real.visible().equals(run.reference.visible()))
            throw new Error('another content');
          check(run);
        }
      } finally {
        run.real.close();
      }
    }),
    { seed: SEED, numRuns: 150 },
  );
}

for (const unitBytes of [512, 4096]) {
  for (const inFile of [false, true]) {
    const where = inFile ? 'in a file' : 'in memory';
    test(`in units of ${unitBytes} ${where} what is visible, what is open and what a cut leaves are those of the rules`, (t) => {
      property({ unitBytes, inFile }, ({ real, reference }) =>
        checkOpen(real.cache.pending(), reference),
      );
      t.pass();
    });
  }
}

test('with room for three pages versions become durable early, and nothing that was flushed is open again', (t) => {
  property({ unitBytes: 512, versionPages: 3 }, ({ real, reference }) => {
    for (const { unit, versions } of real.cache.pending().open) {
      const allowed = reference.ids(unit);
      if (allowed.slice(-versions.length).join() !== versions.join())
        throw new Error(`unit ${unit}: versions ${versions.join()}, at most ${allowed.join()}`);
    }
  });
  t.pass();
});

/** The same few writes again and again, on new disks: what each image of a cut leaves. */
function imagesOf(options: Options, body: (disk: CacheUnderTest) => void) {
  const contents = new Set<string>();
  const opened = (): CacheUnderTest => {
    const disk = new CacheUnderTest(SIZE, options.unitBytes, options);
    body(disk);
    return disk;
  };
  const first = opened();
  const pending = first.cache.pending();
  const count = countImages(pending);
  first.close();
  for (const choices of images(pending, { exhaustUpTo: 4096, sample: 0, seed: 1 })) {
    const disk = opened();
    disk.cache.cut(choices);
    contents.add(disk.visible().toString('latin1'));
    disk.close();
  }
  return { contents, count, pending };
}

const units = (bytes: number, count: number, fill: number): Buffer =>
  Buffer.alloc(count * bytes, fill);

test('all images of six units, listed one by one, are as many as the product of their versions, and each is different', (t) => {
  const { contents, count } = imagesOf({ unitBytes: 512 }, (disk) => {
    disk.write(FIRST, units(512, 6, 1));
    disk.cache.replied(disk.write(FIRST + 512, units(512, 2, 2)));
    disk.write(FIRST + 2560, units(512, 1, 3));
  });
  t.is(count, 2n * 3n * 3n * 2n * 2n * 3n);
  t.is(contents.size, 216);
});

test('what null_blk would leave, only what was flushed, is among the images', (t) => {
  const { contents } = imagesOf({ unitBytes: 512 }, (disk) => {
    disk.cache.replied(disk.write(FIRST, units(512, 3, 1)));
    disk.cache.flush(disk.cache.flushBegins());
    disk.cache.replied(disk.write(FIRST, units(512, 2, 2)));
  });
  const flushed = Buffer.alloc(SIZE);
  flushed.fill(1, FIRST, FIRST + 3 * 512);
  t.true(contents.has(flushed.toString('latin1')));
  t.is(contents.size, 4);
});

test('an atomic write is there as a whole or not at all, a larger one and one across the limit are torn', (t) => {
  const options = { unitBytes: 512, atomicBytes: 2048 };
  const inside = imagesOf(options, (disk) => void disk.write(2048, units(512, 4, 7)));
  t.is(inside.contents.size, 2);
  t.is(inside.count, 2n);
  const across = imagesOf(options, (disk) => void disk.write(1024, units(512, 4, 7)));
  t.is(across.contents.size, 16);
  const partly = imagesOf(options, (disk) => void disk.write(2048, Buffer.alloc(1000, 7)));
  t.is(partly.contents.size, 4);
});

test('a TRIM may be lost even after a FLUSH, WRITE_ZEROES may not', (t) => {
  for (const trim of [true, false]) {
    const { contents } = imagesOf({ unitBytes: 4096 }, (disk) => {
      disk.cache.replied(disk.write(0, units(4096, 1, 5)));
      disk.cache.flush(disk.cache.flushBegins());
      disk.cache.replied(disk.zero(trim, 0, 4096, true));
      disk.cache.flush(disk.cache.flushBegins());
    });
    t.is(contents.size, trim ? 2 : 1);
    t.true(contents.has(Buffer.alloc(SIZE).toString('latin1')));
  }
});

test('the memory of versions is bounded, and that of zeroed pages goes back', (t) => {
  const sizeBytes = 32 * 2 ** 20;
  const disk = new CacheUnderTest(sizeBytes, 4096, { versionPages: 256 });
  const mib = units(4096, 256, 1);
  for (let pass = 0; pass < 3; pass++) {
    for (let at = 0; at < sizeBytes; at += mib.length) disk.write(at, mib);
  }
  t.true(disk.memory.residentBytes() <= sizeBytes + 3 * 2 ** 20);
  for (let at = 0; at < sizeBytes; at += mib.length) disk.zero(true, at, mib.length);
  t.true(disk.memory.residentBytes() <= 3 * 2 ** 20);
  disk.close();
});

test('what small writes have scattered lies together again after many large ones, in no more memory', (t) => {
  const sizeBytes = 8 * 2 ** 20;
  const disk = new CacheUnderTest(sizeBytes, 4096, { versionPages: 256 });
  const pages = sizeBytes / 4096;
  const large = units(4096, 32, 2);
  const pieces = (): number => {
    let count = 0;
    for (let at = 0; at < sizeBytes; count++) at += disk.cache.locate(at, sizeBytes);
    return count;
  };
  for (let at = 0; at < sizeBytes; at += large.length) disk.write(at, large);
  // 997 has no divisor in common with the number of pages: each is written three times.
  for (let i = 0; i < 3 * pages; i++) disk.write(((i * 997) % pages) * 4096, units(4096, 1, 1));
  t.true(pieces() > pages / 2);
  for (let i = 0; i < 2500; i++) disk.write(((i * 37) % (pages / 32)) * large.length, large);
  // Two for each large write.
  t.true(pieces() <= pages / 16, `${pieces()} pieces`);
  t.true(disk.memory.residentBytes() <= sizeBytes + 3 * 2 ** 20);
  disk.close();
});

test('large writes that lie across each other are brought together once, not for ever', (t) => {
  const sizeBytes = 8 * 2 ** 20;
  const disk = new CacheUnderTest(sizeBytes, 4096, { versionPages: 256 });
  const pages = sizeBytes / 4096;
  for (let i = 0; i < 3 * pages; i++) disk.write(((i * 997) % pages) * 4096, units(4096, 1, 1));
  const large = units(4096, 32, 2);
  const taken = new Set<number>();
  let fresh = 0;
  const writeLarge = (times: number): void => {
    fresh = 0;
    for (let i = 0; i < times; i++) {
      // At any page, so that hardly one covers another as a whole.
      const incoming = disk.receive(((i * 997) % (pages - 32)) * 4096, large);
      for (const slot of incoming.slots.subarray(0, incoming.count)) {
        if (!taken.has(slot)) fresh++;
        taken.add(slot);
      }
      disk.cache.commit(incoming);
    }
  };
  writeLarge(8000);
  t.true(fresh > pages, 'slots without memory were taken');
  writeLarge(4000);
  t.is(fresh, 0, 'none is taken any more');
  disk.close();
});

test('a slot that is being sent keeps its bytes, however often its page is written meanwhile', (t) => {
  const disk = new CacheUnderTest(SIZE, 4096, { versionPages: 2 });
  disk.write(0, units(4096, 1, 1));
  disk.cache.locate(0, 4096);
  const slot = disk.cache.foundAt / 4096;
  disk.cache.slots.pin(slot, 1);
  for (let fill = 2; fill < 20; fill++) disk.write(0, units(4096, 2, fill));
  t.deepEqual(Buffer.from(disk.cache.slots.bytes(slot, 0, 4096)), units(4096, 1, 1));
  disk.cache.slots.unpin(slot, 1);
  disk.close();
});

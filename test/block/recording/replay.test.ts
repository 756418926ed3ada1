// What a recording says about durability, by the rules B1 to B8; and recordings that end too early.

import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import test from 'ava';
import fc from 'fast-check';
import { images } from '../../../engine/block/power-cut-images.js';
import { openRecording, type Recording } from '../../../engine/block/recording/reader.js';
import { contentOf, ImageHash, Replay } from '../../../engine/block/recording/replay.js';
import { record, recordIn, type Script, testFolder, UNIT } from './make.js';

const SEED = 20_261_126;
const ALL = { exhaustUpTo: 1e6, sample: 0, seed: 0 };

/** The images after so many events, as the letters of the first units. */
function imagesAt(
  recording: Recording,
  units: number,
  position = recording.events.length,
): string[] {
  const replay = new Replay(recording);
  replay.advance(position);
  const point = replay.point();
  const letter = (content: number): string => {
    const bytes = new Uint8Array(UNIT);
    replay.contents.load(content, bytes);
    return bytes[0] === 0 ? '.' : String.fromCharCode(bytes[0]);
  };
  const base = Array.from({ length: units }, (_, unit) => letter(replay.contents.initial(unit)));
  for (const [place, unit] of replay.units.entries()) base[unit] = letter(point.floors[place]);
  return Array.from(images(point.pending, ALL), (choices) => {
    const image = [...base];
    for (const [i, { unit }] of point.pending.open.entries())
      image[unit] = letter(contentOf(replay.contents, point, i, choices[i]));
    return image.join('');
  }).sort();
}

function after(
  t: Parameters<typeof record>[0],
  units: number,
  write: (s: Script) => void,
): string[] {
  return imagesAt(record(t, write, { initial: 'abc' }), units);
}

test('before anything is flushed each unit is old or new', (t) => {
  t.deepEqual(
    after(t, 3, (s) => {
      s.done(0, 'XY');
    }),
    ['XYc', 'Xbc', 'aYc', 'abc'],
  );
});

test('a flush covers what was replied to before it began, and nothing else (B4)', (t) => {
  // The order of dm-log-writes' documentation: W1 W2 W3 C3 C2 Wflush C1 Cflush.
  t.deepEqual(
    after(t, 3, (s) => {
      const [first, second, third] = [s.write(0, 'X'), s.write(1, 'Y'), s.write(2, 'Z')];
      s.replied(third, second);
      const flush = s.flush();
      s.replied(first);
      s.flushed(flush);
    }),
    ['XYZ', 'aYZ'],
  );
});

test('a flush that failed or was not answered promises nothing (B4)', (t) => {
  for (const end of [(s: Script) => s.flushed(s.flush(), false), (s: Script) => s.flush()]) {
    t.deepEqual(
      after(t, 1, (s) => {
        s.done(0, 'X');
        end(s);
      }),
      ['X', 'a'],
    );
  }
});

test('a FUA write promises its own units only (B5)', (t) => {
  t.deepEqual(
    after(t, 3, (s) => {
      s.done(0, 'X');
      s.replied(s.write(1, 'Y', { fua: true }));
    }),
    ['XYc', 'aYc'],
  );
  t.deepEqual(
    after(t, 3, (s) => {
      s.write(1, 'Y', { fua: true });
    }),
    ['aYc', 'abc'],
  );
});

test('an older version may come back, but not one below the floor (B7)', (t) => {
  t.deepEqual(
    after(t, 1, (s) => {
      s.done(0, 'W');
      s.done(0, 'X');
      s.sync();
      s.done(0, 'Y');
      s.done(0, 'Z');
    }),
    ['X', 'Y', 'Z'],
  );
});

test('a trim is never durable, and zeroes are (B8)', (t) => {
  t.deepEqual(
    after(t, 3, (s) => {
      s.replied(s.zeroes(0, 1, false), s.zeroes(1, 1));
      s.sync();
    }),
    ['..c', 'a.c'],
  );
});

test('what is discarded of an empty disk makes no difference', (t) => {
  const recording = record(
    t,
    (s) => {
      s.replied(s.zeroes(0, 2 ** 31, false));
    },
    { initial: 'a', sizeBytes: UNIT * 2 ** 31 },
  );
  t.deepEqual(imagesAt(recording, 2), ['..', 'a.']);
});

test('an atomic write is seen whole or not at all (B1)', (t) => {
  t.deepEqual(
    after(t, 3, (s) => {
      s.replied(s.write(0, 'XYZ', { atomic: true }));
    }),
    ['XYZ', 'abc'],
  );
});

test('a write of less than a unit changes what was visible (B2)', (t) => {
  const recording = record(t, (s) => {
    s.replied(s.bytes(10, 'one'));
    s.replied(s.bytes(510, 'two!'));
  });
  const replay = new Replay(recording);
  replay.advance(recording.events.length);
  const point = replay.point();
  t.deepEqual(
    point.pending.open.map(({ versions }) => versions),
    [[1, 2], [2]],
  );
  const text = (content: number): string => {
    const bytes = Buffer.alloc(UNIT);
    replay.contents.load(content, bytes);
    return bytes.toString('latin1').replaceAll('\0', '');
  };
  t.deepEqual(
    point.contents.map((each) => each.map(text)),
    [
      ['', 'one', 'onetw'],
      ['', 'o!'],
    ],
  );
});

test('equal images have equal hashes, at whatever point, and others do not', (t) => {
  const operation = fc.oneof(
    fc.tuple(fc.constant('write' as const), fc.nat(2), fc.constantFrom('A', 'B', 'AB')),
    fc.tuple(fc.constant('sync' as const), fc.constant(0), fc.constant('')),
    fc.tuple(fc.constant('trim' as const), fc.nat(2), fc.constant('')),
  );
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 8 }), (operations) => {
      const recording = record(
        t,
        (s) => {
          for (const [what, unit, text] of operations) {
            if (what === 'write') s.done(unit, text);
            else if (what === 'trim') s.replied(s.zeroes(unit, 2, false));
            else s.sync();
          }
        },
        { initial: 'AB' },
      );
      const byHash = new Map<string, string>();
      const replay = new Replay(recording);
      for (let position = 0; position <= recording.events.length; position++) {
        replay.advance(position);
        const point = replay.point();
        const hash = new ImageHash(replay.contents, point);
        const hashes = Array.from(images(point.pending, ALL), (choices) => hash.of(choices)).sort();
        const texts = imagesAt(recording, 4, position);
        t.is(new Set(hashes).size, new Set(texts).size);
        for (const choices of images(point.pending, ALL)) {
          const image = new Map(replay.units.map((unit, place) => [unit, point.floors[place]]));
          for (const [i, { unit }] of point.pending.open.entries())
            image.set(unit, contentOf(replay.contents, point, i, choices[i]));
          const text = [0, 1, 2, 3]
            .map((unit) => {
              const bytes = new Uint8Array(UNIT);
              replay.contents.load(image.get(unit) ?? replay.contents.initial(unit), bytes);
              return bytes[0];
            })
            .join(' ');
          const key = hash.of(choices);
          t.is(byHash.get(key) ?? text, text);
          byHash.set(key, text);
        }
      }
      t.is(new Set(byHash.values()).size, byHash.size);
    }),
    { seed: SEED, numRuns: 60 },
  );
});

test('a recording that was cut anywhere is read up to its last whole record', (t) => {
  const folder = testFolder(t);
  const path = recordIn(
    folder,
    (s) => {
      s.writer.mark('before');
      for (let i = 0; i < 4; i++) s.done(i, 'X');
      s.sync();
    },
    { initial: 'ab' },
  );
  const whole = readFileSync(path);
  const complete = openRecording(path);
  t.is(complete.cutShort, null);
  t.is(complete.events.length, 11);
  complete.close();
  let events = 11;
  for (let length = whole.length - 1; length > 0; length -= 37) {
    truncateSync(path, length);
    try {
      const recording = openRecording(path);
      t.true(recording.events.length <= events);
      t.not(recording.cutShort, null);
      events = recording.events.length;
      recording.close();
    } catch (error) {
      t.true(
        error instanceof Error && /EINVAL: .*(no recording|first content)/.test(error.message),
      );
      events = 0;
    }
  }
  t.is(events, 0);
});

test('a damaged record ends the recording, and a damaged header refuses it', (t) => {
  const path = recordIn(testFolder(t), (s) => {
    for (let i = 0; i < 4; i++) s.done(i, 'X');
  });
  const bytes = readFileSync(path);
  bytes[bytes.lastIndexOf('X')] ^= 1;
  writeFileSync(path, bytes);
  const recording = openRecording(path);
  t.is(recording.events.length, 6);
  t.regex(recording.cutShort ?? '', /record at \d+ is damaged/);
  recording.close();
  bytes[30] ^= 1;
  writeFileSync(path, bytes);
  t.throws(() => openRecording(path), { code: 'EINVAL', message: /header of .* is damaged/ });
  writeFileSync(path, 'hello');
  t.throws(() => openRecording(path), { code: 'EINVAL', message: /is no recording/ });
  t.throws(() => openRecording(`${path}.missing`), { code: 'ENOENT' });
});

test('whatever the bytes of a recording are, it is read as far as it makes sense or refused', (t) => {
  const path = recordIn(testFolder(t), (s) => {
    s.writer.mark('one');
    for (let i = 0; i < 3; i++) s.done(i, 'X');
    s.replied(s.zeroes(1, 4), s.zeroes(2, 4, false));
    s.sync();
  });
  const whole = readFileSync(path);
  const spoilt = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 6 });
  fc.assert(
    fc.property(spoilt, (changes) => {
      const bytes = Buffer.from(whole);
      for (const [at, value] of changes) bytes[at] = value;
      writeFileSync(path, bytes);
      try {
        const recording = openRecording(path);
        const replay = new Replay(recording);
        replay.advance(recording.events.length);
        t.true(recording.events.length <= 13);
        recording.close();
      } catch (error) {
        t.true(error instanceof Error && /^EINVAL: /.test(error.message), String(error));
      }
    }),
    { seed: SEED, numRuns: 200 },
  );
});

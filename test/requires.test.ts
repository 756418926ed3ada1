// A missing program skips a test on one's own machine and fails it in CI.

import test from 'ava';
import { requires } from './support/requires.js';

const path = '/usr/bin:/bin';

/** Stands in for ava's `t`, and keeps what it is told. */
class Recorder {
  readonly notes: unknown[] = [];
  passes = 0;

  log(note: unknown): void {
    this.notes.push(note);
  }

  pass(): void {
    this.passes += 1;
  }
}

test('an installed program is found', (t) => {
  const fake = new Recorder();
  t.true(requires(fake, 'sh', 'dash', { PATH: path, CI: 'true' }));
  t.deepEqual(fake.notes, []);
});

test('a missing program skips, with a note that says what to install', (t) => {
  const fake = new Recorder();
  t.false(requires(fake, 'no-such-program', 'no-such-package', { PATH: path }));
  t.is(fake.passes, 1);
  t.regex(String(fake.notes.at(0)), /^# skip: no-such-program .*apt-get install no-such-package/);
});

test('a missing program fails in CI', (t) => {
  const fake = new Recorder();
  t.throws(() => requires(fake, 'no-such-program', 'x', { PATH: path, CI: 'true' }), {
    message: /CI skips no test/,
  });
});

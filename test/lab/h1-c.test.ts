// H1-c, the first program of the lab, under all three drivers from one source.

import test from 'ava';
import { createMachine } from '../../engine/machine.js';
import { initAllocator } from '../../engine/mm/alloc.js';
import { initNodes } from '../../engine/mm/pagecache.js';
import { pinBalance } from '../../engine/mm/vma.js';
import { profileByName } from '../../engine/profile/profiles.js';
import { AsyncDriver } from '../../engine/sched/async.js';
import { explore, replay } from '../../lab/explore.js';
import { h1c } from '../../lab/hazards/h1-c.js';
import { runInThreads } from '../../lab/threads.js';
import { kindsOf, verdict } from '../support/lab.js';

const linux = profileByName('linux-6.12');
const bounce = profileByName('linux-6.12+P7-bounce');

test('under linux-6.12 the exhaustive search finds the torn write and nothing else', (t) => {
  const result = explore(h1c(), linux);
  t.true(result.exhaustive);
  t.is(result.verdict, 'unsafe');
  t.deepEqual(
    result.failures.map((failure) => failure.finding.kind),
    ['torn-write'],
  );
});

test('the schedule of a failure replays it, exactly', (t) => {
  const [failure] = explore(h1c(), linux, { stopAtFirst: true }).failures;
  const once = replay(h1c(), linux, failure.schedule);
  t.deepEqual(once.findings, [failure.finding]);
  t.deepEqual(replay(h1c(), linux, failure.schedule), once);
});

test('with P7-bounce every schedule is safe', (t) => {
  const result = explore(h1c(), bounce);
  t.is(result.verdict, 'safe');
  t.true(result.exhaustive);
});

test('with the pinned test before mkclean P7-bounce is torn again (kernel.md 4.4)', (t) => {
  const result = explore(h1c(), { ...bounce, pinnedTest: 'before-mkclean' }, { stopAtFirst: true });
  t.is(result.verdict, 'unsafe');
  t.is(result.failures[0].finding.kind, 'torn-write');
});

test('what landed in 7.0, and to turn pages under writeback away (P10), leave it torn: refuted', (t) => {
  for (const name of ['linux-7.0', 'linux-5.2+P10-no-gup-under-writeback']) {
    t.deepEqual(kindsOf(t, h1c, profileByName(name)), ['torn-write'], name);
  }
});

test('a lock across the pin (P2, P11) helps, if the pin then waits for writeback', (t) => {
  t.is(verdict(h1c, profileByName('linux-5.17+P2-write-begin')), 'safe');
  t.is(verdict(h1c, profileByName('linux-6.12+P11-page-lock')), 'safe');
  const withoutStablePages = profileByName('linux-2.6.28+P11-page-lock');
  t.deepEqual(kindsOf(t, h1c, withoutStablePages), ['torn-write']);
});

test('a flusher that waits for pins under the folio lock (W1) hangs: the pinner wants that lock', (t) => {
  t.deepEqual(kindsOf(t, h1c, profileByName('linux-6.12+W1-block-mkclean')), ['hang']);
});

test('a search cut short by its budget does not call itself exhaustive', (t) => {
  const result = explore(h1c(), bounce, { budget: 100 });
  t.is(result.verdict, 'not-found');
  t.false(result.exhaustive);
  t.is(result.executions, 100);
});

test('random schedules of one seed are the same run twice', (t) => {
  const seed = 42;
  const first = explore(h1c(), linux, { strategy: 'random', seed, budget: 2000 });
  t.is(first.verdict, 'unsafe', `seed ${String(seed)}`);
  t.deepEqual(explore(h1c(), linux, { strategy: 'random', seed, budget: 2000 }), first);
});

test('in real worker threads linux-6.12 is torn', async (t) => {
  const result = await runInThreads('H1-c', linux, 100_000);
  t.is(result.failedRounds, 1, `${String(result.rounds)} rounds`);
  t.is(result.first?.kind, 'torn-write');
});

test('in real worker threads P7-bounce is not torn', async (t) => {
  const result = await runInThreads('H1-c', bounce, 3000);
  t.is(result.failedRounds, 0, JSON.stringify(result.first));
});

test('under the async driver all three actors run to their end on one event loop', async (t) => {
  const program = h1c(4096);
  const m = createMachine(program.geometry, linux, [new SharedArrayBuffer(4 * 4096)], true);
  initAllocator(m);
  initNodes(m);
  program.attach(m);
  const driver = new AsyncDriver(m.state.global);
  const task = m.newTask('set-up');
  await driver.run(task, program.setUp(task, m));
  // The waiting end of each hand-over starts first, so that it has to be parked and woken.
  const actors = [...program.actors].reverse();
  await Promise.all(
    actors.map((actor) => {
      const own = m.newTask(actor.name);
      return driver.run(own, actor.run(own, m));
    }),
  );
  driver.close();
  t.deepEqual(pinBalance(m), { acquired: 1, released: 1 });
  t.is(m.findings().count, 0);
});

test('a schedule of another program, profile, format or shape is refused by name', (t) => {
  for (const [text, message] of [
    ['pf1/H2-a/linux-6.12/a1', /schedule of H2-a/],
    ['pf1/H1-c/linux-5.2/a1', /under linux-5.2/],
    ['pf9/H1-c/linux-6.12/a1', /format "pf9"/],
    ['pf1/H1-c/linux-6.12/a1z9', /runs "a1z9"/],
    ['pf1/H1-c/linux-6.12', /not of the form/],
    ['pf1/H1-c/linux-6.12/h3', /decision 0 names an actor/],
    ['pf1/H1-c/linux-6.12/a99999', /more than/],
  ] as const) {
    t.throws(() => replay(h1c(), linux, text), { code: 'EINVAL', message }, text);
  }
});

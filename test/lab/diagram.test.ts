// Race diagrams: they tell what the run did, in columns that fit, and why it broke.

import test from 'ava';
import { profileByName } from '../../engine/profile/profiles.js';
import { downWrite, upWrite } from '../../engine/sched/lock.js';
import { type Op, sleepOn } from '../../engine/sched/op.js';
import { lab, STEP } from '../../engine/sched/step.js';
import { type Diagram, diagram, diagramOf } from '../../lab/diagram/diagram.js';
import { formatHtml } from '../../lab/diagram/html.js';
import { formatSvg } from '../../lab/diagram/svg.js';
import { formatText } from '../../lab/diagram/text.js';
import { wrap } from '../../lab/diagram/wrap.js';
import { explore, replay } from '../../lab/explore.js';
import { LAB_PAGE_BYTES } from '../../lab/hazard.js';
import { h1c } from '../../lab/hazards/h1-c.js';
import { HAZARDS, hazardByName } from '../../lab/hazards/index.js';
import type { Program } from '../../lab/program.js';

const linux = profileByName('linux-6.12');
const bounce = profileByName('linux-6.12+P7-bounce');
const H1C = hazardByName('H1-c');

function firstFailure(): string {
  return explore(h1c(), linux, { stopAtFirst: true }).failures[0].schedule;
}

function torn(): Diagram {
  return diagramOf(H1C, linux, LAB_PAGE_BYTES, firstFailure());
}

test('H1-c under linux-6.12 is obvious within 25 lines', (t) => {
  const text = formatText(torn());
  const rows = text.split('\n');
  const finding = rows.findIndex((row) => row.includes('*** torn-write'));
  t.true(finding > 0 && finding < 25, text);
  const order = [
    /pins page 1/,
    /mkclean: write-protects pte 0/,
    /clears dirty of page 1/,
    /sets writeback of page 1/,
    /samples the checksum/,
    /disk block 0 word 0 = 1 \.\.\./,
    /stores 2 into/,
    /disk block 0 word 1 = 2/,
    /\*\*\* torn-write/,
  ].map((pattern) => rows.findIndex((row) => pattern.test(row)));
  t.false(order.includes(-1), text);
  t.deepEqual(
    order,
    [...order].sort((a, b) => a - b),
  );
});

test('it says why, with the lines in question', (t) => {
  const { broken, lines } = torn();
  t.is(broken.length, 1);
  const [{ finding, line, why }] = broken;
  t.is(finding.kind, 'torn-write');
  t.is(lines[(line ?? 0) - 1].finding, finding);
  const textOf = (number: number): string => lines[number - 1].text;
  const [race, pin] = why;
  t.regex(textOf(race.lines[0]), /samples the checksum/);
  t.regex(textOf(race.lines[1]), /stores 2 into page 1/);
  t.regex(textOf(race.lines[2]), /disk block 0 word 1 = 2/);
  t.regex(textOf(pin.lines[0]), /pins page 1/);
  t.regex(textOf(pin.lines[1]), /mkclean/);
});

test('the state beside a line is the state after it', (t) => {
  const { lines } = torn();
  const after = (pattern: RegExp) => {
    const line = lines.find(({ text }) => pattern.test(text));
    return line?.pages[0];
  };
  t.like(after(/^pins page 1/), { pins: 1, mapped: 'rw', file: { inode: 0, index: 0 } });
  t.like(after(/mkclean/), { mapped: 'ro' });
  t.true(after(/mkclean/)?.flags.includes('dirty'));
  t.false(after(/clears dirty/)?.flags.includes('dirty'));
  t.true(after(/sets writeback/)?.flags.includes('writeback'));
  t.false(after(/ends writeback/)?.flags.includes('writeback'));
});

test('watching a run does not change it', (t) => {
  const schedule = firstFailure();
  const run = replay(h1c(), linux, schedule);
  const seen = diagram(h1c(), linux, schedule);
  t.deepEqual(
    seen.broken.map(({ finding }) => finding),
    [...run.findings],
  );
  t.is(seen.steps, run.steps);
  t.is(diagram(h1c(), linux, seen.schedule).schedule, seen.schedule);
});

test('a run without a schedule goes on with each actor as long as it can', (t) => {
  const plain = diagram(h1c(), bounce);
  t.is(plain.preemptions, 0);
  t.is(plain.ending, 'done');
  t.deepEqual(plain.broken, []);
  t.regex(formatText(plain), /Nothing broke in this run/);
});

test('no row is wider than asked for, and none is empty in its column', (t) => {
  for (const width of [80, 100, 120]) {
    const rows = formatText(torn(), width).split('\n');
    t.true(rows.every((row) => row.length <= width, `${width} columns`));
  }
  t.deepEqual(wrap('locks page 1 ...', 12), ['locks', 'page 1 ...']);
  t.deepEqual(wrap('a', 4), ['a']);
  t.deepEqual(wrap('abcdefgh ij', 4), ['abcd', 'efgh', 'ij']);
});

test('the picture and the page need nothing from outside, and are well-formed', (t) => {
  const made = torn();
  const svg = formatSvg({ ...made, title: 'a < b & "c"' });
  for (const document of [svg, formatHtml(made, H1C)]) {
    t.notRegex(
      document.replaceAll('http://www.w3.org/2000/svg', ''),
      /https?:|<script|@import|url\(/,
    );
  }
  t.true(svg.includes('a &lt; b &amp; &quot;c&quot;'));
  t.deepEqual(unclosed(svg), []);
  t.true(formatHtml(made, H1C).includes('Meanwhile the flusher writes'));
});

/** Elements that are not closed, or closed without being open. */
function unclosed(xml: string): string[] {
  const open: string[] = [];
  for (const [, close, name, own] of xml.matchAll(/<(\/?)([a-z]+)[^<>]*?(\/?)>/g)) {
    if (close === '/') {
      if (open.pop() !== name) return [name];
    } else if (own !== '/') open.push(name);
  }
  return open;
}

test('every hazard has a diagram under every kind of rules, also where it holds no surprise', (t) => {
  for (const hazard of HAZARDS) {
    for (const name of ['linux-2.6.28', 'linux-5.2', 'linux-6.12', 'linux-6.15', 'best-known']) {
      const profile = profileByName(name);
      if ((hazard.notApplicable?.(profile) ?? null) !== null) continue;
      const made = diagramOf(hazard, profile, LAB_PAGE_BYTES);
      t.true(made.lines.length > 0, `${hazard.id} under ${name}`);
      t.true(
        formatText(made, 80)
          .split('\n')
          .every((row) => row.length <= 80),
      );
      t.notThrows(() => formatSvg(made));
    }
  }
});

/** Two actors that take two semaphores in opposite orders. */
function inversion(): Program {
  const take = function* (
    first: 0 | 1,
    second: 0 | 1,
    task: Parameters<Program['setUp']>[0],
    m: Parameters<Program['setUp']>[1],
  ): Op<void> {
    const locks = [m.iRwsem, m.mmapLock];
    yield* downWrite(task, locks[first], 0);
    yield* downWrite(task, locks[second], 0);
    if (lab?.point()) yield STEP;
    upWrite(task, locks[second], 0);
    if (lab?.point()) yield STEP;
    upWrite(task, locks[first], 0);
  };
  return {
    name: 'inversion',
    geometry: {
      pageBytes: 8,
      pages: 2,
      cpus: 1,
      mms: 1,
      mmPages: 1,
      vmas: 1,
      inodes: 1,
      nodes: 1,
      framesInState: true,
      extraWords: 1,
    },
    attach: () => undefined,
    setUp: function* (task, m) {
      if (m.panicked) yield sleepOn(task, m.state.global, 0, 0);
    },
    actors: [
      { name: 'write', run: (task, m) => take(0, 1, task, m) },
      { name: 'mmap', run: (task, m) => take(1, 0, task, m) },
    ],
    verify: () => [],
  };
}

test('a deadlock shows who waits for what, and who holds it', (t) => {
  const { failures } = explore(inversion(), linux);
  const hang = failures.find(({ finding }) => finding.kind === 'hang');
  const made = diagram(inversion(), linux, hang?.schedule);
  t.is(made.ending, 'deadlock');
  const text = formatText(made);
  t.regex(text, /waits for mmap_lock of mm 0 \(held by mmap\)/);
  t.regex(text, /waits for i_rwsem of inode 0 \(held by write\)/);
  const reasons = made.broken.find(({ finding }) => finding.kind === 'hang')?.why ?? [];
  t.is(reasons.length, 2);
  t.true(made.lines.some(({ finding }) => finding?.kind === 'lockdep'));
});

test('a schedule that does not belong to the program is refused', (t) => {
  const draw = (schedule: string) => () => diagram(h1c(), linux, schedule);
  t.throws(draw('pf1/H2-a/linux-6.12/a1'), { code: 'EINVAL', message: /schedule of H2-a/ });
  t.throws(draw('pf1/H1-c/linux-6.12/h1'), { code: 'EINVAL', message: /does not fit H1-c/ });
});

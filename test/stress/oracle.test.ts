// The oracle by itself: which contents of a cell are legal, and which finding each illegal one is.

import test from 'ava';
import fc from 'fast-check';
import { type Claim, judge, newClaim } from '../../clients/stress/oracle.js';
import { makePlan, rowOf } from '../../clients/stress/plan.js';
import { PromiseBook } from '../../clients/stress/promise.js';
import { Random } from '../../clients/stress/random.js';
import {
  CELL_WORDS,
  newCell,
  PAGE_WORDS,
  readCell,
  writeStamp,
} from '../../clients/stress/stamp.js';
import { newTables } from '../../clients/stress/tables.js';

const PLACE = { writer: 1, file: 2, page: 3 };

function cellWith(sequence: number, place = PLACE): ReturnType<typeof newCell> {
  const words = new Int32Array(CELL_WORDS);
  if (sequence > 0) writeStamp(words, 0, place.writer, sequence, place.file, place.page);
  const cell = newCell();
  readCell(words, 0, cell);
  return cell;
}

function claimOf(changes: Partial<Claim>): Claim {
  return { ...newClaim(), ...changes };
}

test('a cell that was never written is zero', (t) => {
  t.is(judge(cellWith(0), PLACE, claimOf({})), null);
  t.is(judge(cellWith(1), PLACE, claimOf({})), 'foreign-write');
});

test('the last answered write is found, or one begun later', (t) => {
  const claim = claimOf({ floor: 5, invoked: 7 });
  t.is(judge(cellWith(5), PLACE, claim), null);
  t.is(judge(cellWith(7), PLACE, claim), null);
  t.is(judge(cellWith(4), PLACE, claim), 'lost-write');
  t.is(judge(cellWith(8), PLACE, claim), 'foreign-write');
  t.is(judge(cellWith(0), PLACE, claim), 'lost-write');
});

test('zeroes are legal only if a cut is not known to be before the write', (t) => {
  const claim = claimOf({ floor: 5, invoked: 5, floorCuts: 2 });
  t.is(judge(cellWith(0), PLACE, { ...claim, cutsStarted: 2 }), 'lost-write');
  t.is(judge(cellWith(0), PLACE, { ...claim, cutsStarted: 3 }), null);
  t.is(judge(cellWith(4), PLACE, { ...claim, cutsStarted: 3 }), 'lost-write');
});

test('half a stamp is legal only of a write in flight that may be half done', (t) => {
  const broken = { ...cellWith(6), kind: 'broken' as const };
  const claim = claimOf({ floor: 5, invoked: 6, mayBeHalf: true });
  t.is(judge(broken, PLACE, claim), null);
  t.is(judge(broken, PLACE, { ...claim, mayBeHalf: false }), 'torn-write');
  t.is(judge(broken, PLACE, { ...claim, invoked: 5 }), 'torn-write');
});

test('a stamp of another writer, file or page is foreign, and so is any in a cell of nobody', (t) => {
  const claim = claimOf({ floor: 5, invoked: 9 });
  t.is(judge(cellWith(6, { ...PLACE, writer: 2 }), PLACE, claim), 'foreign-write');
  t.is(judge(cellWith(6, { ...PLACE, file: 1 }), PLACE, claim), 'foreign-write');
  t.is(judge(cellWith(6, { ...PLACE, page: 4 }), PLACE, claim), 'foreign-write');
  t.is(judge(cellWith(6), { ...PLACE, writer: -1 }, claim), 'foreign-write');
});

test('any changed word of a stamp is noticed', (t) => {
  const cell = newCell();
  fc.assert(
    fc.property(
      fc.nat({ max: CELL_WORDS - 1 }),
      fc.integer({ min: 1, max: 0x7fffffff }),
      fc.nat({ max: 1000 }),
      (word, change, sequence) => {
        const words = new Int32Array(PAGE_WORDS);
        writeStamp(words, 32, 3, sequence, 1, 9);
        words[32 + word] ^= change;
        readCell(words, 32, cell);
        return cell.kind === 'broken';
      },
    ),
  );
  t.pass();
});

test('a stamp half overwritten by the next one is broken at every word', (t) => {
  const cell = newCell();
  for (let words = 1; words < CELL_WORDS; words++) {
    const older = new Int32Array(CELL_WORDS);
    const newer = new Int32Array(CELL_WORDS);
    writeStamp(older, 0, 1, 10, 0, 7);
    writeStamp(newer, 0, 1, 11, 0, 7);
    older.set(newer.subarray(0, words));
    readCell(older, 0, cell);
    // The first words of two stamps of one writer are the same.
    t.is(cell.kind, words <= 2 ? 'stamp' : 'broken', `${words} words`);
  }
});

test('an fsync promises what was answered when it began, and only if it succeeds', (t) => {
  const plan = makePlan(1, 1, { sharedFiles: 1, sharedPages: 80, frames: 256 });
  const tables = newTables(plan, 0);
  const [file] = plan.files;
  const row = rowOf(file, 7, 1);
  const book = new PromiseBook(tables);
  const write = (): number => {
    const sequence = tables.begin(file, 7, 1);
    tables.answer(file, 7, 1, sequence, 0);
    return sequence;
  };
  const first = write();
  t.true(book.open(file));
  const second = write();
  book.close(true);
  t.is(tables.durable[row], first);
  t.true(book.open(file));
  t.false(new PromiseBook(tables).open(file), 'one fsync of a file promises at a time');
  book.close(false);
  t.is(tables.durable[row], first);
  t.true(book.open(file));
  book.close(true);
  t.is(tables.durable[row], second);
});

test('the same seed gives the same choices, another epoch or worker gives others', (t) => {
  const draw = (seed: number, epoch: number, worker: number): number[] => {
    const random = new Random(seed, epoch, worker);
    return Array.from({ length: 20 }, () => random.below(1000));
  };
  t.deepEqual(draw(7, 1, 2), draw(7, 1, 2));
  t.notDeepEqual(draw(7, 1, 2), draw(7, 2, 2));
  t.notDeepEqual(draw(7, 1, 2), draw(7, 1, 1));
  t.notDeepEqual(draw(7, 1, 2), draw(8, 1, 2));
});

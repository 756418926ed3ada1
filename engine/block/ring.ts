// The ring behind a block queue: requests in fixed slots of shared memory, and their answers.
//
//   +------+------------------------+------------------------+--- - -+-------------------+--- - -
//   | head | slot 0: what is asked, | slot 1                 | ...   | ticket 0: answer, | ...
//   |      | of which ticket,       |                        |       | error             |
//   |      | 256 frames             |                        |       |                   |
//   +------+------------------------+------------------------+--- - -+-------------------+--- - -
//
// A slot is on the free list, or belongs to its submitter who fills it, or is on the list of pending
// requests, or belongs to the server who works on it. It is free again when its request is answered,
// so whoever has not yet looked at an answer keeps nobody from asking; the ticket, of which there
// are many, is free when its answer was collected. The spinlock (class `queue`) covers all lists:
//
//   answer = generation << 2 | PENDING, ANSWERED, or ABANDONED (the submitter will not come back)

import type { Machine } from '../machine.js';
import { add, cas, exchange, load, read, store, write } from '../memory/word.js';
import { InvariantError } from '../sched/errors.js';
import { type Locks, spinLock, spinUnlock } from '../sched/lock.js';
import { type Op, sleepOn, type Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { wake } from '../sched/wait.js';
import { type BlockRequest, REQUEST_PAGES_MAX } from './request.js';

/** Words at the head of a ring. */
export const RING = {
  lock: 0,
  depth: 1,
  /** Lists of slots (number + 1) and of tickets. */
  freeHead: 2,
  pendingHead: 3,
  pendingTail: 4,
  /** Counters that sleepers watch: a request came; a slot or ticket became free. */
  requestBell: 5,
  freeBell: 6,
  /** Number of BLOCK_ERRORS that ends all writing, or 0. */
  failed: 7,
  /** Servers end when it is 1 and nothing is pending. */
  stop: 8,
  /** Statistics: requests, transfers to the device after merging, pages, flushes of the device. */
  requests: 9,
  transfers: 10,
  pagesRead: 11,
  pagesWritten: 12,
  flushes: 13,
  freeTicket: 14,
  words: 16,
} as const;

/** Words of a slot; its frames follow. */
export const SLOT = {
  /** Next slot (number + 1) of its list. */
  next: 0,
  op: 1,
  block: 2,
  count: 3,
  fua: 4,
  ticket: 5,
  frames: 8,
  words: 8 + REQUEST_PAGES_MAX,
} as const;

/** Words of a ticket. */
const TICKET = { answer: 0, error: 1, next: 2, words: 3 } as const;

/** Numbers of operations in a slot. */
export const SLOT_OP = { read: 0, write: 1, flush: 2, discard: 3 } as const;

export const RING_DEPTH_MAX = 256;

const PENDING = 1;
const ANSWERED = 2;
const ABANDONED = 3;

const TICKETS_PER_SLOT = 16;
const TICKETS_MIN = 64;
const TICKET_BITS = 12;
const GENERATIONS = 2 ** 19;

function ticketsOf(depth: number): number {
  return Math.max(TICKETS_MIN, depth * TICKETS_PER_SLOT);
}

/** Shared words of a ring of `depth` requests. */
export function ringWords(depth: number): number {
  if (!Number.isInteger(depth) || depth < 1 || depth > RING_DEPTH_MAX) {
    throw new InvariantError(
      `a block queue of ${String(depth)} requests: 1 to ${String(RING_DEPTH_MAX)} are possible`,
    );
  }
  return RING.words + depth * SLOT.words + ticketsOf(depth) * TICKET.words;
}

/** The ring of one queue, as one thread sees it. */
export class RequestRing {
  private readonly lock: Locks;

  constructor(
    readonly m: Machine,
    readonly words: Int32Array,
  ) {
    this.lock = m.locks('queue', words.subarray(RING.lock, RING.lock + 1));
  }

  /** Puts all slots on the free list. Once, before anybody uses the ring. */
  init(depth: number): void {
    if (this.words.length < ringWords(depth)) {
      throw new InvariantError(`${String(this.words.length)} words for ${String(depth)} requests`);
    }
    this.words.fill(0);
    this.words[RING.depth] = depth;
    this.words[RING.freeHead] = 1;
    for (let slot = 0; slot < depth; slot++) {
      this.words[this.at(slot, SLOT.next)] = slot + 1 < depth ? slot + 2 : 0;
    }
    const tickets = ticketsOf(depth);
    this.words[RING.freeTicket] = 1;
    for (let ticket = 0; ticket < tickets; ticket++) {
      this.words[this.ticketAt(ticket, TICKET.next)] = ticket + 1 < tickets ? ticket + 2 : 0;
    }
  }

  /** The index in `words` of a field of a slot. */
  at(slot: number, field: number): number {
    return RING.words + slot * SLOT.words + field;
  }

  /** Enters a request, waiting for a free slot. Returns what collect() takes. */
  *enter(task: Task, request: BlockRequest): Op<number> {
    const { words } = this;
    const slot = yield* this.takeFree(task);
    const base = this.at(slot, 0);
    const ticket = read(words, base + SLOT.ticket);
    write(words, base + SLOT.op, SLOT_OP[request.op]);
    write(words, base + SLOT.block, request.block);
    write(words, base + SLOT.count, request.count);
    write(words, base + SLOT.fua, request.fua ? 1 : 0);
    write(words, base + SLOT.next, 0);
    if (request.op === 'read' || request.op === 'write') {
      for (let i = 0; i < request.count; i++) {
        write(words, base + SLOT.frames + i, request.frames[i]);
      }
    }
    const answer = this.ticketAt(ticket, TICKET.answer);
    if (lab?.point()) yield STEP;
    const before = load(words, answer);
    const generation = ((before >>> 2) + 1) % GENERATIONS;
    if (lab?.point()) yield STEP;
    store(words, answer, (generation << 2) | PENDING);

    yield* spinLock(task, this.lock, 0);
    const tail = read(words, RING.pendingTail);
    if (tail === 0) write(words, RING.pendingHead, slot + 1);
    else write(words, this.at(tail - 1, SLOT.next), slot + 1);
    write(words, RING.pendingTail, slot + 1);
    write(words, RING.requests, read(words, RING.requests) + 1);
    if (lab?.point()) yield STEP;
    spinUnlock(task, this.lock, 0);
    if (lab?.point()) yield STEP;
    add(words, RING.requestBell, 1);
    wake(words, RING.requestBell);
    return (generation << TICKET_BITS) | ticket;
  }

  /** Sleeps until the request is answered, and frees its ticket. Returns the error number, or 0. */
  *collect(task: Task, entered: number): Op<number> {
    const ticket = entered & ((1 << TICKET_BITS) - 1);
    const generation = (entered >>> TICKET_BITS) << 2;
    const at = this.ticketAt(ticket, TICKET.answer);
    let answer = 0;
    try {
      for (;;) {
        if (lab?.point()) yield STEP;
        answer = load(this.words, at);
        if (answer !== (generation | PENDING)) break;
        yield sleepOn(task, this.words, at, answer);
      }
    } catch (error) {
      const before = cas(this.words, at, generation | PENDING, generation | ABANDONED);
      if (before === (generation | ANSWERED)) yield* this.freeTicket(task, ticket);
      throw error;
    }
    if (answer !== (generation | ANSWERED)) {
      throw new InvariantError(`the answer to request ${String(entered)} was collected before`);
    }
    const error = read(this.words, this.ticketAt(ticket, TICKET.error));
    yield* this.freeTicket(task, ticket);
    return error;
  }

  /** Takes pending requests in their order for a server; returns how many. */
  *takePending(task: Task, slots: Int32Array): Op<number> {
    const { words } = this;
    yield* spinLock(task, this.lock, 0);
    let next = read(words, RING.pendingHead);
    let count = 0;
    while (next !== 0 && count < slots.length) {
      slots[count++] = next - 1;
      next = read(words, this.at(next - 1, SLOT.next));
    }
    write(words, RING.pendingHead, next);
    if (next === 0) write(words, RING.pendingTail, 0);
    if (lab?.point()) yield STEP;
    spinUnlock(task, this.lock, 0);
    return count;
  }

  /** Answers a request that takePending() gave out, with 0 or an error number; its slot is free again. */
  *answer(task: Task, slot: number, error: number): Op<void> {
    const { words } = this;
    const ticket = read(words, this.at(slot, SLOT.ticket));
    yield* spinLock(task, this.lock, 0);
    write(words, this.at(slot, SLOT.next), read(words, RING.freeHead));
    write(words, RING.freeHead, slot + 1);
    write(words, RING.freeBell, read(words, RING.freeBell) + 1);
    if (lab?.point()) yield STEP;
    spinUnlock(task, this.lock, 0);
    wake(words, RING.freeBell);

    const at = this.ticketAt(ticket, TICKET.answer);
    write(words, this.ticketAt(ticket, TICKET.error), error);
    if (lab?.point()) yield STEP;
    const before = load(words, at);
    if (lab?.point()) yield STEP;
    const replaced = exchange(words, at, (before & ~3) | ANSWERED);
    wake(words, at);
    if ((replaced & 3) === ABANDONED) yield* this.freeTicket(task, ticket);
  }

  /** Adds to a statistic of the head. One step. */
  count(field: number, amount: number): void {
    add(this.words, field, amount);
  }

  private ticketAt(ticket: number, field: number): number {
    return this.at(this.words[RING.depth], 0) + ticket * TICKET.words + field;
  }

  /** A slot with a ticket in it. */
  private *takeFree(task: Task): Op<number> {
    const { words } = this;
    for (;;) {
      yield* spinLock(task, this.lock, 0);
      const slot = read(words, RING.freeHead);
      const ticket = read(words, RING.freeTicket);
      const seen = read(words, RING.freeBell);
      if (slot !== 0 && ticket !== 0) {
        write(words, RING.freeHead, read(words, this.at(slot - 1, SLOT.next)));
        write(words, RING.freeTicket, read(words, this.ticketAt(ticket - 1, TICKET.next)));
        write(words, this.at(slot - 1, SLOT.ticket), ticket - 1);
      }
      if (lab?.point()) yield STEP;
      spinUnlock(task, this.lock, 0);
      if (slot !== 0 && ticket !== 0) return slot - 1;
      yield sleepOn(task, words, RING.freeBell, seen);
    }
  }

  private *freeTicket(task: Task, ticket: number): Op<void> {
    const { words } = this;
    yield* spinLock(task, this.lock, 0);
    const wasNone = read(words, RING.freeTicket) === 0;
    write(words, this.ticketAt(ticket, TICKET.next), read(words, RING.freeTicket));
    write(words, RING.freeTicket, ticket + 1);
    if (wasNone) write(words, RING.freeBell, read(words, RING.freeBell) + 1);
    if (lab?.point()) yield STEP;
    spinUnlock(task, this.lock, 0);
    if (wasNone) wake(words, RING.freeBell);
  }
}

// The moments of a recording at which a power cut is worth trying, and what they are called.

import type { DiskEvent, Recording, WriteEvent } from './reader.js';

export const POINT_KINDS = ['flush', 'reply', 'all'] as const;
export type PointKind = (typeof POINT_KINDS)[number];

/** Numbers of writes and flushes from 1 on, in the order of the recording, as reports name them. */
export class EventNames {
  readonly #writes = new Map<number, { readonly number: number; readonly event: WriteEvent }>();
  readonly #flushes = new Map<number, number>();

  constructor(events: readonly DiskEvent[]) {
    for (const event of events) {
      if (event.kind === 'write')
        this.#writes.set(event.id, { number: this.#writes.size + 1, event });
      else if (event.kind === 'flush') this.#flushes.set(event.id, this.#flushes.size + 1);
    }
  }

  /** The write of an id, if it was told. */
  write(id: number): { readonly number: number; readonly event: WriteEvent } | undefined {
    return this.#writes.get(id);
  }

  /** The number of a flush; 0 if it was not told. */
  flush(id: number): number {
    return this.#flushes.get(id) ?? 0;
  }

  /** An event in a few words: `reply to write #17`. */
  of(event: DiskEvent): string {
    switch (event.kind) {
      case 'write':
        return `${wordOf(event)} #${this.#writes.get(event.id)?.number ?? 0}`;
      case 'replied': {
        const write = this.#writes.get(event.id);
        if (write === undefined) return 'a reply';
        return `reply to ${wordOf(write.event)} #${write.number}`;
      }
      case 'flush':
        return `flush #${this.flush(event.id)}`;
      case 'flushed':
        return `${event.ok ? 'reply' : 'error reply'} to flush #${this.flush(event.id)}`;
      case 'mark':
        return `mark '${event.text}'`;
    }
  }

  /** A crash point in words. @param position so many events have happened */
  point(events: readonly DiskEvent[], position: number): string {
    const before = events.at(position);
    if (position === 0) return 'before anything happened';
    if (before === undefined) return `at the end, after ${this.of(events[position - 1])}`;
    return `after ${this.of(events[position - 1])}, before ${this.of(before)}`;
  }
}

/** What a write is called. */
export function wordOf({ change, fua, atomic }: WriteEvent): string {
  const word = change === 'data' ? 'write' : change === 'zeroes' ? 'write of zeroes' : 'trim';
  return `${fua ? 'FUA ' : ''}${atomic ? 'atomic ' : ''}${word}`;
}

/**
 * Crash points, in the order of B10: those around replies to FLUSH and FUA (between two of them images only
 * differ by what is optional anyway) and the end; then those after each reply and mark; then all others.
 * @returns lists of positions, each rising: as many lists as the kind asks for
 */
export function crashPoints({ events }: Recording, kind: PointKind): number[][] {
  const names = new EventNames(events);
  const flush = new Set([events.length]);
  const reply = new Set<number>();
  for (const [i, event] of events.entries()) {
    const durable =
      event.kind === 'flushed'
        ? event.ok
        : event.kind === 'replied' && (event.fua || names.write(event.id)?.event.fua === true);
    if (durable) flush.add(i).add(i + 1);
    else if (event.kind === 'replied' || event.kind === 'mark') reply.add(i + 1);
  }
  const all = new Set(Array.from({ length: events.length + 1 }, (_, i) => i));
  const sets = { flush: [flush], reply: [flush, reply], all: [flush, reply, all] }[kind];
  const seen = new Set<number>();
  return sets.map((set) => {
    const fresh = [...set].filter((position) => !seen.has(position)).sort((a, b) => a - b);
    for (const position of fresh) seen.add(position);
    return fresh;
  });
}

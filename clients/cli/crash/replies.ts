// What the client of a recorded disk had been told by the time of a power cut, as JSON for checkers (B11).

import type { EventNames } from '../../../engine/block/recording/points.js';
import type { Recording } from '../../../engine/block/recording/reader.js';

/** One reply, in the order in which they came. */
export type SeenReply =
  | {
      readonly kind: 'write' | 'zeroes' | 'trim';
      /** As reports name it: write #1 is the first one. */
      readonly number: number;
      readonly offset: number;
      readonly length: number;
      readonly fua: boolean;
    }
  | { readonly kind: 'flush'; readonly number: number; readonly ok: boolean };

export interface SeenReplies {
  readonly position: number;
  /** Words that a script noted with pinfold disk mark. */
  readonly marks: readonly string[];
  readonly replies: readonly SeenReply[];
}

export function repliesBefore(
  { events }: Recording,
  names: EventNames,
  position: number,
): SeenReplies {
  const marks: string[] = [];
  const replies: SeenReply[] = [];
  for (const event of events.slice(0, position)) {
    if (event.kind === 'mark') marks.push(event.text);
    else if (event.kind === 'flushed')
      replies.push({ kind: 'flush', number: names.flush(event.id), ok: event.ok });
    else if (event.kind === 'replied') {
      const write = names.write(event.id);
      if (write === undefined) continue;
      const { change, offset, length, fua } = write.event;
      const kind = change === 'data' ? 'write' : change;
      replies.push({ kind, number: write.number, offset, length, fua });
    }
  }
  return { position, marks, replies };
}

/** For each position, the last one before it at which the client had been told as much. */
export function tellingPositions({ events }: Recording): Int32Array {
  const telling = new Int32Array(events.length + 1);
  for (const [i, { kind }] of events.entries())
    telling[i + 1] = kind === 'write' || kind === 'flush' ? telling[i] : i + 1;
  return telling;
}

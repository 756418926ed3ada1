// The reply to BLOCK_STATUS, from data and holes in turns.

import { BASE_ALLOCATION_ID, CHUNK, CHUNK_DONE, EXTENT, putUint32, putUint64 } from './protocol.js';
import { type Replies, type Request, STYLE } from './replies.js';

/** The number of an extent's bytes in a chunk: | length | flags |, 4 or 8 each. */
const EXTENT_BYTES = 8;
const EXTENDED_EXTENT_BYTES = 16;

/** @param lengths of the extents in bytes, from the request's offset on; `dataFirst` says what the first one is */
export function replyExtents(
  replies: Replies,
  request: Request,
  lengths: Float64Array,
  count: number,
  dataFirst: boolean,
): void {
  const extended = replies.style === STYLE.EXTENDED;
  const bytes = extended ? EXTENDED_EXTENT_BYTES : EXTENT_BYTES;
  const head = extended ? 8 : 4;
  const type = extended ? CHUNK.BLOCK_STATUS_EXT : CHUNK.BLOCK_STATUS;
  replies.chunk(request, CHUNK_DONE, type, head + count * bytes);
  let at = replies.reserve(head + count * bytes);
  putUint32(replies.buffer, at, BASE_ALLOCATION_ID);
  if (extended) putUint32(replies.buffer, at + 4, count);
  at += head;
  for (let i = 0; i < count; i++, at += bytes) {
    const flags = (i % 2 === 0) === dataFirst ? EXTENT.DATA : EXTENT.HOLE_ZERO;
    const length = lengths[i] ?? 0;
    if (extended) {
      putUint64(replies.buffer, at, length);
      putUint64(replies.buffer, at + 8, flags);
    } else {
      putUint32(replies.buffer, at, length);
      putUint32(replies.buffer, at + 4, flags);
    }
  }
}

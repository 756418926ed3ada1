// The header of a request on the wire, see protocol.ts.

import { BYTES, getUint16, getUint32, getUint64, MAGIC } from './protocol.js';
import { type Request, STYLE } from './replies.js';

/** Its length, for a connection that answers in that style. */
export function headerBytes(style: number): number {
  return style === STYLE.EXTENDED ? BYTES.EXTENDED_REQUEST : BYTES.REQUEST;
}

/** @returns false if it is no header */
export function readHeader(
  buffer: Uint8Array,
  at: number,
  style: number,
  request: Request,
): boolean {
  const extended = style === STYLE.EXTENDED;
  if (getUint32(buffer, at) !== (extended ? MAGIC.EXTENDED_REQUEST : MAGIC.REQUEST)) return false;
  request.flags = getUint16(buffer, at + 4);
  request.type = getUint16(buffer, at + 6);
  for (let i = 0; i < 8; i++) {
    request.cookie[i] = buffer[at + 8 + i] ?? 0;
    request.offsetBytes[i] = buffer[at + 16 + i] ?? 0;
  }
  request.offset = getUint64(buffer, at + 16);
  request.length = extended ? getUint64(buffer, at + 24) : getUint32(buffer, at + 24);
  request.delayUs = 0;
  request.isLie = false;
  return true;
}

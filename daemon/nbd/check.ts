// What is wrong with a request before anything is done.

import type { Export } from './handshake.js';
import { PAYLOAD_BYTES_MAX } from './limits.js';
import {
  BASE_ALLOCATION_ID,
  COMMAND,
  COMMAND_FLAG,
  ERROR,
  getUint32,
  getUint64,
} from './protocol.js';
import { type Request, STYLE } from './replies.js';

/** Flags that each command may have, beside FUA. */
const FLAGS: readonly number[] = [
  COMMAND_FLAG.DF,
  COMMAND_FLAG.PAYLOAD_LEN,
  0,
  0,
  0,
  0,
  COMMAND_FLAG.NO_HOLE | COMMAND_FLAG.FAST_ZERO,
  COMMAND_FLAG.REQ_ONE | COMMAND_FLAG.PAYLOAD_LEN,
];

/** @param style how the connection answers. @returns an NBD error */
export function checkRequest(
  { type, flags, offset, length }: Request,
  { readOnly, sizeBytes }: Export,
  style: number,
  hasContext: boolean,
): number {
  const allowed = FLAGS.at(type);
  if (allowed === undefined || type < 0 || type === COMMAND.DISC) return ERROR.EINVAL;
  const changes = type === COMMAND.WRITE || type === COMMAND.TRIM || type === COMMAND.WRITE_ZEROES;
  if (readOnly && changes) return ERROR.EPERM;
  if (type !== COMMAND.FLUSH && offset + length > sizeBytes) {
    return type === COMMAND.WRITE || type === COMMAND.WRITE_ZEROES ? ERROR.ENOSPC : ERROR.EINVAL;
  }
  const extended = style === STYLE.EXTENDED;
  const known = COMMAND_FLAG.FUA | (extended ? allowed : allowed & ~COMMAND_FLAG.PAYLOAD_LEN);
  if ((flags & ~known) !== 0) return ERROR.EINVAL;
  if ((flags & COMMAND_FLAG.DF) !== 0 && style === STYLE.SIMPLE) return ERROR.EINVAL;
  if (type === COMMAND.READ && length > PAYLOAD_BYTES_MAX) {
    return (flags & COMMAND_FLAG.DF) !== 0 ? ERROR.EOVERFLOW : ERROR.EINVAL;
  }
  if (type === COMMAND.WRITE) {
    if (length > PAYLOAD_BYTES_MAX) return ERROR.EINVAL;
    if (extended && (flags & COMMAND_FLAG.PAYLOAD_LEN) === 0) return ERROR.EINVAL;
  }
  if (type === COMMAND.BLOCK_STATUS && (!hasContext || length === 0)) return ERROR.EINVAL;
  return ERROR.NONE;
}

/**
 * Takes the length of a BLOCK_STATUS from its payload: | effect length 8 | context 4 | ... |.
 * @returns an NBD error
 */
export function takeStatusPayload(request: Request, payload: Uint8Array): number {
  request.length = getUint64(payload, 0);
  if (payload.length < 12 || payload.length % 4 !== 0) return ERROR.EINVAL;
  for (let at = 8; at + 4 <= payload.length; at += 4) {
    if (getUint32(payload, at) !== BASE_ALLOCATION_ID) return ERROR.EINVAL;
  }
  return ERROR.NONE;
}

// What the specification says about requests: how they are laid out, which errors each may get, and what it changes.

import { PAYLOAD_BYTES_MAX } from '../../../../daemon/nbd/limits.js';
import {
  BYTES,
  COMMAND,
  COMMAND_FLAG,
  ERROR,
  getUint16,
  getUint32,
  getUint64,
  MAGIC,
} from '../../../../daemon/nbd/protocol.js';
import type { Session } from './option-rules.js';

export interface ParsedRequest {
  readonly flags: number;
  readonly type: number;
  readonly cookie: readonly [number, number];
  readonly offset: number;
  /** As the client sent it. */
  readonly offsetHalves: readonly [number, number];
  readonly length: number;
  readonly headerBytes: number;
  readonly payloadBytes: number;
}

export interface RequestRules {
  /** One of these has to be told, unless there are none: then it has to succeed. */
  readonly errors: readonly number[];
  /** Errors that are allowed though nothing is wrong: nothing changes then. */
  readonly optional: readonly number[];
  /** What is written at the request's offset if it succeeds. */
  readonly change: Buffer | null;
  /** The range that is read or looked at. */
  readonly from: number;
  readonly length: number;
}

/** @returns null if more bytes are needed, 'wrong' for what is no request */
export function parseRequest(bytes: Buffer, style: number): ParsedRequest | 'wrong' | null {
  const extended = style === 2;
  const headerBytes = extended ? BYTES.EXTENDED_REQUEST : BYTES.REQUEST;
  if (bytes.length < headerBytes) return null;
  if (getUint32(bytes, 0) !== (extended ? MAGIC.EXTENDED_REQUEST : MAGIC.REQUEST)) return 'wrong';
  const flags = getUint16(bytes, 4);
  const type = getUint16(bytes, 6);
  const length = extended ? getUint64(bytes, 24) : getUint32(bytes, 24);
  const carries = extended ? (flags & COMMAND_FLAG.PAYLOAD_LEN) !== 0 : type === COMMAND.WRITE;
  return {
    flags,
    type,
    cookie: [getUint32(bytes, 8), getUint32(bytes, 12)],
    offset: getUint64(bytes, 16),
    offsetHalves: [getUint32(bytes, 16), getUint32(bytes, 20)],
    length,
    headerBytes,
    payloadBytes: carries ? length : 0,
  };
}

const FLAGS_OF: ReadonlyMap<number, number> = new Map([
  [COMMAND.READ, COMMAND_FLAG.DF],
  [COMMAND.WRITE, COMMAND_FLAG.PAYLOAD_LEN],
  [COMMAND.FLUSH, 0],
  [COMMAND.TRIM, 0],
  [COMMAND.CACHE, 0],
  [COMMAND.WRITE_ZEROES, COMMAND_FLAG.NO_HOLE | COMMAND_FLAG.FAST_ZERO],
  [COMMAND.BLOCK_STATUS, COMMAND_FLAG.REQ_ONE | COMMAND_FLAG.PAYLOAD_LEN],
]);

/** All that is wrong with a request, and what it does otherwise. */
export function requestRules(
  request: ParsedRequest,
  payload: Buffer,
  session: Session,
): RequestRules {
  const { type, flags, offset } = request;
  const { chosen, style, context } = session;
  if (chosen === null) throw new RangeError('no export is chosen');
  const size = chosen.bytes.length;
  const errors: number[] = [];
  const wrong = (when: boolean, error: number): void => {
    if (when) errors.push(error);
  };
  const known = FLAGS_OF.get(type);
  const has = (flag: number): boolean => (flags & flag) !== 0;
  const writes = type === COMMAND.WRITE || type === COMMAND.WRITE_ZEROES;
  const changes = writes || type === COMMAND.TRIM;
  const filters = type === COMMAND.BLOCK_STATUS && style === 2 && has(COMMAND_FLAG.PAYLOAD_LEN);
  const length = filters ? getUint64(payload, 0) : request.length;

  wrong(known === undefined, ERROR.EINVAL);
  wrong((flags & ~((known ?? 0) | COMMAND_FLAG.FUA)) !== 0, ERROR.EINVAL);
  wrong(has(COMMAND_FLAG.PAYLOAD_LEN) && style !== 2, ERROR.EINVAL);
  wrong(has(COMMAND_FLAG.DF) && style === 0, ERROR.EINVAL);
  wrong(chosen.readOnly && changes, ERROR.EPERM);
  const ranged = known !== undefined && type !== COMMAND.FLUSH;
  wrong(ranged && offset + length > size, writes ? ERROR.ENOSPC : ERROR.EINVAL);
  const long = length > PAYLOAD_BYTES_MAX && (type === COMMAND.READ || type === COMMAND.WRITE);
  wrong(long, type === COMMAND.READ && has(COMMAND_FLAG.DF) ? ERROR.EOVERFLOW : ERROR.EINVAL);
  if (type === COMMAND.WRITE) wrong(style === 2 && !has(COMMAND_FLAG.PAYLOAD_LEN), ERROR.EINVAL);
  if (type === COMMAND.BLOCK_STATUS) {
    wrong(context !== chosen || length === 0, ERROR.EINVAL);
    if (filters) wrong(!allowsFilter(payload), ERROR.EINVAL);
  }
  // Neither the memory nor the file of the test can be zeroed fast and kept.
  if (type === COMMAND.WRITE_ZEROES && length > 0 && has(COMMAND_FLAG.FAST_ZERO))
    wrong(has(COMMAND_FLAG.NO_HOLE), ERROR.ENOTSUP);
  // Of nothing, or for a context twice.
  const doubtful = length === 0 || (filters && payload.length > 12);
  const optional = doubtful ? [ERROR.EINVAL, ERROR.ENOTSUP] : [];
  const fine = errors.length === 0;
  let change: Buffer | null = null;
  if (fine && type === COMMAND.WRITE) change = payload;
  else if (fine && changes) change = Buffer.alloc(length);
  return { errors, optional, change, from: offset, length };
}

/** | effect length 8 | context 4 | ... |, every context one that was negotiated: there is one only. */
function allowsFilter(payload: Buffer): boolean {
  if (payload.length < 12 || payload.length % 4 !== 0) return false;
  for (let at = 8; at < payload.length; at += 4) if (getUint32(payload, at) !== 1) return false;
  return true;
}

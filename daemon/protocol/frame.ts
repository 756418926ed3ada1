// The header that every frame begins with, and the types of frames.
//
//   byte 0        4     5     6       8           12        16              24       28           32
//        +--------+-----+-----+-------+-----------+---------+---------------+--------+------------+---------
//        | magic  | ver | type| flags | requestId | handle  | offset        | length | payload    | payload
//        | 'PFLD' | u8  | u8  | u16   | u32       | u32     | u64 (< 2^53)  | u32    | bytes, u32 |
//        +--------+-----+-----+-------+-----------+---------+---------------+--------+------------+---------
//
// All numbers are little-endian. What handle, offset and length mean depends on the type; unused ones are 0.
//
//   HELLO    ->  0     .       .       .       control: versions and name of the client. ver is 0.
//   WELCOME  <-  0     .       .       .       control: version agreed on, features, limits
//   CALL     ->  id    .       .       .       control: method and parameters (methods.ts)
//   CANCEL   ->  id    .       .       .       -        id of the request to be given up; has no reply of its own
//   READ     ->  id    handle  offset  length  -
//   WRITE    ->  id    handle  offset  bytes   data
//   FLUSH    ->  id    handle  .       .       -
//   DISCARD  ->  id    handle  offset  length  -
//   REPLY    <-  id    handle  offset  done    data of a READ; control if the flag CONTROL is set
//   ERROR    <-  id    .       .       .       control: code and message. id 0: the connection is being closed.
//   EVENT    <-  0     handle  .       .       control: a finding or a panic of the volume `handle`
//   ATTACH   ->  0     .       .       .       control: token of a region; first and only frame of its connection

import { ProtocolError } from './errors.js';
import {
  CONTROL_REPLY_BYTES_MAX,
  CONTROL_REQUEST_BYTES_MAX,
  DATA_BYTES_MAX,
  HEADER_BYTES,
} from './limits.js';

/** 'PFLD', read as a little-endian word. */
export const MAGIC = 0x444c4650;

export const FRAME = {
  HELLO: 1,
  WELCOME: 2,
  CALL: 3,
  CANCEL: 4,
  READ: 5,
  WRITE: 6,
  FLUSH: 7,
  DISCARD: 8,
  REPLY: 9,
  ERROR: 10,
  EVENT: 11,
  ATTACH: 12,
} as const;

export const FLAG = {
  /** REPLY: the payload is control, not data. */
  CONTROL: 1,
  /** WRITE: durable before the reply (force unit access). */
  FUA: 2,
} as const;

/** Version in the header of frames that come before a version is agreed on. */
export const UNVERSIONED = 0;

/** A header taken apart; one object is reused for all frames of a stream. */
export class Header {
  version = 0;
  type = 0;
  flags = 0;
  requestId = 0;
  handle = 0;
  offset = 0;
  length = 0;
  payloadBytes = 0;
}

/** Payload limits by type: what the daemon takes, and what a client takes. */
export type PayloadLimits = Readonly<Record<number, number | undefined>>;

export const DAEMON_TAKES: PayloadLimits = {
  [FRAME.HELLO]: CONTROL_REQUEST_BYTES_MAX,
  [FRAME.CALL]: CONTROL_REQUEST_BYTES_MAX,
  [FRAME.CANCEL]: 0,
  [FRAME.READ]: 0,
  [FRAME.WRITE]: DATA_BYTES_MAX,
  [FRAME.FLUSH]: 0,
  [FRAME.DISCARD]: 0,
  [FRAME.ATTACH]: CONTROL_REQUEST_BYTES_MAX,
};

export const CLIENT_TAKES: PayloadLimits = {
  [FRAME.WELCOME]: CONTROL_REPLY_BYTES_MAX,
  [FRAME.REPLY]: Math.max(CONTROL_REPLY_BYTES_MAX, DATA_BYTES_MAX),
  [FRAME.ERROR]: CONTROL_REPLY_BYTES_MAX,
  [FRAME.EVENT]: CONTROL_REPLY_BYTES_MAX,
};

const TWO_32 = 2 ** 32;

/** Writes a header at byte `at`. Plain numbers in, nothing allocated. */
export function encodeHeader(
  view: DataView,
  at: number,
  version: number,
  type: number,
  flags: number,
  requestId: number,
  handle: number,
  offset: number,
  length: number,
  payloadBytes: number,
): void {
  view.setUint32(at, MAGIC, true);
  view.setUint8(at + 4, version);
  view.setUint8(at + 5, type);
  view.setUint16(at + 6, flags, true);
  view.setUint32(at + 8, requestId, true);
  view.setUint32(at + 12, handle, true);
  view.setUint32(at + 16, offset % TWO_32, true);
  view.setUint32(at + 20, Math.floor(offset / TWO_32), true);
  view.setUint32(at + 24, length, true);
  view.setUint32(at + 28, payloadBytes, true);
}

/**
 * Reads the header at byte `at` into `header`.
 * @throws ProtocolError EPROTO if these bytes are no header
 */
export function decodeHeader(view: DataView, at: number, header: Header): void {
  const magic = view.getUint32(at, true);
  if (magic !== MAGIC) {
    throw new ProtocolError(
      'EPROTO',
      `a frame begins with 0x${magic.toString(16).padStart(8, '0')} instead of 0x${MAGIC.toString(16)}: ` +
        'the other side does not speak this protocol, or lost its place in the stream',
      0,
    );
  }
  header.version = view.getUint8(at + 4);
  header.type = view.getUint8(at + 5);
  header.flags = view.getUint16(at + 6, true);
  header.requestId = view.getUint32(at + 8, true);
  header.handle = view.getUint32(at + 12, true);
  header.offset = view.getUint32(at + 16, true) + view.getUint32(at + 20, true) * TWO_32;
  header.length = view.getUint32(at + 24, true);
  header.payloadBytes = view.getUint32(at + 28, true);
  if (!Number.isSafeInteger(header.offset)) {
    throw new ProtocolError(
      'EPROTO',
      `offset ${header.offset} of request ${header.requestId} is not below 2^53`,
      header.requestId,
    );
  }
}

/** A frame in a buffer of its own, for handshakes and tests. */
export function encodeFrame(
  version: number,
  type: number,
  requestId: number,
  payload: Uint8Array,
  fields: {
    readonly flags?: number;
    readonly handle?: number;
    readonly offset?: number;
    readonly length?: number;
  } = {},
): Uint8Array {
  const frame = new Uint8Array(HEADER_BYTES + payload.byteLength);
  const { flags = 0, handle = 0, offset = 0, length = 0 } = fields;
  const view = new DataView(frame.buffer);
  const bytes = payload.byteLength;
  encodeHeader(view, 0, version, type, flags, requestId, handle, offset, length, bytes);
  frame.set(payload, HEADER_BYTES);
  return frame;
}

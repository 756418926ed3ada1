// NBD on the wire: the numbers of doc/proto.md of the NetworkBlockDevice project, and its frames. All are big-endian.
//
//   server's greeting     | NBDMAGIC 8 | IHAVEOPT 8 | handshake flags 2 |
//   client's answer       | client flags 4 |
//   option                | IHAVEOPT 8 | option 4 | length 4 | data ... |
//   reply to an option    | magic 8 | option 4 | reply type 4 | length 4 | data ... |
//   end of EXPORT_NAME    | size 8 | transmission flags 2 | 124 zeroes unless NO_ZEROES |
//
//   request        28 B   | magic 4 | flags 2 | type 2 | cookie 8 | offset 8 | length 4 |            payload of WRITE
//   extended       32 B   | magic 4 | flags 2 | type 2 | cookie 8 | offset 8 | length 8 |            payload
//   simple reply   16 B   | magic 4 | error 4 | cookie 8 |                                           data of READ
//   chunk          20 B   | magic 4 | flags 2 | type 2 | cookie 8 | length 4 |                       payload
//   extended chunk 32 B   | magic 4 | flags 2 | type 2 | cookie 8 | offset 8 | length 8 |            payload
//
//   payload of a chunk    OFFSET_DATA       | offset 8 | data ... |
//                         OFFSET_HOLE       | offset 8 | length 4 |
//                         BLOCK_STATUS      | context 4 | length 4 | flags 4 | ...
//                         BLOCK_STATUS_EXT  | context 4 | count 4 | length 8 | flags 8 | ...
//                         ERROR             | error 4 | length of the message 2 | message |
//                         ERROR_OFFSET      the same, | offset 8 |

/** Halves of the 64-bit magic numbers. */
export const NBDMAGIC = [0x4e42444d, 0x41474943] as const;
export const IHAVEOPT = [0x49484156, 0x454f5054] as const;
export const OPTION_REPLY_MAGIC = [0x0003e889, 0x045565a9] as const;

export const MAGIC = {
  REQUEST: 0x25609513,
  EXTENDED_REQUEST: 0x21e41c71,
  SIMPLE_REPLY: 0x67446698,
  CHUNK: 0x668e33ef,
  EXTENDED_CHUNK: 0x6e8a278c,
} as const;

export const BYTES = {
  GREETING: 18,
  CLIENT_FLAGS: 4,
  OPTION: 16,
  OPTION_REPLY: 20,
  REQUEST: 28,
  EXTENDED_REQUEST: 32,
  SIMPLE_REPLY: 16,
  CHUNK: 20,
  EXTENDED_CHUNK: 32,
  EXPORT_NAME_ZEROES: 124,
} as const;

/** The same two bits in both directions. */
export const HANDSHAKE_FLAG = { FIXED_NEWSTYLE: 1, NO_ZEROES: 2 } as const;

export const OPTION = {
  EXPORT_NAME: 1,
  ABORT: 2,
  LIST: 3,
  STARTTLS: 5,
  INFO: 6,
  GO: 7,
  STRUCTURED_REPLY: 8,
  LIST_META_CONTEXT: 9,
  SET_META_CONTEXT: 10,
  EXTENDED_HEADERS: 11,
} as const;

const ERROR_REPLY = 0x80000000;
export const REPLY = {
  ACK: 1,
  SERVER: 2,
  INFO: 3,
  META_CONTEXT: 4,
  ERR_UNSUP: ERROR_REPLY + 1,
  ERR_POLICY: ERROR_REPLY + 2,
  ERR_INVALID: ERROR_REPLY + 3,
  ERR_TLS_REQD: ERROR_REPLY + 5,
  ERR_UNKNOWN: ERROR_REPLY + 6,
  ERR_SHUTDOWN: ERROR_REPLY + 7,
  ERR_TOO_BIG: ERROR_REPLY + 9,
  ERR_EXT_HEADER_REQD: ERROR_REPLY + 10,
} as const;

export const INFO = { EXPORT: 0, NAME: 1, DESCRIPTION: 2, BLOCK_SIZE: 3 } as const;

export const TRANSMISSION_FLAG = {
  HAS_FLAGS: 1,
  READ_ONLY: 2,
  SEND_FLUSH: 4,
  SEND_FUA: 8,
  SEND_TRIM: 32,
  SEND_WRITE_ZEROES: 64,
  SEND_DF: 128,
  CAN_MULTI_CONN: 256,
  SEND_CACHE: 1024,
  SEND_FAST_ZERO: 2048,
  BLOCK_STATUS_PAYLOAD: 4096,
} as const;

export const COMMAND = {
  READ: 0,
  WRITE: 1,
  DISC: 2,
  FLUSH: 3,
  TRIM: 4,
  CACHE: 5,
  WRITE_ZEROES: 6,
  BLOCK_STATUS: 7,
} as const;

export const COMMAND_FLAG = {
  FUA: 1,
  NO_HOLE: 2,
  DF: 4,
  REQ_ONE: 8,
  FAST_ZERO: 16,
  PAYLOAD_LEN: 32,
} as const;

export const CHUNK_DONE = 1;
export const CHUNK = {
  NONE: 0,
  OFFSET_DATA: 1,
  OFFSET_HOLE: 2,
  BLOCK_STATUS: 5,
  BLOCK_STATUS_EXT: 6,
  ERROR: 0x8001,
} as const;

/** The only errors that a reply may carry. */
export const ERROR = {
  NONE: 0,
  EPERM: 1,
  EIO: 5,
  ENOMEM: 12,
  EINVAL: 22,
  ENOSPC: 28,
  EOVERFLOW: 75,
  ENOTSUP: 95,
  ESHUTDOWN: 108,
} as const;

/** Flags of an extent of base:allocation. */
export const EXTENT = { DATA: 0, HOLE_ZERO: 3 } as const;
export const BASE_ALLOCATION = 'base:allocation';
export const BASE_ALLOCATION_ID = 1;

export function getUint16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}

export function getUint32(bytes: Uint8Array, at: number): number {
  return (getUint16(bytes, at) * 0x10000 + getUint16(bytes, at + 2)) >>> 0;
}

/** Exact below 2^53; a larger number stays larger than every size. */
export function getUint64(bytes: Uint8Array, at: number): number {
  return getUint32(bytes, at) * 2 ** 32 + getUint32(bytes, at + 4);
}

export function putUint16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

export function putUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

export function putUint64(bytes: Uint8Array, at: number, value: number): void {
  putUint32(bytes, at, Math.floor(value / 2 ** 32));
  putUint32(bytes, at + 4, value >>> 0);
}

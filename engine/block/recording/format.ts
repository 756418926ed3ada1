// The file format of a recording: what a disk held at first, and everything that happened to it since.
//
// All numbers are little-endian. The file begins with a header of 64 bytes:
//
//      0        8         12         16            24          28              32
//     | magic   | version | 0        | disk bytes  | unit      | atomic limit  |
//     | 8       | u32     | u32      | u64         | u32       | u32           |
//     | started, ms since 1970 (u64) | seed (u32)  | flags u32 | 0 (12 bytes) | CRC-32C of bytes 0-59 (u32) |
//     32                             40            44          48             60                            64
//
// Records follow, each a head of 48 bytes and its payload, without gaps:
//
//      0        4      6       8               12           16    24       32       40              48
//     | CRC-32C | type | flags | payload bytes | connection | id  | offset | length | us since start | payload
//     | u32     | u16  | u16   | u32           | u32        | u64 | u64    | u64    | u64            |
//
// The CRC covers the rest of the head, and the payload. What follows the first record whose CRC is wrong, or
// that the file does not hold whole, does not count: so ends the recording of a daemon that was killed.
//
//     EXTENT       bytes that the disk held at first, in the payload; what no extent tells is zero
//     BEGIN        all extents were told; events follow
//     WRITE        a write became visible; payload: its bytes. flags: FUA, ATOMIC
//     ZEROES TRIM  the same without payload
//     REPLIED      the reply to the write or trim `id` was handed to the client. flags: FUA, where WRITE did not say so
//     FLUSH        a flush `id` begins
//     FLUSHED      its reply was handed to the client. flags: FAILED
//     MARK         a word of the user; payload: UTF-8
//     END          the recording was stopped in good order

export const MAGIC = 'PINFREC\n';
export const VERSION = 1;
export const HEADER_BYTES = 64;
export const HEAD_BYTES = 48;
/** Payload of one record: a request of NBD, or a piece of the first content. */
export const PAYLOAD_BYTES_MAX = 64 * 2 ** 20;
export const MARK_BYTES_MAX = 1024;

export const RECORD = {
  EXTENT: 1,
  BEGIN: 2,
  WRITE: 3,
  ZEROES: 4,
  TRIM: 5,
  REPLIED: 6,
  FLUSH: 7,
  FLUSHED: 8,
  MARK: 9,
  END: 10,
} as const;

export const RECORD_FLAG = { FUA: 1, ATOMIC: 2, FAILED: 4 } as const;
/** Flags of the header: a trimmed unit may read as garbage (B8). */
export const HEADER_FLAG = { GARBAGE: 1 } as const;

export interface RecordingHeader {
  readonly sizeBytes: number;
  /** Bytes that reach the medium together or not at all: 512 or 4096 (B1). */
  readonly unitBytes: number;
  /** Aligned writes of up to so many bytes are atomic as a whole; 0: only units are. */
  readonly atomicBytes: number;
  readonly startedMs: number;
  readonly seed: number;
  readonly garbage: boolean;
}

/** The fixed part of a record. */
export interface RecordHead {
  readonly type: number;
  readonly flags: number;
  readonly payloadBytes: number;
  readonly connection: number;
  readonly id: number;
  readonly offset: number;
  readonly length: number;
  readonly timeUs: number;
}

/** u64 as two words: a number of JavaScript holds 53 bits of it exactly. */
export function putU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % 2 ** 32, true);
  view.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
}

export function getU64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
}

/** Everything of a record but its CRC. */
export function putHead(view: DataView, head: RecordHead): void {
  view.setUint16(4, head.type, true);
  view.setUint16(6, head.flags, true);
  view.setUint32(8, head.payloadBytes, true);
  view.setUint32(12, head.connection, true);
  putU64(view, 16, head.id);
  putU64(view, 24, head.offset);
  putU64(view, 32, head.length);
  putU64(view, 40, head.timeUs);
}

export function getHead(view: DataView, at: number): RecordHead {
  return {
    type: view.getUint16(at + 4, true),
    flags: view.getUint16(at + 6, true),
    payloadBytes: view.getUint32(at + 8, true),
    connection: view.getUint32(at + 12, true),
    id: getU64(view, at + 16),
    offset: getU64(view, at + 24),
    length: getU64(view, at + 32),
    timeUs: getU64(view, at + 40),
  };
}

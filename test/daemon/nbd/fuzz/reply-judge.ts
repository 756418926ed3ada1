// What the specification says about replies: simple ones, chunks and extended chunks, beside the requests that they answer.

import {
  BYTES,
  CHUNK,
  CHUNK_DONE,
  COMMAND,
  COMMAND_FLAG,
  ERROR,
  getUint16,
  getUint32,
  getUint64,
  MAGIC,
} from '../../../../daemon/nbd/protocol.js';
import type { Snapshot } from './model.js';
import type { ParsedRequest } from './request-rules.js';

/** A request that is not answered yet. */
export interface Expected {
  readonly request: ParsedRequest;
  /** Of the range that is meant. */
  readonly length: number;
  readonly errors: readonly number[];
  readonly optional: readonly number[];
  /** What a READ or a BLOCK_STATUS may show. */
  readonly snapshot: Snapshot | null;
  /** Ranges that chunks have told so far. */
  readonly covered: (readonly [number, number])[];
  failed: boolean;
}

const ERRORS: readonly number[] = Object.values(ERROR);
const ZEROES = Buffer.alloc(1024 * 1024);

export class ReplyJudge {
  constructor(
    private readonly style: number,
    private readonly pending: Expected[],
  ) {}

  /** @returns how many bytes the next reply or chunk has, 0 if more are needed, or what is wrong with it */
  next(got: Buffer): number | string {
    if (got.length < BYTES.SIMPLE_REPLY) return 0;
    const magic = getUint32(got, 0);
    const cookie = [getUint32(got, 8), getUint32(got, 12)] as const;
    const expected = this.pending.find(
      ({ request }) => request.cookie[0] === cookie[0] && request.cookie[1] === cookie[1],
    );
    const chunk = this.style === 2 ? MAGIC.EXTENDED_CHUNK : MAGIC.CHUNK;
    if (magic !== MAGIC.SIMPLE_REPLY && (magic !== chunk || this.style === 0))
      return `no magic of a reply: ${got.toString('hex', 0, 32)}`;
    if (expected === undefined) return `a reply to nobody: ${got.toString('hex', 0, 32)}`;
    const taken =
      magic === MAGIC.SIMPLE_REPLY ? this.#simple(got, expected) : this.#chunk(got, expected);
    return typeof taken === 'string' ? `${taken}: ${JSON.stringify(expected.request)}` : taken;
  }

  #simple(got: Buffer, expected: Expected): number | string {
    const { request } = expected;
    const reads = request.type === COMMAND.READ;
    if (this.style === 2) return 'a simple reply instead of an extended one';
    if (this.style === 1 && (reads || request.type === COMMAND.BLOCK_STATUS))
      return 'a simple reply instead of a chunk';
    const error = getUint32(got, 4);
    const wrong = judgeError(error, expected);
    if (wrong !== null) return wrong;
    let bytes: number = BYTES.SIMPLE_REPLY;
    if (reads && error === 0) {
      bytes += expected.length;
      if (got.length < bytes) return 0;
      const data = got.subarray(BYTES.SIMPLE_REPLY, bytes);
      if (expected.snapshot?.allows(request.offset, data) !== true) return 'other data';
    }
    this.#answered(expected);
    return bytes;
  }

  #chunk(got: Buffer, expected: Expected): number | string {
    const headerBytes = this.style === 2 ? BYTES.EXTENDED_CHUNK : BYTES.CHUNK;
    if (got.length < headerBytes) return 0;
    const flags = getUint16(got, 4);
    const type = getUint16(got, 6);
    const length = this.style === 2 ? getUint64(got, 24) : getUint32(got, 16);
    if (flags > CHUNK_DONE) return `flags ${flags} of a chunk`;
    const [high, low] = expected.request.offsetHalves;
    if (this.style === 2 && (getUint32(got, 16) !== high || getUint32(got, 20) !== low))
      return 'another offset';
    if (length > expected.length + 8 && length > 65536) return `a chunk of ${length} bytes`;
    if (got.length < headerBytes + length) return 0;
    const payload = got.subarray(headerBytes, headerBytes + length);
    const wrong = this.#judgePayload(type, payload, expected);
    if (wrong !== null) return wrong;
    if ((flags & CHUNK_DONE) !== 0) {
      const unfinished = judgeEnd(expected, type);
      if (unfinished !== null) return unfinished;
      this.#answered(expected);
    }
    return headerBytes + length;
  }

  #judgePayload(type: number, payload: Buffer, expected: Expected): string | null {
    const reads = expected.request.type === COMMAND.READ;
    switch (type) {
      case CHUNK.NONE:
        return payload.length === 0 ? null : 'data in a chunk of none';
      case CHUNK.OFFSET_DATA: {
        if (!reads || payload.length < 9) return 'data that nobody asked for';
        const at = getUint64(payload, 0);
        return cover(expected, at, payload.subarray(8));
      }
      case CHUNK.OFFSET_HOLE: {
        const bytes = getUint32(payload, 8);
        if (!reads || payload.length !== 12 || bytes === 0 || bytes > expected.length)
          return 'a hole that nobody asked for';
        return cover(expected, getUint64(payload, 0), ZEROES.subarray(0, bytes));
      }
      case CHUNK.BLOCK_STATUS:
      case CHUNK.BLOCK_STATUS_EXT:
        if ((type === CHUNK.BLOCK_STATUS_EXT) !== (this.style === 2))
          return 'the other kind of map';
        return judgeMap(payload, expected, type === CHUNK.BLOCK_STATUS_EXT);
      case CHUNK.ERROR:
        if (payload.length < 6 || payload.length !== 6 + getUint16(payload, 4))
          return 'an error of another length';
        expected.failed = true;
        return judgeError(getUint32(payload, 0), expected);
      default:
        return `chunk type ${type}`;
    }
  }

  #answered(expected: Expected): void {
    this.pending.splice(this.pending.indexOf(expected), 1);
  }
}

function judgeError(error: number, { errors, optional }: Expected): string | null {
  if (!ERRORS.includes(error)) return `error ${error}, which NBD does not know`;
  if (error === 0) return errors.length === 0 ? null : `success, expected ${errors.join(' or ')}`;
  return [...errors, ...optional].includes(error)
    ? null
    : `error ${error}, expected ${errors.length === 0 ? 'success' : errors.join(' or ')}`;
}

/** A part of a READ has come. */
function cover(expected: Expected, at: number, data: Buffer): string | null {
  const { request, covered, snapshot, length } = expected;
  const end = at + data.length;
  if (at < request.offset || end > request.offset + length) return 'data outside of the request';
  if (covered.some(([from, until]) => at < until && from < end)) return 'data told twice';
  if ((request.flags & COMMAND_FLAG.DF) !== 0 && covered.length > 0) return 'two chunks with DF';
  covered.push([at, end]);
  return snapshot?.allows(at, data) === true ? null : 'other data';
}

function judgeEnd(expected: Expected, type: number): string | null {
  const { request, errors, covered, length, failed } = expected;
  if (failed) return type === CHUNK.ERROR ? null : 'an end after an error';
  if (errors.length > 0) return `success, expected ${errors.join(' or ')}`;
  if (request.type === COMMAND.READ) {
    const told = covered.reduce((sum, [from, until]) => sum + until - from, 0);
    return told === length ? null : `${told} bytes of ${length}`;
  }
  return request.type === COMMAND.BLOCK_STATUS && covered.length !== 1 ? 'no map' : null;
}

/** | context 4 | length 4 | flags 4 | ... |, extended: | context 4 | count 4 | length 8 | flags 8 | ... | */
function judgeMap(payload: Buffer, expected: Expected, extended: boolean): string | null {
  const { request, length, snapshot, covered } = expected;
  const [head, each] = extended ? [8, 16] : [4, 8];
  const count = (payload.length - head) / each;
  if (request.type !== COMMAND.BLOCK_STATUS || snapshot === null)
    return 'a map that nobody asked for';
  if (getUint32(payload, 0) !== 1) return 'a map of another context';
  if (!Number.isInteger(count) || count < 1) return 'a map without extents';
  if (extended && getUint32(payload, 4) !== count) return 'another number of extents';
  const one = (request.flags & COMMAND_FLAG.REQ_ONE) !== 0;
  if (one && count !== 1) return 'more than one extent';
  let at = request.offset;
  for (let i = 0; i < count; i++) {
    const from = head + i * each;
    const bytes = extended ? getUint64(payload, from) : getUint32(payload, from);
    const flags = extended ? getUint64(payload, from + 8) : getUint32(payload, from + 4);
    if (bytes === 0 || (one && bytes > length)) return `an extent of ${bytes} bytes`;
    if (at >= request.offset + length) return 'an extent after the end';
    if (flags > 3) return `flags ${flags} of an extent`;
    const end = Math.min(at + bytes, request.offset + length);
    if ((flags & 2) !== 0 && !snapshot.allows(at, ZEROES.subarray(0, end - at)))
      return `no zeroes at ${at}`;
    at += bytes;
  }
  covered.push([request.offset, at]);
  return covered.length === 1 ? null : 'two maps';
}

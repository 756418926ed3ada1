// Frames survive any cutting of their stream, and any bytes are refused or held within bounds.

import test from 'ava';
import fc from 'fast-check';
import { ProtocolError } from '../../../daemon/protocol/errors.js';
import { DAEMON_TAKES, encodeFrame, FRAME, MAGIC } from '../../../daemon/protocol/frame.js';
import { FrameReader } from '../../../daemon/protocol/frame-reader.js';
import { DATA_BYTES_MAX, HEADER_BYTES } from '../../../daemon/protocol/limits.js';

const frameArbitrary = fc.record({
  type: fc.constantFrom(FRAME.CALL, FRAME.WRITE, FRAME.HELLO),
  requestId: fc.nat(0xffffffff),
  handle: fc.nat(0xffffffff),
  offset: fc.maxSafeNat(),
  length: fc.nat(0xffffffff),
  flags: fc.nat(0xffff),
  payload: fc.uint8Array({ maxLength: 300 }),
});

/** Reads all frames of a stream that arrives in pieces of these lengths, again and again. */
function readAll(stream: Uint8Array, pieces: readonly number[]) {
  const reader = new FrameReader(DAEMON_TAKES);
  const frames: object[] = [];
  let at = 0;
  for (let i = 0; at < stream.byteLength; i++) {
    const piece = pieces[i % pieces.length] ?? 1;
    reader.feed(stream.slice(at, at + piece));
    at += piece;
    while (reader.next()) {
      const { type, requestId, handle, offset, length, flags } = reader.header;
      const payload = Buffer.from(reader.payload).toString('hex');
      frames.push({ type, requestId, handle, offset, length, flags, payload });
    }
  }
  return { frames, reader };
}

test('a stream of frames is read the same however it is cut', (t) => {
  fc.assert(
    fc.property(
      fc.array(frameArbitrary, { minLength: 1, maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1 }),
      (frames, pieces) => {
        const stream = Buffer.concat(
          frames.map(({ type, requestId, payload, ...fields }) =>
            encodeFrame(1, type, requestId, payload, fields),
          ),
        );
        const read = readAll(stream, pieces);
        t.deepEqual(
          read.frames,
          frames.map((frame) => ({
            ...frame,
            payload: Buffer.from(frame.payload).toString('hex'),
          })),
        );
        t.true(read.reader.atBoundary);
      },
    ),
  );
});

test('any bytes are refused with a ProtocolError or wait for more, in bounded memory', (t) => {
  const header = fc
    .uint8Array({ minLength: HEADER_BYTES, maxLength: HEADER_BYTES })
    .map((bytes) => {
      new DataView(bytes.buffer, bytes.byteOffset).setUint32(0, MAGIC, true);
      return bytes;
    });
  const chunk = fc.oneof(fc.uint8Array({ maxLength: 200 }), header);
  fc.assert(
    fc.property(fc.array(chunk, { maxLength: 30 }), (chunks) => {
      const reader = new FrameReader(DAEMON_TAKES);
      try {
        for (const bytes of chunks) {
          reader.feed(bytes);
          while (reader.next()) t.true(reader.payload.byteLength <= DATA_BYTES_MAX);
          t.true(reader.heldBytes <= DATA_BYTES_MAX);
        }
      } catch (error) {
        t.true(error instanceof ProtocolError);
      }
    }),
    { numRuns: 1000 },
  );
});

test('a payload longer than its type allows is refused before a byte of it arrives', (t) => {
  const frame = encodeFrame(1, FRAME.WRITE, 7, new Uint8Array(0));
  new DataView(frame.buffer).setUint32(28, DATA_BYTES_MAX + 1, true);
  const reader = new FrameReader(DAEMON_TAKES);
  reader.feed(frame);
  const error = t.throws(() => reader.next(), { instanceOf: ProtocolError });
  t.is(error.code, 'EMSGSIZE');
  t.is(error.requestId, 7);
  t.is(reader.heldBytes, 0);
});

test('an offset that no number holds is refused', (t) => {
  const frame = encodeFrame(1, FRAME.READ, 7, new Uint8Array(0));
  new DataView(frame.buffer).setUint32(20, 0xffffffff, true);
  const reader = new FrameReader(DAEMON_TAKES);
  reader.feed(frame);
  t.is(t.throws(() => reader.next(), { instanceOf: ProtocolError }).code, 'EPROTO');
});

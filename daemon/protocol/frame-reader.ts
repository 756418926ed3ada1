// Cuts a stream of bytes into frames, whatever the bytes are, with memory bounded by one frame.
//
//   feed(chunk)   next() -> true: header and payload are set, until the next call
//                 next() -> false: the chunk is used up, a begun frame is kept; feed the next chunk
//
// A payload that lies in one chunk is a view of it; only one that is cut by a chunk's end is copied.

import { ProtocolError } from './errors.js';
import { decodeHeader, Header, type PayloadLimits } from './frame.js';
import { DATA_BYTES_MAX, HEADER_BYTES } from './limits.js';

const NOTHING = new Uint8Array(0);

export class FrameReader {
  readonly header = new Header();
  /** Payload of the current frame: valid until next() or feed() is called. */
  payload: Uint8Array = NOTHING;

  #chunk: Uint8Array = NOTHING;
  #chunkView: DataView = new DataView(NOTHING.buffer);
  #at = 0;
  /** The beginning of a header that was cut. */
  readonly #headerBytes = new Uint8Array(HEADER_BYTES);
  readonly #headerView = new DataView(this.#headerBytes.buffer);
  #headerHave = 0;
  /** The header is complete, the payload is not. */
  #inPayload = false;
  #payloadHave = 0;
  #partial: Uint8Array = NOTHING;

  /** @param limits payload bytes by type; a type without one is passed on with a payload of up to DATA_BYTES_MAX */
  constructor(readonly limits: PayloadLimits) {}

  /** True between two frames: a stream may end here. */
  get atBoundary(): boolean {
    return this.#headerHave === 0 && !this.#inPayload && this.#at === this.#chunk.byteLength;
  }

  /** Bytes of memory kept for payloads that are cut: that of the longest one so far. */
  get heldBytes(): number {
    return this.#partial.byteLength;
  }

  /** The next bytes of the stream. They are to stay unchanged until next() returns false. */
  feed(chunk: Uint8Array): void {
    if (chunk.buffer !== this.#chunk.buffer) this.#chunkView = new DataView(chunk.buffer);
    this.#chunk = chunk;
    this.#at = 0;
  }

  /** @throws ProtocolError EPROTO, EMSGSIZE: the stream can't be read any further */
  next(): boolean {
    if (!this.#inPayload && !this.#readHeader()) return false;
    return this.#readPayload();
  }

  #readHeader(): boolean {
    const available = this.#chunk.byteLength - this.#at;
    if (this.#headerHave === 0 && available >= HEADER_BYTES) {
      decodeHeader(this.#chunkView, this.#chunk.byteOffset + this.#at, this.header);
      this.#at += HEADER_BYTES;
    } else {
      const take = Math.min(HEADER_BYTES - this.#headerHave, available);
      this.#headerBytes.set(this.#chunk.subarray(this.#at, this.#at + take), this.#headerHave);
      this.#at += take;
      this.#headerHave += take;
      if (this.#headerHave < HEADER_BYTES) return false;
      decodeHeader(this.#headerView, 0, this.header);
      this.#headerHave = 0;
    }
    this.#checkSize();
    this.#inPayload = true;
    this.#payloadHave = 0;
    return true;
  }

  #checkSize(): void {
    const { type, payloadBytes, requestId } = this.header;
    const limit = this.limits[type] ?? DATA_BYTES_MAX;
    if (payloadBytes <= limit) return;
    throw new ProtocolError(
      'EMSGSIZE',
      `frame of type ${type} announces ${payloadBytes} bytes of payload, at most ${limit} are allowed`,
      requestId,
    );
  }

  #readPayload(): boolean {
    const wanted = this.header.payloadBytes;
    const available = this.#chunk.byteLength - this.#at;
    if (this.#payloadHave === 0 && available >= wanted) {
      this.payload = wanted === 0 ? NOTHING : view(this.#chunk, this.#at, wanted);
      this.#at += wanted;
      this.#inPayload = false;
      return true;
    }
    if (available === 0) return false;
    if (this.#partial.byteLength < wanted) this.#partial = new Uint8Array(wanted);
    const take = Math.min(wanted - this.#payloadHave, available);
    this.#partial.set(this.#chunk.subarray(this.#at, this.#at + take), this.#payloadHave);
    this.#at += take;
    this.#payloadHave += take;
    if (this.#payloadHave < wanted) return false;
    this.payload = this.#partial.subarray(0, wanted);
    this.#inPayload = false;
    return true;
  }
}

/** A subarray; this is the faster way to make one. */
function view(bytes: Uint8Array, at: number, length: number): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + at, length);
}

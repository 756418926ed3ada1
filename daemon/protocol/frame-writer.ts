// Gathers the frames that one end of a connection sends, so that one turn of the event loop makes one write.

import { encodeHeader } from './frame.js';
import { HEADER_BYTES } from './limits.js';

/** What is used of a net.Socket. */
export interface ByteSink {
  readonly writable: boolean;
  readonly writableLength: number;
  write(bytes: Uint8Array, done: () => void): boolean;
  cork(): void;
  uncork(): void;
}

/** Frames are gathered in buffers of this size; a longer frame gets one of its own. */
const CHUNK_BYTES = 256 * 1024;
/** Chunks that are kept for reuse. */
const SPARE_CHUNKS_MAX = 4;

/** A buffer that is being filled. */
class Chunk {
  readonly bytes: Buffer<ArrayBuffer>;
  readonly view: DataView;
  used = 0;

  constructor(sizeBytes: number) {
    this.bytes = Buffer.from(new ArrayBuffer(sizeBytes));
    this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, sizeBytes);
  }
}

export class FrameWriter {
  version = 0;
  #chunk: Chunk | null = null;
  #full: Chunk[] = [];
  readonly #spare: Chunk[] = [];
  #gathered = 0;
  #scheduled: NodeJS.Immediate | null = null;

  constructor(private readonly sink: ByteSink) {}

  /** Bytes that the other end has not taken yet. */
  get unsentBytes(): number {
    return this.#gathered + this.sink.writableLength;
  }

  /** Appends a frame and returns where its payload goes: fill it in before anything else is appended. */
  append(
    type: number,
    flags: number,
    requestId: number,
    handle: number,
    offset: number,
    length: number,
    payloadBytes: number,
  ): Uint8Array {
    const total = HEADER_BYTES + payloadBytes;
    const chunk = this.#roomFor(total);
    const at = chunk.used;
    chunk.used += total;
    this.#gathered += total;
    encodeHeader(
      chunk.view,
      at,
      this.version,
      type,
      flags,
      requestId,
      handle,
      offset,
      length,
      payloadBytes,
    );
    return chunk.bytes.subarray(at + HEADER_BYTES, at + total);
  }

  /** Appends a frame with a payload that is there already. */
  appendPayload(
    type: number,
    flags: number,
    requestId: number,
    handle: number,
    payload: Uint8Array,
  ): void {
    this.append(type, flags, requestId, handle, 0, 0, payload.byteLength).set(payload);
  }

  /** Sends what was gathered at the end of this turn. */
  schedule(): void {
    this.#scheduled ??= setImmediate(() => {
      this.#scheduled = null;
      this.flush();
    });
  }

  /** Sends what was gathered, now. */
  flush(): void {
    if (this.#gathered === 0) return;
    const chunks = this.#full;
    if (this.#chunk !== null) chunks.push(this.#chunk);
    this.#full = [];
    this.#chunk = null;
    this.#gathered = 0;
    if (!this.sink.writable) return;
    if (chunks.length > 1) this.sink.cork();
    for (const chunk of chunks) {
      this.sink.write(chunk.bytes.subarray(0, chunk.used), () => this.#recycle(chunk));
    }
    if (chunks.length > 1) this.sink.uncork();
  }

  #roomFor(total: number): Chunk {
    let chunk = this.#chunk;
    if (chunk !== null && chunk.used + total <= chunk.bytes.byteLength) return chunk;
    if (chunk !== null) this.#full.push(chunk);
    if (total > CHUNK_BYTES) chunk = new Chunk(total);
    else chunk = this.#spare.pop() ?? new Chunk(CHUNK_BYTES);
    this.#chunk = chunk;
    return chunk;
  }

  #recycle(chunk: Chunk): void {
    if (chunk.bytes.byteLength !== CHUNK_BYTES || this.#spare.length >= SPARE_CHUNKS_MAX) return;
    chunk.used = 0;
    this.#spare.push(chunk);
  }
}

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
/** So much is sent without waiting for the end of the turn: the other end works on it meanwhile. */
const FLUSH_BYTES = 32 * 1024;
/** Chunks that are kept for reuse. */
const SPARE_CHUNKS_MAX = 4;

const NOTHING = new Uint8Array(0);

/** A buffer that is being filled. */
class Chunk {
  readonly buffer: ArrayBuffer;
  readonly view: DataView;
  used = 0;

  constructor(readonly sizeBytes: number) {
    this.buffer = new ArrayBuffer(sizeBytes);
    this.view = new DataView(this.buffer);
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
    if (this.#gathered >= FLUSH_BYTES) this.flush();
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
    if (payloadBytes === 0) return NOTHING;
    return new Uint8Array(chunk.buffer, at + HEADER_BYTES, payloadBytes);
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
      this.sink.write(new Uint8Array(chunk.buffer, 0, chunk.used), () => this.#recycle(chunk));
    }
    if (chunks.length > 1) this.sink.uncork();
  }

  #roomFor(total: number): Chunk {
    let chunk = this.#chunk;
    if (chunk !== null && chunk.used + total <= chunk.sizeBytes) return chunk;
    if (chunk !== null) this.#full.push(chunk);
    if (total > CHUNK_BYTES) chunk = new Chunk(total);
    else chunk = this.#spare.pop() ?? new Chunk(CHUNK_BYTES);
    this.#chunk = chunk;
    return chunk;
  }

  #recycle(chunk: Chunk): void {
    if (chunk.sizeBytes !== CHUNK_BYTES || this.#spare.length >= SPARE_CHUNKS_MAX) return;
    chunk.used = 0;
    this.#spare.push(chunk);
  }
}

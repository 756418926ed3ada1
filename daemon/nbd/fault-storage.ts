// A disk under fault layers, as a connection reads and writes it: the layers are asked when a request begins, and the
// storage below does what is left of it.

import type { FaultOp, FaultStack } from '../../engine/block/faults/index.js';
import { Arena, type Prompt } from '../../native/index.js';
import { STAGING_BYTES } from './limits.js';
import { COMMAND, COMMAND_FLAG, ERROR } from './protocol.js';
import type { Replies, Request } from './replies.js';
import type { Clock, Storage } from './storage.js';

/** BLOCK_STATUS reads no data: layers know nothing of it. */
const OPS: Readonly<Record<number, FaultOp | undefined>> = {
  [COMMAND.READ]: 'read',
  [COMMAND.WRITE]: 'write',
  [COMMAND.FLUSH]: 'flush',
  [COMMAND.TRIM]: 'trim',
  [COMMAND.CACHE]: 'cache',
  [COMMAND.WRITE_ZEROES]: 'zero',
};
const PAGE_BYTES = 4096;

/** Memory for data that a layer changes. */
export class Staging {
  readonly bytes = new Uint8Array(new SharedArrayBuffer(STAGING_BYTES));
  readonly arena = new Arena([this.bytes]);
}

export class FaultStorage implements Storage {
  readonly endsAtOnce = false;
  readonly arena: Arena;
  readonly pieceBytesMax: number;
  /** Data passes through here if a layer changes what is read. */
  readonly #staging: Staging | null;
  #used = 0;
  /** The write under way: how far from its place it lands, and what of it is lost (see Verdict). */
  #shift = 0;
  #lost: readonly number[] = [];
  #writeAt = 0;
  #writeBytes = 0;

  /** @param unused stagings of connections that are over: a thread without an event loop never frees an Arena */
  constructor(
    private readonly below: Storage,
    private readonly stack: FaultStack,
    public clock: Clock,
    private readonly sizeBytes: number,
    private readonly unused: Staging[],
  ) {
    if (stack.changesReads) {
      this.#staging = unused.pop() ?? new Staging();
      this.arena = this.#staging.arena;
      this.pieceBytesMax = STAGING_BYTES;
    } else {
      this.#staging = null;
      this.arena = below.arena;
      this.pieceBytesMax = below.pieceBytesMax;
    }
  }

  begin(request: Request): number {
    const op = OPS[request.type];
    if (op === undefined) return this.below.begin(request);
    const { offset, length, flags } = request;
    const fua = (flags & COMMAND_FLAG.FUA) !== 0;
    const verdict = this.stack.decide(op, offset, length, fua, this.clock.nowUs());
    const { error, delayUs } = verdict;
    this.#shift = verdict.offset - offset;
    if (verdict.lost.length > 0 || this.#lost.length > 0) this.#lost = [...verdict.lost];
    request.isLie = verdict.lie;
    const refused = error === 0 ? this.below.begin(request) : error;
    request.delayUs += delayUs;
    return refused;
  }

  canRead(length: number, replies: Replies): boolean {
    if (this.#staging === null) return this.below.canRead(length, replies);
    if (replies.empty) this.#used = 0;
    return STAGING_BYTES - this.#used >= length;
  }

  read(offset: number, length: number, replies: Replies): number {
    if (this.#staging === null) return this.below.read(offset, length, replies);
    const bytes = this.#staging.bytes.subarray(this.#used, this.#used + length);
    const error = this.below.copy(offset, bytes);
    if (error !== ERROR.NONE) return error;
    this.stack.read(bytes, offset);
    replies.data(this.#used, length);
    this.#used += length;
    return ERROR.NONE;
  }

  copy(offset: number, target: Uint8Array): number {
    const error = this.below.copy(offset, target);
    if (error === ERROR.NONE) this.stack.read(target, offset);
    return error;
  }

  canWrite(length: number): boolean {
    return this.below.canWrite(length);
  }

  beginWrite(offset: number, length: number): number {
    this.#writeAt = offset;
    this.#writeBytes = length;
    return this.below.beginWrite(offset + this.#shift, length);
  }

  get receives(): boolean {
    const isItself =
      this.#staging === null && this.#lost.length === 0 && this.#shift % PAGE_BYTES === 0;
    return isItself && this.below.receives;
  }

  receive(
    fd: number,
    at: number,
    end: number,
    buffer: Uint8Array,
    ahead: number,
    patienceUs: number,
    prompt: Prompt,
  ): number {
    const shift = this.#shift;
    return this.below.receive(fd, at + shift, end + shift, buffer, ahead, patienceUs, prompt);
  }

  /** What is lost is written as it was. */
  store(at: number, bytes: Uint8Array, from: number, until: number): number {
    const lost = this.#lost;
    for (let i = 0; i < lost.length; i += 2) {
      const begin = Math.max(this.#writeAt + (lost[i] ?? 0), at);
      const end = Math.min(this.#writeAt + (lost[i + 1] ?? 0), at + until - from);
      if (begin >= end) continue;
      const old = bytes.subarray(from + begin - at, from + end - at);
      const error = this.below.copy(begin + this.#shift, old);
      if (error !== ERROR.NONE) return error;
    }
    return this.below.store(at + this.#shift, bytes, from, until);
  }

  endWrite(fua: boolean): number {
    const error = this.below.endWrite(fua);
    if (error === ERROR.NONE) this.#tellWritten();
    return error;
  }

  abortWrite(): void {
    this.below.abortWrite();
  }

  flush(): number {
    return this.below.flush();
  }

  zero(offset: number, length: number, keepBlocks: boolean, fast: boolean, trim: boolean): number {
    const at = offset + this.#shift;
    const error = this.below.zero(at, length, keepBlocks, fast, trim);
    if (error === ERROR.NONE) this.stack.changed(trim ? 'trim' : 'zero', at, length);
    return error;
  }

  endZero(fua: boolean): number {
    return this.below.endZero(fua);
  }

  zeroesFast(keepBlocks: boolean): boolean {
    return this.below.zeroesFast(keepBlocks);
  }

  /** A hole may read as something else than zeroes. */
  dataFrom(offset: number): number {
    return this.#staging === null ? this.below.dataFrom(offset) : offset;
  }

  holeFrom(offset: number): number {
    return this.#staging === null ? this.below.holeFrom(offset) : this.sizeBytes;
  }

  get writeId(): number {
    return this.below.writeId;
  }

  beginReplies(): void {
    this.below.beginReplies();
  }

  replied(writeId: number): void {
    this.below.replied(writeId);
  }

  endReplies(): void {
    this.below.endReplies();
  }

  close(): void {
    if (this.#staging !== null) this.unused.push(this.#staging);
    this.below.close();
  }

  /** The layers hear of what has really been stored. */
  #tellWritten(): void {
    const at = this.#writeAt + this.#shift;
    let from = 0;
    for (let i = 0; i <= this.#lost.length; i += 2) {
      const until = this.#lost[i] ?? this.#writeBytes;
      if (until > from) this.stack.changed('write', at + from, until - from);
      from = this.#lost[i + 1] ?? this.#writeBytes;
    }
  }
}

// The NBD specification as a judge: it reads what a client sent and what the server answered, byte by byte, and says what
// is wrong. It knows nothing of how the server works.

import { OPTION_BYTES_MAX, PAYLOAD_BYTES_SKIPPED_MAX } from '../../../../daemon/nbd/limits.js';
import { BYTES, COMMAND, getUint32, OPTION } from '../../../../daemon/nbd/protocol.js';
import { type ModelDisk, Snapshot } from './model.js';
import { type Answer, judgeAnswer, optionRules, type Session } from './option-rules.js';
import { type Expected, ReplyJudge } from './reply-judge.js';
import { parseRequest, requestRules } from './request-rules.js';

/** A WRITE whose payload has not come as a whole. */
export interface OpenWrite {
  readonly disk: ModelDisk;
  readonly offset: number;
  readonly length: number;
  readonly payload: Buffer;
}

export class Reference {
  /** The server has to close the connection, after what was answered before. */
  closes = false;
  /** Two requests with one cookie are under way: which one a reply is for can't be told, if they may come in any order. */
  ambiguous = false;
  /** What came last was no request at all. */
  broken = false;
  readonly session: Session;
  /** Answers to options that are awaited. */
  readonly #answers: Answer[] = [];
  #greeted = false;
  #flagsSeen = false;
  #sent = Buffer.alloc(0);
  #got = Buffer.alloc(0);
  readonly #pending: Expected[] = [];
  #judge: ReplyJudge | null = null;

  constructor(readonly disks: readonly ModelDisk[]) {
    this.session = { disks, style: 0, noZeroes: false, chosen: null, context: null };
  }

  /** In the transmission phase, as far as the client's bytes go. */
  get transmits(): boolean {
    return this.session.chosen !== null;
  }

  /** A payload is half sent. */
  get inPayload(): boolean {
    const request = this.transmits ? parseRequest(this.#sent, this.session.style) : null;
    return !this.closes && request !== null && request !== 'wrong' && request.payloadBytes > 0;
  }

  /** Nothing is half sent. */
  get atBoundary(): boolean {
    return this.#flagsSeen && this.#sent.length === 0;
  }

  /** The client sends this. */
  sends(bytes: Uint8Array): void {
    this.#sent = this.#sent.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.#sent, bytes]);
    let used = 0;
    while (!this.closes) {
      const taken = this.#take(this.#sent.subarray(used));
      if (taken === 0) break;
      used += taken;
    }
    this.#sent = this.#sent.subarray(used);
    const open = this.openWrite();
    if (open === null) return;
    for (const each of this.#pending) each.snapshot?.changed(open.offset, open.payload);
  }

  /** The WRITE that has begun, if there is one that would be accepted. */
  openWrite(): OpenWrite | null {
    const { chosen } = this.session;
    if (this.closes || chosen === null) return null;
    const request = parseRequest(this.#sent, this.session.style);
    if (request === null || request === 'wrong') return null;
    const payload = this.#sent.subarray(request.headerBytes);
    if (request.type !== 1 || requestRules(request, payload, this.session).errors.length > 0)
      return null;
    return { disk: chosen, offset: request.offset, length: request.length, payload };
  }

  /** @returns what is wrong with the bytes that the server sent, or null */
  receives(bytes: Uint8Array): string | null {
    this.#got = this.#got.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.#got, bytes]);
    while (this.#got.length > 0) {
      const taken = this.#judgeNext();
      if (typeof taken === 'string') return taken;
      if (taken === 0) return null;
      this.#got = this.#got.subarray(taken);
    }
    return null;
  }

  /** @returns what is missing when the server has nothing more to send, or null */
  missing(): string | null {
    if (!this.#greeted) return 'no greeting';
    if (this.#got.length > 0) return `half a reply: ${this.#got.toString('hex', 0, 64)}`;
    const answer = this.#answers.at(0);
    if (answer !== undefined) return `option ${answer.option} is not answered`;
    const request = this.#pending.at(0);
    return request === undefined ? null : `not answered: ${JSON.stringify(request.request)}`;
  }

  /** @returns how many bytes were understood, 0 if more are needed */
  #take(bytes: Buffer): number {
    if (!this.#flagsSeen) {
      if (bytes.length < BYTES.CLIENT_FLAGS) return 0;
      this.#flagsSeen = true;
      const flags = bytes.readUInt32BE(0);
      this.session.noZeroes = (flags & 2) !== 0;
      this.closes = flags > 3;
      return BYTES.CLIENT_FLAGS;
    }
    const { chosen } = this.session;
    return chosen === null ? this.#takeOption(bytes) : this.#takeRequest(bytes, chosen);
  }

  #takeOption(bytes: Buffer): number {
    if (bytes.length < BYTES.OPTION) return 0;
    const option = getUint32(bytes, 8);
    const length = getUint32(bytes, 12);
    if (bytes.toString('latin1', 0, 8) !== 'IHAVEOPT') {
      this.closes = true;
      return 0;
    }
    if (length > OPTION_BYTES_MAX) {
      this.#answers.push({ option, finals: [0x80000009], items: [] });
      this.closes = true;
      return 0;
    }
    if (bytes.length < BYTES.OPTION + length) return 0;
    const data = bytes.subarray(BYTES.OPTION, BYTES.OPTION + length);
    const answer = optionRules(option, data, this.session);
    if (answer === 'close') this.closes = true;
    else this.#answers.push(answer);
    if (option === OPTION.ABORT) this.closes = true;
    return BYTES.OPTION + length;
  }

  #takeRequest(bytes: Buffer, disk: ModelDisk): number {
    const request = parseRequest(bytes, this.session.style);
    if (request === null) return 0;
    if (
      request === 'wrong' ||
      request.type === COMMAND.DISC ||
      request.payloadBytes > PAYLOAD_BYTES_SKIPPED_MAX
    ) {
      this.broken = request === 'wrong' || request.type !== COMMAND.DISC;
      this.closes = true;
      return 0;
    }
    const whole = request.headerBytes + request.payloadBytes;
    if (bytes.length < whole) return 0;
    const payload = bytes.subarray(request.headerBytes, whole);
    const { errors, optional, change, from, length } = requestRules(request, payload, this.session);
    const looks = (request.type === 0 || request.type === 7) && errors.length === 0;
    if (change !== null) {
      for (const each of this.#pending) each.snapshot?.changed(request.offset, change);
      change.copy(disk.bytes, request.offset);
    }
    const [high, low] = request.cookie;
    if (
      this.#pending.some(
        (each) => each.request.cookie[0] === high && each.request.cookie[1] === low,
      )
    )
      this.ambiguous = true;
    this.#pending.push({
      request,
      length,
      errors,
      optional,
      snapshot: looks ? new Snapshot(disk, from, Math.min(length, disk.bytes.length - from)) : null,
      covered: [],
      failed: false,
    });
    return whole;
  }

  #judgeNext(): number | string {
    if (!this.#greeted) {
      if (this.#got.length < BYTES.GREETING) return 0;
      this.#greeted = true;
      const greeting = this.#got.toString('latin1', 0, BYTES.GREETING);
      return greeting === 'NBDMAGICIHAVEOPT\0\x03' ? BYTES.GREETING : 'another greeting';
    }
    const answer = this.#answers.at(0);
    if (answer !== undefined) {
      const taken = judgeAnswer(answer, this.#got, this.session);
      if (typeof taken === 'string' || taken === 0) return taken;
      if (taken.done) this.#answers.shift();
      return taken.bytes;
    }
    this.#judge ??= new ReplyJudge(this.session.style, this.#pending);
    return this.#judge.next(this.#got);
  }
}

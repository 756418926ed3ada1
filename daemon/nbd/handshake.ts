// The handshake of one connection: options until the client has chosen its export.

import {
  BLOCK_BYTES_MIN,
  BLOCK_BYTES_PREFERRED,
  NAME_BYTES_MAX,
  OPTION_BYTES_MAX,
  OPTIONS_MAX,
  PAYLOAD_BYTES_MAX,
} from './limits.js';
import {
  BASE_ALLOCATION,
  BASE_ALLOCATION_ID,
  BYTES,
  getUint16,
  getUint32,
  HANDSHAKE_FLAG,
  IHAVEOPT,
  INFO,
  NBDMAGIC,
  OPTION,
  OPTION_REPLY_MAGIC,
  putUint16,
  putUint32,
  putUint64,
  REPLY,
  TRANSMISSION_FLAG,
} from './protocol.js';
import { type Replies, STYLE } from './replies.js';

/** What a client can attach to. */
export interface Export {
  readonly name: string;
  readonly description: string;
  readonly sizeBytes: number;
  readonly readOnly: boolean;
}

/** What follows an option; 'tls' and 'close' once the replies are sent. */
export type Next = 'option' | 'tls' | 'transmission' | 'close';

/** Whether STARTTLS is refused, a client may or must say it, or has said it: NOTLS, SELECTIVETLS, FORCEDTLS. */
export type TlsState = 'none' | 'allowed' | 'required' | 'active';

const utf8 = new TextDecoder('utf-8', { fatal: true });

export class Handshake<E extends Export> {
  noZeroes = false;
  chosen: E | null = null;
  /** What follows what take() has taken. */
  next: Next = 'option';
  #greeted = false;
  #options = 0;
  /** The export for which base:allocation was selected. */
  #contextOf: E | null = null;
  /** The next export that LIST has to tell; -1 if no LIST is under way. */
  #listed = -1;

  constructor(
    private readonly exports: readonly E[],
    private readonly replies: Replies,
    private readonly tls: TlsState,
  ) {}

  /** A LIST waits for room: proceed() before the next option. */
  get busy(): boolean {
    return this.#listed >= 0;
  }

  /** base:allocation is negotiated for the chosen export. */
  get hasContext(): boolean {
    return this.#contextOf !== null && this.#contextOf === this.chosen;
  }

  greet(): void {
    const at = this.replies.reserve(BYTES.GREETING);
    this.#put64(at, NBDMAGIC);
    this.#put64(at + 8, IHAVEOPT);
    putUint16(
      this.replies.buffer,
      at + 16,
      HANDSHAKE_FLAG.FIXED_NEWSTYLE | HANDSHAKE_FLAG.NO_ZEROES,
    );
  }

  /** Goes on under TLS: the client has been greeted before, and has answered that. */
  goOn(noZeroes: boolean): void {
    this.#greeted = true;
    this.noZeroes = noZeroes;
  }

  /**
   * Takes the client's flags, or an option, if all of it has been received.
   * @param buffer has what was received from `head` to `tail`
   * @param stopping the daemon is being stopped: only ABORT is still heard
   * @returns how many bytes; 0 if more are needed
   */
  take(buffer: Uint8Array, head: number, tail: number, stopping: boolean): number {
    const available = tail - head;
    if (!this.#greeted) {
      if (available < BYTES.CLIENT_FLAGS) return 0;
      this.#greeted = true;
      if (!this.#clientFlags(getUint32(buffer, head))) this.next = 'close';
      return BYTES.CLIENT_FLAGS;
    }
    if (available < BYTES.OPTION) return 0;
    const [high, low] = IHAVEOPT;
    const option = getUint32(buffer, head + 8);
    const length = getUint32(buffer, head + 12);
    const bytes = BYTES.OPTION + length;
    if (getUint32(buffer, head) !== high || getUint32(buffer, head + 4) !== low) {
      this.next = 'close';
    } else if (length > OPTION_BYTES_MAX || this.#options >= OPTIONS_MAX) {
      this.#reply(option, REPLY.ERR_TOO_BIG);
      this.next = 'close';
    } else if (available < bytes) {
      return 0;
    } else {
      this.#options++;
      this.next = this.option(option, buffer.subarray(head + BYTES.OPTION, head + bytes), stopping);
      return bytes;
    }
    return available;
  }

  /** @returns false for a flag that was not offered, or if TLS is required and the client does not know options */
  #clientFlags(flags: number): boolean {
    this.noZeroes = (flags & HANDSHAKE_FLAG.NO_ZEROES) !== 0;
    if (this.tls === 'required' && (flags & HANDSHAKE_FLAG.FIXED_NEWSTYLE) === 0) return false;
    return flags <= (HANDSHAKE_FLAG.FIXED_NEWSTYLE | HANDSHAKE_FLAG.NO_ZEROES);
  }

  /** @param stopping the daemon is being stopped: only ABORT is still heard */
  option(option: number, data: Uint8Array, stopping: boolean): Next {
    if (stopping && option !== OPTION.ABORT) {
      if (option === OPTION.EXPORT_NAME) return 'close';
      return this.#reply(option, REPLY.ERR_SHUTDOWN);
    }
    if (option === OPTION.STARTTLS) return this.#startTls(option, data);
    if (this.tls === 'required' && option !== OPTION.ABORT) {
      if (option === OPTION.EXPORT_NAME) return 'close';
      return this.#reply(option, REPLY.ERR_TLS_REQD);
    }
    switch (option) {
      case OPTION.EXPORT_NAME:
        return this.#exportName(data);
      case OPTION.ABORT:
        this.#reply(option, REPLY.ACK);
        return 'close';
      case OPTION.LIST:
        return this.#list(option, data);
      case OPTION.INFO:
      case OPTION.GO:
        return this.#go(option, data);
      case OPTION.STRUCTURED_REPLY:
        if (data.length > 0) return this.#reply(option, REPLY.ERR_INVALID);
        if (this.replies.style === STYLE.EXTENDED) {
          return this.#reply(option, REPLY.ERR_EXT_HEADER_REQD);
        }
        this.replies.style = STYLE.STRUCTURED;
        return this.#reply(option, REPLY.ACK);
      case OPTION.EXTENDED_HEADERS:
        if (data.length > 0) return this.#reply(option, REPLY.ERR_INVALID);
        this.replies.style = STYLE.EXTENDED;
        return this.#reply(option, REPLY.ACK);
      case OPTION.LIST_META_CONTEXT:
      case OPTION.SET_META_CONTEXT:
        return this.#metaContext(option, data);
      default:
        return this.#reply(option, REPLY.ERR_UNSUP);
    }
  }

  /** There is no way to tell an error to this one. */
  #exportName(data: Uint8Array): Next {
    const found = data.length > NAME_BYTES_MAX ? null : this.#find(data);
    if (found === null || this.replies.style === STYLE.EXTENDED) return 'close';
    this.chosen = found;
    const zeroes = this.noZeroes ? 0 : BYTES.EXPORT_NAME_ZEROES;
    const at = this.replies.reserve(10 + zeroes);
    putUint64(this.replies.buffer, at, found.sizeBytes);
    putUint16(this.replies.buffer, at + 8, this.#transmissionFlags(found));
    this.replies.buffer.fill(0, at + 10, at + 10 + zeroes);
    return 'transmission';
  }

  /** After the ACK only TLS may follow, in either direction. */
  #startTls(option: number, data: Uint8Array): Next {
    if (this.tls === 'none') return this.#reply(option, REPLY.ERR_POLICY);
    if (this.tls === 'active' || data.length > 0) return this.#reply(option, REPLY.ERR_INVALID);
    this.#reply(option, REPLY.ACK);
    return 'tls';
  }

  #list(option: number, data: Uint8Array): Next {
    if (data.length > 0) return this.#reply(option, REPLY.ERR_INVALID);
    this.#listed = 0;
    this.proceed();
    return 'option';
  }

  /** Goes on with a LIST while there is room for replies. */
  proceed(): void {
    while (this.replies.hasRoom) {
      const next = this.exports.at(this.#listed);
      if (next === undefined) {
        this.#listed = -1;
        this.#reply(OPTION.LIST, REPLY.ACK);
        return;
      }
      this.#listed++;
      const bytes = Buffer.from(next.name);
      const text = Buffer.from(next.description);
      const at = this.#replyHeader(OPTION.LIST, REPLY.SERVER, 4 + bytes.length + text.length);
      putUint32(this.replies.buffer, at, bytes.length);
      this.replies.buffer.set(bytes, at + 4);
      this.replies.buffer.set(text, at + 4 + bytes.length);
    }
  }

  #go(option: number, data: Uint8Array): Next {
    const nameLength = data.length < 6 ? -1 : getUint32(data, 0);
    if (nameLength < 0 || nameLength > data.length - 6) {
      return this.#reply(option, REPLY.ERR_INVALID);
    }
    const count = getUint16(data, 4 + nameLength);
    if (data.length !== 6 + nameLength + 2 * count) return this.#reply(option, REPLY.ERR_INVALID);
    if (nameLength > NAME_BYTES_MAX) return this.#reply(option, REPLY.ERR_INVALID);
    const found = this.#find(data.subarray(4, 4 + nameLength));
    if (found === null) return this.#reply(option, REPLY.ERR_UNKNOWN);
    const wanted = new Set<number>();
    for (let i = 0; i < count; i++) wanted.add(getUint16(data, 6 + nameLength + 2 * i));

    let at = this.#info(option, INFO.EXPORT, 10);
    putUint64(this.replies.buffer, at, found.sizeBytes);
    putUint16(this.replies.buffer, at + 8, this.#transmissionFlags(found));
    if (wanted.has(INFO.NAME)) this.#textInfo(option, INFO.NAME, found.name);
    if (wanted.has(INFO.DESCRIPTION)) {
      this.#textInfo(option, INFO.DESCRIPTION, found.description);
    }
    if (wanted.has(INFO.BLOCK_SIZE)) {
      at = this.#info(option, INFO.BLOCK_SIZE, 12);
      putUint32(this.replies.buffer, at, BLOCK_BYTES_MIN);
      putUint32(this.replies.buffer, at + 4, BLOCK_BYTES_PREFERRED);
      putUint32(this.replies.buffer, at + 8, PAYLOAD_BYTES_MAX);
    }
    this.#reply(option, REPLY.ACK);
    if (option === OPTION.INFO) return 'option';
    this.chosen = found;
    return 'transmission';
  }

  #metaContext(option: number, data: Uint8Array): Next {
    const setting = option === OPTION.SET_META_CONTEXT;
    if (setting) this.#contextOf = null;
    const parsed = parseQueries(data);
    if (this.replies.style === STYLE.SIMPLE || parsed === null) {
      return this.#reply(option, REPLY.ERR_INVALID);
    }
    const found = this.#find(parsed.name);
    if (found === null) return this.#reply(option, REPLY.ERR_UNKNOWN);
    const { queries } = parsed;
    const wanted = setting
      ? queries.includes(BASE_ALLOCATION)
      : queries.length === 0 || queries.includes('base:') || queries.includes(BASE_ALLOCATION);
    if (wanted) {
      if (setting) this.#contextOf = found;
      const name = Buffer.from(BASE_ALLOCATION);
      const at = this.#replyHeader(option, REPLY.META_CONTEXT, 4 + name.length);
      putUint32(this.replies.buffer, at, setting ? BASE_ALLOCATION_ID : 0);
      this.replies.buffer.set(name, at + 4);
    }
    return this.#reply(option, REPLY.ACK);
  }

  #transmissionFlags({ readOnly }: E): number {
    const { style } = this.replies;
    return (
      TRANSMISSION_FLAG.HAS_FLAGS |
      TRANSMISSION_FLAG.SEND_FLUSH |
      TRANSMISSION_FLAG.SEND_FUA |
      TRANSMISSION_FLAG.CAN_MULTI_CONN |
      TRANSMISSION_FLAG.SEND_CACHE |
      (readOnly
        ? TRANSMISSION_FLAG.READ_ONLY
        : TRANSMISSION_FLAG.SEND_TRIM |
          TRANSMISSION_FLAG.SEND_WRITE_ZEROES |
          TRANSMISSION_FLAG.SEND_FAST_ZERO) |
      (style === STYLE.SIMPLE ? 0 : TRANSMISSION_FLAG.SEND_DF) |
      (style === STYLE.EXTENDED ? TRANSMISSION_FLAG.BLOCK_STATUS_PAYLOAD : 0)
    );
  }

  /** The empty name is the first export. */
  #find(name: Uint8Array): E | null {
    if (name.length === 0) return this.exports.at(0) ?? null;
    const text = decode(name);
    return this.exports.find((each) => each.name === text) ?? null;
  }

  #textInfo(option: number, info: number, text: string): void {
    const bytes = Buffer.from(text);
    this.replies.buffer.set(bytes, this.#info(option, info, bytes.length));
  }

  #info(option: number, info: number, length: number): number {
    const at = this.#replyHeader(option, REPLY.INFO, 2 + length);
    putUint16(this.replies.buffer, at, info);
    return at + 2;
  }

  #reply(option: number, type: number): Next {
    this.#replyHeader(option, type, 0);
    return 'option';
  }

  /** @returns where its data goes */
  #replyHeader(option: number, type: number, length: number): number {
    const at = this.replies.reserve(BYTES.OPTION_REPLY + length);
    this.#put64(at, OPTION_REPLY_MAGIC);
    putUint32(this.replies.buffer, at + 8, option);
    putUint32(this.replies.buffer, at + 12, type);
    putUint32(this.replies.buffer, at + 16, length);
    return at + BYTES.OPTION_REPLY;
  }

  #put64(at: number, [high, low]: readonly [number, number]): void {
    putUint32(this.replies.buffer, at, high);
    putUint32(this.replies.buffer, at + 4, low);
  }
}

/** Text, or null if it is no UTF-8. */
function decode(bytes: Uint8Array): string | null {
  try {
    return utf8.decode(bytes);
  } catch {
    return null;
  }
}

/** | length 4 | export's name | count 4 | length 4 | query | ... |, or null if it is anything else. */
function parseQueries(data: Uint8Array): { name: Uint8Array; queries: (string | null)[] } | null {
  if (data.length < 8) return null;
  const nameLength = getUint32(data, 0);
  if (nameLength > Math.min(data.length - 8, NAME_BYTES_MAX)) return null;
  const count = getUint32(data, 4 + nameLength);
  const queries: (string | null)[] = [];
  let at = 8 + nameLength;
  for (let i = 0; i < count; i++) {
    if (data.length - at < 4) return null;
    const length = getUint32(data, at);
    if (length > Math.min(data.length - at - 4, NAME_BYTES_MAX)) return null;
    queries.push(decode(data.subarray(at + 4, at + 4 + length)));
    at += 4 + length;
  }
  return at === data.length ? { name: data.subarray(4, 4 + nameLength), queries } : null;
}

// An NBD client for tests, byte by byte: it can say what real ones never would, and speaks extended headers.

import { once } from 'node:events';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import type { ConfigInput } from '../../../daemon/config.js';
import {
  BYTES,
  CHUNK_DONE,
  MAGIC,
  OPTION,
  putUint16,
  putUint32,
  putUint64,
} from '../../../daemon/nbd/protocol.js';
import { startTestDaemon, type Test } from '../../support/test-daemon.js';

export interface Answer {
  readonly type: number;
  readonly data: Buffer;
}

export interface Chunk {
  readonly flags: number;
  readonly type: number;
  readonly payload: Buffer;
}

/**
 * A daemon with `scratch`, `file`, `cached` and `cached-file` (1 MiB each) and `locked` (64 KiB, read-only) on an NBD socket.
 * @param filesIn where the disk `file` is kept
 * @param more of the NBD server's configuration
 * @param moreDisks come after those
 */
export async function startNbd(
  t: Test,
  filesIn = '/tmp',
  more: ConfigInput['nbd'] = {},
  moreDisks: NonNullable<ConfigInput['disks']> = [],
) {
  const folder = `/tmp/pinfold-nbd-${process.pid}-${Math.random().toString(36).slice(2)}`;
  const image = filesIn === '/tmp' ? `${folder}.img` : `${filesIn}/disk.img`;
  const socket = `${folder}.nbd`;
  const test = await startTestDaemon(t, {
    nbd: { ...more, socket },
    disks: [
      { name: 'file', size: '1M', path: image },
      { name: 'locked', size: '64K', readOnly: true },
      { name: 'cached', size: '1M', cache: 'volatile' },
      { name: 'cached-file', size: '1M', path: `${folder}.cached`, cache: 'volatile' },
      ...moreDisks,
    ],
  });
  t.teardown(async () => {
    const { rmSync } = await import('node:fs');
    rmSync(image, { force: true });
    rmSync(`${folder}.cached`, { force: true });
  });
  return { ...test, socket };
}

export class RawClient {
  extended = false;
  /** What was received, and what came since: put together when it is looked at. */
  #received = Buffer.alloc(0);
  #since: Buffer[] = [];
  #sinceBytes = 0;
  #ended = false;
  #wake = (): void => undefined;

  private constructor(readonly socket: Duplex) {
    socket.on('data', (data: Buffer) => {
      this.#since.push(data);
      this.#sinceBytes += data.length;
      this.#wake();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#ended = true;
      this.#wake();
    });
  }

  /** Connects, and has read the greeting; says nothing yet if `flags` is null. */
  static async connect(t: Test, path: string, flags: number | null = 3): Promise<RawClient> {
    const socket = connect(path);
    await once(socket, 'connect');
    return await RawClient.over(t, socket, flags);
  }

  /** The same over a stream that is connected already. */
  static async over(t: Test, socket: Duplex, flags: number | null = 3): Promise<RawClient> {
    t.teardown(() => void socket.destroy());
    const client = new RawClient(socket);
    await client.read(BYTES.GREETING);
    if (flags !== null) client.send32(flags);
    return client;
  }

  /** In the transmission phase, with structured or extended replies and base:allocation if asked for. */
  static async attach(
    t: Test,
    path: string,
    name: string,
    style: 'simple' | 'structured' | 'extended' = 'simple',
  ): Promise<RawClient> {
    const client = await RawClient.connect(t, path);
    if (style === 'structured') await client.option(OPTION.STRUCTURED_REPLY);
    if (style === 'extended') {
      await client.option(OPTION.EXTENDED_HEADERS);
      client.extended = true;
    }
    if (style !== 'simple')
      await client.option(OPTION.SET_META_CONTEXT, queries(name, 'base:allocation'));
    await client.option(OPTION.GO, goData(name));
    return client;
  }

  /** After the ACK of STARTTLS. @throws what the TLS handshake fails with; if anything came after the ACK */
  async secure(options: ConnectionOptions): Promise<RawClient> {
    if (this.#bytes.length > 0) throw new Error(`plaintext: ${this.#bytes.toString('hex')}`);
    const socket = connectTls({ socket: this.socket, servername: 'localhost', ...options });
    await once(socket, 'secureConnect');
    return new RawClient(socket);
  }

  get #bytes(): Buffer {
    if (this.#since.length > 0) {
      this.#received = Buffer.concat([this.#received, ...this.#since]);
      this.#since = [];
      this.#sinceBytes = 0;
    }
    return this.#received;
  }

  async read(length: number): Promise<Buffer> {
    while (this.#received.length + this.#sinceBytes < length) {
      if (this.#ended) throw new Error(`closed after ${this.#bytes.length} of ${length} bytes`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const bytes = this.#bytes.subarray(0, length);
    this.#received = this.#received.subarray(length);
    return bytes;
  }

  /** The server has closed the connection, after what is returned. */
  async closed(): Promise<Buffer> {
    while (!this.#ended) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#bytes;
  }

  send32(value: number): void {
    const bytes = Buffer.alloc(4);
    putUint32(bytes, 0, value);
    this.socket.write(bytes);
  }

  sendOption(option: number, data?: Uint8Array, length?: number): void {
    this.socket.write(optionBytes(option, data, length));
  }

  async answer(): Promise<Answer> {
    const head = await this.read(BYTES.OPTION_REPLY);
    return { type: head.readUInt32BE(12), data: await this.read(head.readUInt32BE(16)) };
  }

  /** Sends an option and collects its answers, the last one being an ACK or an error. */
  async option(option: number, data?: Uint8Array): Promise<Answer[]> {
    this.sendOption(option, data);
    const answers: Answer[] = [];
    while (true) {
      const answer = await this.answer();
      answers.push(answer);
      if (answer.type === 1 || answer.type >= 0x80000000) return answers;
    }
  }

  request(type: number, offset: number, length: number, flags = 0, payload?: Uint8Array): void {
    const head = Buffer.alloc(this.extended ? BYTES.EXTENDED_REQUEST : BYTES.REQUEST);
    putUint32(head, 0, this.extended ? MAGIC.EXTENDED_REQUEST : MAGIC.REQUEST);
    putUint16(head, 4, flags);
    putUint16(head, 6, type);
    head.write('cookie!!', 8);
    putUint64(head, 16, offset);
    if (this.extended) putUint64(head, 24, length);
    else putUint32(head, 24, length);
    this.socket.write(payload === undefined ? head : Buffer.concat([head, payload]));
  }

  /** The error of a simple reply. */
  async simple(): Promise<number> {
    const head = await this.read(BYTES.SIMPLE_REPLY);
    if (head.readUInt32BE(0) !== MAGIC.SIMPLE_REPLY) throw new Error('no simple reply');
    if (head.toString('latin1', 8) !== 'cookie!!') throw new Error('another cookie');
    return head.readUInt32BE(4);
  }

  async chunks(): Promise<Chunk[]> {
    const chunks: Chunk[] = [];
    while (true) {
      const head = await this.read(this.extended ? BYTES.EXTENDED_CHUNK : BYTES.CHUNK);
      const magic = this.extended ? MAGIC.EXTENDED_CHUNK : MAGIC.CHUNK;
      if (head.readUInt32BE(0) !== magic) throw new Error(`no chunk: ${head.toString('hex')}`);
      const length = this.extended ? Number(head.readBigUInt64BE(24)) : head.readUInt32BE(16);
      const flags = head.readUInt16BE(4);
      chunks.push({ flags, type: head.readUInt16BE(6), payload: await this.read(length) });
      if ((flags & CHUNK_DONE) !== 0) return chunks;
    }
  }
}

/** An option as it is sent; `length` is what its header says. */
export function optionBytes(
  option: number,
  data: Uint8Array = Buffer.alloc(0),
  length = data.length,
): Buffer {
  const head = Buffer.alloc(BYTES.OPTION);
  head.write('IHAVEOPT');
  putUint32(head, 8, option);
  putUint32(head, 12, length);
  return Buffer.concat([head, data]);
}

/** Data of GO and INFO. */
export function goData(name: string, infos: readonly number[] = []): Buffer {
  const data = Buffer.alloc(6 + name.length + 2 * infos.length);
  putUint32(data, 0, name.length);
  data.write(name, 4);
  putUint16(data, 4 + name.length, infos.length);
  for (const [i, info] of infos.entries()) putUint16(data, 6 + name.length + 2 * i, info);
  return data;
}

/** Data of LIST_META_CONTEXT and SET_META_CONTEXT. */
export function queries(name: string, ...texts: readonly string[]): Buffer {
  const length = (text: string): Buffer => {
    const bytes = Buffer.alloc(4);
    putUint32(bytes, 0, text.length);
    return bytes;
  };
  const count = Buffer.alloc(4);
  putUint32(count, 0, texts.length);
  const each = texts.flatMap((text) => [length(text), Buffer.from(text)]);
  return Buffer.concat([length(name), Buffer.from(name), count, ...each]);
}

// Clients that write to a disk at random, each to its own part, and keep a ledger of what they are told.

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { BYTES, COMMAND, COMMAND_FLAG, MAGIC, OPTION } from '../../../daemon/nbd/protocol.js';
import { requestBytes } from './fuzz/client-bytes.js';
import type { Ledger } from './ledger.js';
import { goData, optionBytes } from './raw-client.js';
import { SECTOR_BYTES, stamp } from './stamps.js';

/** Of one writer: it writes nowhere else. */
export const WRITER_SECTORS = 2048;
const DEPTH = 8;
/** The largest write goes straight to the disk's memory, or takes several receives. */
const LENGTHS = [1, 1, 3, 8, 8, 64, 200, 600];

/** One request in flight. */
interface Sent {
  readonly first: number;
  readonly count: number;
  readonly version: number;
  readonly fua: boolean;
  /** Of a FLUSH. */
  readonly covers: readonly number[] | null;
}

/** Writes at random to its own part of the disk, always `DEPTH` requests ahead. */
export class Writer {
  replies = 0;
  flushes = 0;
  readonly #sent = new Map<number, Sent>();
  #cookie = 0;
  #rest = Buffer.alloc(0);

  constructor(
    private readonly socket: Socket,
    private readonly base: number,
    private readonly ledger: Ledger,
    private readonly random: (below: number) => number,
    private readonly onReply: () => void,
  ) {
    socket.on('data', (data: Buffer) => this.#receive(data));
    socket.on('error', () => undefined);
  }

  start(): void {
    while (this.#sent.size < DEPTH) this.#send();
  }

  #send(): void {
    const cookie = ++this.#cookie;
    if (this.random(12) === 0) {
      this.#sent.set(cookie, {
        first: 0,
        count: 0,
        version: 0,
        fua: false,
        covers: this.ledger.snapshot(),
      });
      this.socket.write(requestBytes(COMMAND.FLUSH, 0, cookie, [0, 0], [0, 0], false));
      return;
    }
    const count = LENGTHS[this.random(LENGTHS.length)] ?? 1;
    const first = this.base + this.random(WRITER_SECTORS - count);
    const busy = [...this.#sent.values()].some(
      (each) => first < each.first + each.count && each.first < first + count,
    );
    // Which of two writes to one place wins is open as long as both are in flight.
    if (busy) {
      this.#send();
      return;
    }
    const zeroes = this.random(10) === 0;
    const fua = this.random(6) === 0;
    const version = this.ledger.submitted(first, count, zeroes);
    this.#sent.set(cookie, { first, count, version, fua, covers: null });
    const type = zeroes ? COMMAND.WRITE_ZEROES : COMMAND.WRITE;
    const flags = fua ? COMMAND_FLAG.FUA : 0;
    const [offset, length] = [first * SECTOR_BYTES, count * SECTOR_BYTES];
    this.socket.write(requestBytes(type, flags, cookie, [0, offset], [0, length], false));
    if (zeroes) return;
    const payload = Buffer.alloc(length);
    for (let i = 0; i < count; i++) stamp(payload, i * SECTOR_BYTES, first + i, version);
    this.socket.write(payload);
  }

  #receive(data: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, data]);
    while (this.#rest.length >= BYTES.SIMPLE_REPLY) {
      const head = this.#rest.subarray(0, BYTES.SIMPLE_REPLY);
      this.#rest = this.#rest.subarray(BYTES.SIMPLE_REPLY);
      const sent = this.#sent.get(head.readUInt32BE(12));
      if (head.readUInt32BE(0) !== MAGIC.SIMPLE_REPLY || head.readUInt32BE(4) !== 0 || !sent)
        throw new Error(`no success: ${head.toString('hex')}`);
      this.#sent.delete(head.readUInt32BE(12));
      this.replies++;
      if (sent.covers === null) this.ledger.replied(sent.first, sent.count, sent.version, sent.fua);
      else {
        this.ledger.flushed(sent.covers);
        this.flushes++;
      }
      this.onReply();
      this.#send();
    }
  }
}

/** Connects to the export `disk`. */
export async function attachWriter(path: string): Promise<Socket> {
  const socket = connect(path);
  await once(socket, 'connect');
  const flags = Buffer.from([0, 0, 0, 3]);
  socket.write(Buffer.concat([flags, optionBytes(OPTION.GO, goData('disk'))]));
  // The greeting, INFO_EXPORT with its 12 bytes, ACK.
  const expected = BYTES.GREETING + 2 * BYTES.OPTION_REPLY + 12;
  for (let got = 0; got < expected; ) {
    const chunk: unknown = socket.read();
    if (Buffer.isBuffer(chunk)) got += chunk.length;
    else await once(socket, 'readable');
  }
  return socket;
}

// kill -9 of a daemon that several clients write to, and what the image holds then.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { BYTES, COMMAND, COMMAND_FLAG, MAGIC, OPTION } from '../../../daemon/nbd/protocol.js';
import { startProgram, type Test } from '../../support/test-daemon.js';
import { requestBytes } from './fuzz/client-bytes.js';
import { Ledger } from './ledger.js';
import { goData, optionBytes, RawClient } from './raw-client.js';
import { randomNumbers, SECTOR_BYTES, stamp } from './stamps.js';

const CONNECTIONS = 4;
/** Of one connection: it writes nowhere else. */
const SECTORS = 2048;
const DEPTH = 8;
/** The largest write goes straight to the disk's memory, or takes several receives. */
const LENGTHS = [1, 1, 3, 8, 8, 64, 200, 600];
const REPLIES_MAX = 600;

export interface KillResult {
  readonly rounds: number;
  readonly replies: number;
  readonly flushes: number;
}

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
class Writer {
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
    const first = this.base + this.random(SECTORS - count);
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

async function attach(path: string): Promise<Socket> {
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

/**
 * Rounds on one image, each with a daemon that is killed after a number of replies.
 * @param folder for the image and the socket
 * @param cache the disk has a volatile one: only what was flushed has to be there
 * @param report is told each round
 * @throws Error naming what was lost or torn
 */
export async function killRounds(
  t: Test,
  folder: string,
  rounds: number,
  seed: number,
  { cache, report }: { cache?: 'volatile'; report?: (text: string) => void } = {},
): Promise<KillResult> {
  const random = randomNumbers(seed);
  const image = join(folder, 'disk.img');
  const ledger = new Ledger(CONNECTIONS * SECTORS);
  const result = { rounds: 0, replies: 0, flushes: 0 };
  for (let round = 0; round < rounds; round++) {
    const socket = join(folder, `${round}.nbd`);
    const config = JSON.stringify({
      socket: join(folder, `${round}.ipc`),
      logLevel: 'silent',
      disks: [{ name: 'disk', path: image, size: ledger.sectors * SECTOR_BYTES, cache }],
      nbd: { socket },
    });
    const daemon = startProgram(t, 'daemon-program', [config]);
    await daemon.line();
    await sameAsImage(t, socket, image);
    const killAfter = 1 + random(REPLIES_MAX);
    let replies = 0;
    const onReply = (): void => {
      if (++replies === killAfter) daemon.process.kill('SIGKILL');
    };
    const writers: Writer[] = [];
    const closed: Promise<unknown>[] = [];
    for (let i = 0; i < CONNECTIONS; i++) {
      const each = await attach(socket);
      closed.push(new Promise((resolve) => each.once('close', resolve)));
      writers.push(new Writer(each, i * SECTORS, ledger, random, onReply));
    }
    for (const writer of writers) writer.start();
    // What was replied before the end is still read.
    await Promise.all(closed);
    if ((await daemon.exit) !== 'SIGKILL') throw new Error(`the daemon died: ${daemon.stderr()}`);
    const wrong = ledger.check(readFileSync(image), cache === undefined);
    if (wrong.length > 0) throw new Error(`round ${round}: ${wrong.slice(0, 8).join('; ')}`);
    result.rounds++;
    for (const writer of writers) {
      result.replies += writer.replies;
      result.flushes += writer.flushes;
    }
    report?.(`round ${round}: killed after ${killAfter} of ${replies} replies, nothing is missing`);
  }
  return result;
}

/** A daemon that starts again serves what the image holds. */
async function sameAsImage(t: Test, socket: string, image: string): Promise<void> {
  const client = await RawClient.attach(t, socket, 'disk');
  const bytes = readFileSync(image);
  client.request(COMMAND.READ, 0, bytes.length);
  if ((await client.simple()) !== 0) throw new Error('the disk can not be read');
  if (!(await client.read(bytes.length)).equals(bytes)) throw new Error('the image is another');
  client.socket.destroy();
}

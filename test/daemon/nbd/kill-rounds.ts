// kill -9 of a daemon that several clients write to, and what the image holds then.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { COMMAND } from '../../../daemon/nbd/protocol.js';
import { startProgram, type Test } from '../../support/test-daemon.js';
import { Ledger } from './ledger.js';
import { RawClient } from './raw-client.js';
import { randomNumbers, SECTOR_BYTES } from './stamps.js';
import { attachWriter, WRITER_SECTORS, Writer } from './writer.js';

const CONNECTIONS = 4;
const REPLIES_MAX = 600;

export interface KillResult {
  readonly rounds: number;
  readonly replies: number;
  readonly flushes: number;
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
  const ledger = new Ledger(CONNECTIONS * WRITER_SECTORS);
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
      const each = await attachWriter(socket);
      closed.push(new Promise((resolve) => each.once('close', resolve)));
      writers.push(new Writer(each, i * WRITER_SECTORS, ledger, random, onReply));
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

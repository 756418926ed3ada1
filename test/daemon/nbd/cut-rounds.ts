// Power cuts of a disk in memory with a volatile cache that clients in several threads write to, and what it holds then.

import { COMMAND } from '../../../daemon/nbd/protocol.js';
import { type Test, until } from '../../support/test-daemon.js';
import { Ledger } from './ledger.js';
import { RawClient, startNbd } from './raw-client.js';
import { randomNumbers, SECTOR_BYTES } from './stamps.js';
import { attachWriter, WRITER_SECTORS, Writer } from './writer.js';

const CONNECTIONS = 4;
const REPLIES_MAX = 600;
/** Such that writes leave the log all the time, because there is no room. */
const VERSIONS = '2M';

export interface CutResult {
  readonly replies: number;
  readonly flushes: number;
  /** Units that were lost, as the cuts say. */
  readonly lost: number;
}

/**
 * Rounds on one disk, each with a cut after a number of replies.
 * @param report is told each round
 * @throws Error naming what was lost or torn, and the state that the cut has left
 */
export async function cutRounds(
  t: Test,
  rounds: number,
  seed: number,
  report: (text: string) => void = () => undefined,
): Promise<CutResult> {
  const random = randomNumbers(seed);
  const ledger = new Ledger(CONNECTIONS * WRITER_SECTORS);
  const size = ledger.sectors * SECTOR_BYTES;
  const { daemon, socket, client } = await startNbd(t, '/tmp', {}, [
    { name: 'disk', size, cache: 'volatile', unit: '512', versions: VERSIONS },
  ]);
  const disk = await (await client()).disk('disk');
  const moved = (): number => daemon.statistics()['nbdConnectionsMoved'] ?? 0;
  const result = { replies: 0, flushes: 0, lost: 0 };
  for (let round = 0; round < rounds; round++) {
    const movedBefore = moved();
    const cutAfter = 1 + random(REPLIES_MAX);
    let replies = 0;
    let cutNow = (): void => undefined;
    const itIsTime = new Promise<void>((resolve) => {
      cutNow = resolve;
    });
    const writers: Writer[] = [];
    const closed: Promise<unknown>[] = [];
    for (let i = 0; i < CONNECTIONS; i++) {
      const each = await attachWriter(socket);
      closed.push(new Promise((resolve) => each.once('close', resolve)));
      const onReply = (): void => {
        if (++replies === cutAfter) cutNow();
      };
      writers.push(new Writer(each, i * WRITER_SECTORS, ledger, random, onReply));
    }
    await until('some are in another thread', () => moved() > movedBefore);
    for (const writer of writers) writer.start();
    await itIsTime;
    const wanted = random(4) === 0 ? 'drop-all' : `random:${random(2 ** 31)}`;
    const { state, lostUnits, connections } = await disk.cut({ state: wanted });
    // What was replied before the end is still read.
    await Promise.all(closed);
    if (connections !== CONNECTIONS) throw new Error(`${connections} connections have died`);
    const reader = await RawClient.attach(t, socket, 'disk');
    reader.request(COMMAND.READ, 0, size);
    if ((await reader.simple()) !== 0) throw new Error('the disk can not be read');
    const wrong = ledger.check(await reader.read(size), false);
    reader.socket.destroy();
    if (wrong.length > 0)
      throw new Error(`round ${round}, cut ${state}: ${wrong.slice(0, 8).join('; ')}`);
    for (const writer of writers) {
      result.replies += writer.replies;
      result.flushes += writer.flushes;
    }
    result.lost += lostUnits;
    report(`round ${round}: cut ${state} after ${replies} replies, nothing is missing`);
  }
  return result;
}

// LIST with more exports than fit into one reply.

import test from 'ava';
import { Handshake } from '../../../daemon/nbd/handshake.js';
import { OPTION, REPLY } from '../../../daemon/nbd/protocol.js';
import { Replies } from '../../../daemon/nbd/replies.js';
import { Arena, closeDescriptor, socketPair, WOULD_BLOCK } from '../../../native/index.js';
import { RawClient, startNbd } from './raw-client.js';

const arena = new Arena([new Uint8Array(new SharedArrayBuffer(4096))]);

function namesIn(answers: readonly { readonly data: Buffer }[]): string[] {
  return answers.slice(0, -1).map(({ data }) => data.toString('utf8', 4, 4 + data.readUInt32BE(0)));
}

test('a thousand exports with long descriptions are told in several turns, then ACK', (t) => {
  const exports = Array.from({ length: 1000 }, (_, i) => ({
    name: `disk${i}`,
    description: `number ${i}: ${'long '.repeat(i % 800)}`,
    sizeBytes: 4096,
    readOnly: false,
  }));
  const [ours, theirs] = socketPair();
  const replies = new Replies();
  const handshake = new Handshake(exports, replies, 'none');
  handshake.option(OPTION.LIST, new Uint8Array(0), false);
  const buffer = new Uint8Array(2 ** 20);
  const parts: Buffer[] = [];
  const send = () => {
    replies.send(arena, ours);
    for (;;) {
      const got = arena.receive(theirs, 0, 0, 1, buffer, 0, buffer.length, 0);
      if (got === WOULD_BLOCK) break;
      parts.push(Buffer.from(buffer.subarray(0, got)));
    }
  };
  let turns = 0;
  send();
  while (handshake.busy) {
    handshake.proceed();
    send();
    turns++;
  }
  closeDescriptor(ours);
  closeDescriptor(theirs);
  t.true(turns > 10);
  const bytes = Buffer.concat(parts);
  const answers: { type: number; data: Buffer }[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at + 16);
    const data = bytes.subarray(at + 20, at + 20 + length);
    answers.push({ type: bytes.readUInt32BE(at + 12), data });
    at += 20 + length;
  }
  t.is(answers.at(-1)?.type, REPLY.ACK);
  t.deepEqual(
    namesIn(answers),
    exports.map(({ name }) => name),
  );
  t.deepEqual(
    answers.slice(0, -1).map(({ data }) => data.toString('utf8', 4 + data.readUInt32BE(0))),
    exports.map(({ description }) => description),
  );
});

test('a client that asks for a long list sends its next option meanwhile, and is answered in turn', async (t) => {
  const disks = Array.from({ length: 500 }, (_, i) => ({
    name: `${i}-${'n'.repeat(60)}`,
    size: '4K',
  }));
  const { socket } = await startNbd(t, '/tmp', {}, disks);
  const client = await RawClient.connect(t, socket);
  client.sendOption(OPTION.LIST);
  client.sendOption(99);
  const answers: Awaited<ReturnType<typeof client.answer>>[] = [];
  do answers.push(await client.answer());
  while (answers.at(-1)?.type === REPLY.SERVER);
  t.deepEqual(
    namesIn(answers).filter((name) => name.includes('n')),
    disks.map(({ name }) => name),
  );
  t.is(answers.at(-1)?.type, REPLY.ACK);
  t.is((await client.answer()).type, REPLY.ERR_UNSUP);
});

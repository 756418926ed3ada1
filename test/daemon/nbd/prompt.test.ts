// The reply to a WRITE that is sent the moment its payload is there.

import test from 'ava';
import { CHUNK, COMMAND, COMMAND_FLAG, ERROR } from '../../../daemon/nbd/protocol.js';
import { newRequest, Replies, STYLE } from '../../../daemon/nbd/replies.js';
import { Arena, closeDescriptor, socketPair } from '../../../native/index.js';
import { RawClient, startNbd } from './raw-client.js';

const arena = new Arena([new Uint8Array(new SharedArrayBuffer(4096))]);

test('of a reply that the socket took in part, the rest goes out before the next one', (t) => {
  const [ours, theirs] = socketPair();
  t.teardown(() => [ours, theirs].forEach(closeDescriptor));
  const received = new Uint8Array(100);
  const arrives = () => {
    const got = arena.receive(theirs, 0, 0, 1, received, 0, received.length, 0);
    return [...received.subarray(0, Math.max(got, 0))];
  };
  const request = newRequest();
  request.cookie.set([1, 2, 3, 4, 5, 6, 7, 8]);
  for (const style of [STYLE.SIMPLE, STYLE.STRUCTURED, STYLE.EXTENDED]) {
    const replies = new Replies();
    replies.style = style;
    replies.done(request, ERROR.NONE, false);
    replies.send(arena, ours);
    const whole = arrives();
    for (const taken of [0, 5, whole.length]) {
      const prompt = replies.prepare(request);
      t.deepEqual([...prompt.reply.subarray(0, prompt.replyBytes)], whole);
      t.true(replies.empty);
      prompt.sent[0] = taken;
      t.true(replies.prompted());
      replies.done(request, ERROR.EIO, false);
      replies.send(arena, ours);
      const all = arrives();
      t.deepEqual(all.slice(0, whole.length - taken), whole.slice(taken));
      t.true(all.length - (whole.length - taken) >= 16);
    }
    // Who waits already goes first.
    replies.done(request, ERROR.EIO, false);
    t.is(replies.prepare(request).replyBytes, 0);
    t.false(replies.prompted());
    replies.send(arena, ours);
    t.true(arrives().length >= 16);
    t.is(replies.prepare(null).replyBytes, 0);
  }
});

for (const style of ['simple', 'structured', 'extended'] as const) {
  test(`one WRITE at a time, ${style} replies: each is answered once, and all is written`, async (t) => {
    const { socket } = await startNbd(t);
    const client = await RawClient.attach(t, socket, 'scratch', style);
    const flags = style === 'extended' ? COMMAND_FLAG.PAYLOAD_LEN : 0;
    const answer = async () =>
      style === 'extended'
        ? (await client.chunks()).map(({ type }) => type)
        : [await client.simple()];
    const disk = Buffer.alloc(100_000);
    for (let i = 0; i < 50; i++) {
      const length = 16384 * (1 + (i % 4)) + (i % 3);
      const payload = Buffer.alloc(length, i);
      payload.copy(disk, i);
      client.request(COMMAND.WRITE, i, length, flags, payload);
      t.deepEqual(await answer(), [0]);
    }
    // One answer too many would come first here.
    client.request(COMMAND.READ, 0, 1000, 1 << 10);
    const refused =
      style === 'simple'
        ? [await client.simple()]
        : (await client.chunks()).map(({ type }) => type);
    t.deepEqual(refused, style === 'simple' ? [ERROR.EINVAL] : [CHUNK.ERROR]);
    const reader = await RawClient.attach(t, socket, 'scratch');
    reader.request(COMMAND.READ, 0, disk.length);
    t.is(await reader.simple(), 0);
    t.true((await reader.read(disk.length)).equals(disk));
  });
}

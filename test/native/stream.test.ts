// Streams that a thread serves by itself: whole units, gathered sends, ends that go away, waiting.

import { truncateSync, writeFileSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import {
  Arena,
  acceptStream,
  clearEvent,
  closeDescriptor,
  createMemory,
  GONE,
  INTEREST,
  listeningPort,
  listenTcp,
  listenUnix,
  mapFile,
  nextData,
  nextHole,
  PLACE,
  Poller,
  READY,
  socketPair,
  WakeEvent,
  WOULD_BLOCK,
  waitWhileUnread,
} from '../../native/index.js';
import {
  closedDescriptor,
  PAGE_BYTES,
  refuses,
  startWorker,
  temporaryFile,
  temporaryFolder,
} from './surroundings.js';

interface Pair {
  readonly fd: number;
  readonly client: Socket;
}

async function connected(t: ExecutionContext): Promise<Pair> {
  const path = join(temporaryFolder(t), 'socket');
  const listener = listenUnix(path, 0o600);
  t.teardown(() => closeDescriptor(listener));
  t.is(listeningPort(listener), 0);
  t.is(acceptStream(listener), -1);
  const client = createConnection(path);
  t.teardown(() => client.destroy());
  await new Promise((resolve) => client.once('connect', resolve));
  const fd = acceptStream(listener);
  t.teardown(() => closeDescriptor(fd));
  return { fd, client };
}

async function sent(client: Socket, bytes: Uint8Array): Promise<void> {
  await new Promise((resolve) => client.write(bytes, resolve));
}

function newArena(length = 2 * PAGE_BYTES): { arena: Arena; bytes: Uint8Array } {
  const bytes = new Uint8Array(new SharedArrayBuffer(length));
  return { arena: new Arena([bytes.subarray(0, length / 2), bytes.subarray(length / 2)]), bytes };
}

test('only whole units land in the arena, the rest of one waits in the socket', async (t) => {
  const { fd, client } = await connected(t);
  const { arena, bytes } = newArena();
  const buffer = new Uint8Array(1024);
  t.is(arena.receive(fd, 0, 2048, 512, buffer, 0, 100, 0), WOULD_BLOCK);
  await sent(client, Buffer.alloc(1000, 1));
  t.is(arena.receive(fd, 100, 2048, 512, buffer, 0, 100, 0), 924);
  t.deepEqual([bytes.at(99), bytes.at(100), bytes.at(1023), bytes.at(1024)], [0, 1, 1, 0]);
  t.is(arena.receive(fd, 1024, 1124, 512, buffer, 0, 100, 0), WOULD_BLOCK);
  t.is(arena.receive(fd, 0, 0, 1, buffer, 3, 1000, 0), 76);
  t.is(buffer.at(3), 1);
});

test('patience ends, and takes the beginning of a unit from the socket, too', async (t) => {
  const { fd, client } = await connected(t);
  const { arena, bytes } = newArena();
  const buffer = new Uint8Array(1024);
  t.is(arena.receive(fd, 0, 512, 512, buffer, 0, 100, 1000), WOULD_BLOCK);
  t.is(arena.receive(fd, 0, 0, 1, buffer, 0, 100, 1000), WOULD_BLOCK);
  await sent(client, Buffer.alloc(700, 1));
  t.is(arena.receive(fd, 0, 1024, 512, buffer, 7, 100, 1000), 700);
  t.deepEqual([bytes[511], bytes[512]], [1, 0]);
  t.deepEqual(
    [6, 7, 7 + 187, 7 + 188].map((at) => buffer[at]),
    [0, 1, 1, 0],
  );
  // A buffer without room for it, and a larger unit: it stays where it is.
  await sent(client, Buffer.alloc(300, 2));
  t.is(arena.receive(fd, 512, 512, 512, buffer.subarray(0, 511), 0, 100, 1000), WOULD_BLOCK);
  t.is(arena.receive(fd, 1024, 1024, 1024, buffer, 0, 100, 1000), WOULD_BLOCK);
  t.is(bytes[512], 0);
  t.is(arena.receive(fd, 0, 0, 1, buffer, 0, 1024, 1000), 300);
  client.end();
  await sleep(20);
  t.is(arena.receive(fd, 0, 512, 512, buffer, 0, 100, 1000), 0);
  t.is(arena.receive(fd, 0, 0, 1, buffer, 0, 100, 1000), 0);
});

test('one call fills the rest of a payload, across segments, and then the buffer', async (t) => {
  const { fd, client } = await connected(t);
  const { arena, bytes } = newArena();
  const buffer = new Uint8Array(100);
  await sent(client, Buffer.from([...Buffer.alloc(1024, 7), 1, 2, 3]));
  t.is(arena.receive(fd, PAGE_BYTES - 512, 1024, 512, buffer, 10, 100, 0), 1027);
  t.true(bytes.subarray(PAGE_BYTES - 512, PAGE_BYTES + 512).every((byte) => byte === 7));
  t.deepEqual([...buffer.subarray(10, 14)], [1, 2, 3, 0]);
  client.end();
  await sleep(20);
  t.is(arena.receive(fd, 0, 512, 512, buffer, 0, 100, 0), 0);
  t.is(arena.receive(fd, 0, 0, 1, buffer, 0, 100, 0), 0);
});

test('pages are filled one after the other, in whole units, and then the buffer', async (t) => {
  const { fd, client } = await connected(t);
  const { arena, bytes } = newArena(6 * PAGE_BYTES);
  const buffer = new Uint8Array(100);
  // The third page lies in the other segment, behind the second.
  const pages = Uint32Array.from([5, 2, 3, 0]);
  await sent(client, Buffer.from([...Buffer.alloc(512, 1), ...Buffer.alloc(4196, 2)]));
  const from = PAGE_BYTES - 512;
  const until = 3 * PAGE_BYTES + 1024;
  t.is(arena.receivePages(fd, pages, from, until, 512, buffer, 0, 100, 0), 512 + PAGE_BYTES);
  const page = (number: number) => [
    bytes[number * PAGE_BYTES],
    bytes[number * PAGE_BYTES + PAGE_BYTES - 1],
  ];
  t.deepEqual([5, 2, 3, 0].map(page), [
    [0, 1],
    [2, 2],
    [0, 0],
    [0, 0],
  ]);
  await sent(client, Buffer.from([...Buffer.alloc(3996, 3), ...Buffer.alloc(1024, 4), 5]));
  const rest = 2 * PAGE_BYTES;
  t.is(arena.receivePages(fd, pages, rest, until, 512, buffer, 0, 100, 0), PAGE_BYTES + 1025);
  t.deepEqual([1, 2, 3].map(page), [
    [0, 0],
    [2, 2],
    [2, 3],
  ]);
  t.deepEqual(
    [0, 1023, 1024].map((at) => bytes[at]),
    [4, 4, 0],
  );
  t.is(buffer[0], 5);
});

test('more pages than one receive takes', async (t) => {
  const { fd, client } = await connected(t);
  const count = 300;
  const { arena, bytes } = newArena(2 * count * PAGE_BYTES);
  const pages = Uint32Array.from({ length: count }, (_, i) => 2 * i);
  const buffer = new Uint8Array(100);
  const payload = Buffer.from(
    Uint8Array.from({ length: count * PAGE_BYTES + 7 }, (_, i) => i / 4096),
  );
  client.write(payload);
  let done = 0;
  while (done < payload.length) {
    const got = arena.receivePages(fd, pages, done, count * PAGE_BYTES, 512, buffer, 0, 7, 0);
    if (got > 0) done += got;
    await sleep(0);
  }
  t.is(done, payload.length);
  t.deepEqual([...buffer.subarray(0, 7)], [...payload.subarray(-7)]);
  const kept = Buffer.concat(
    [...pages].map((page) => bytes.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES)),
  );
  t.true(kept.equals(payload.subarray(0, -7)));
});

test('the reply goes out once the range is full and nothing comes after it, and its pages are noted', (t) => {
  const [ours, theirs] = socketPair();
  t.teardown(() => [ours, theirs].forEach(closeDescriptor));
  const { arena } = newArena(6 * PAGE_BYTES);
  const buffer = new Uint8Array(8192);
  const sentBytes = Uint32Array.from([9]);
  const prompt = { reply: Uint8Array.from([1, 2, 3, 4]), replyBytes: 1, sent: sentBytes };
  const pages = new Uint8Array(6);
  const send = (length: number) =>
    arena.send(theirs, buffer, Float64Array.from([PLACE.BUFFER, 0, length]), 0, 1, 0);
  const receive = (at: number, length: number, replyBytes = 3) =>
    arena.receiveAnswering(
      ...([ours, at, length, 512, buffer, 100, 100, pages, { ...prompt, replyBytes }] as const),
    );
  const got = () => {
    const taken = new Uint8Array(16);
    const length = arena.receive(theirs, 0, 0, 1, taken, 0, 16, 0);
    return length < 0 ? [] : [...taken.subarray(0, length)];
  };
  send(1024);
  t.is(receive(PAGE_BYTES - 512, 1536), 1024);
  t.deepEqual([sentBytes[0], [...pages], got()], [0, [0, 0, 0, 0, 0, 0], []]);
  send(1024);
  t.is(receive(PAGE_BYTES - 512, 1024), 1024);
  t.deepEqual([sentBytes[0], [...pages], got()], [3, [1, 1, 0, 0, 0, 0], [1, 2, 3]]);
  send(513);
  t.is(receive(4 * PAGE_BYTES, 512), 513);
  t.deepEqual([sentBytes[0], [...pages], got()], [0, [1, 1, 0, 0, 0, 0], []]);
  send(512);
  t.is(receive(5 * PAGE_BYTES, 512, 0), 512);
  t.deepEqual([sentBytes[0], [...pages], got()], [0, [1, 1, 0, 0, 0, 1], []]);
  // A peer that reads nothing: the caller finds out when it sends the reply itself.
  send(512);
  const all = Float64Array.from([PLACE.ARENA, 0, 6 * PAGE_BYTES]);
  while (arena.send(ours, buffer, all, 0, 1, 0) > 0);
  t.is(receive(0, 512), 512);
  t.is(sentBytes[0], 0);
  refuses(t, 'EINVAL', 'replyBytes is 5', () => receive(0, 512, 5));
  refuses(t, 'EINVAL', 'pages has 1 bytes, expected one for each of 2 pages', () =>
    arena.receiveAnswering(
      ...([ours, PAGE_BYTES, 1, 1, buffer, 0, 0, pages.subarray(5), prompt] as const),
    ),
  );
});

test('of a receive that the host has no memory for no unit is there in part', async (t) => {
  const { path, fd } = temporaryFile(t);
  writeFileSync(path, Buffer.alloc(2 * PAGE_BYTES, 9));
  const [segment] = mapFile(fd, 0, 2 * PAGE_BYTES).segments.map((each) => new Uint8Array(each));
  const arena = new Arena([segment]);
  // Whoever touches the second page now is killed; a system call fails.
  truncateSync(path, PAGE_BYTES);
  const buffer = new Uint8Array(1024).fill(1);
  const at = PAGE_BYTES - 1024;
  const first = 512 + 300;
  const length = 1024 + PAGE_BYTES;
  let isDone = false;
  // The end of the unit may come before it is waited for, or too late: then it is tried again.
  for (let attempt = 0; attempt < 100 && !isDone; attempt++) {
    segment.fill(9, 0, PAGE_BYTES);
    const [ours, theirs] = socketPair();
    const words = new Int32Array(new SharedArrayBuffer(8));
    const data = { fd: theirs, words: words.buffer, length: length - first };
    const worker = startWorker('send-later', data);
    while (Atomics.load(words, 1) === 0) await sleep(1);
    arena.send(theirs, buffer, Float64Array.from([PLACE.BUFFER, 0, first]), 0, 1, 0);
    Atomics.store(words, 0, 1);
    Atomics.notify(words, 0);
    let hasFailed = false;
    try {
      arena.receive(ours, at, length, 512, buffer, 0, 0, 10_000);
    } catch (error) {
      t.like(error, { code: 'EFAULT' });
      hasFailed = true;
    }
    await worker.terminate();
    t.true(segment.subarray(0, at).every((byte) => byte === 9));
    t.deepEqual(new Set(segment.subarray(at, at + 512)), new Set([1]));
    const unit = new Set(segment.subarray(at + 512, PAGE_BYTES));
    t.is(unit.size, 1);
    isDone = hasFailed && unit.has(9);
    closeDescriptor(ours);
    closeDescriptor(theirs);
  }
  t.true(isDone);
});

test('a send gathers from buffer and arena, and tells when the socket is full or gone', async (t) => {
  const { fd, client } = await connected(t);
  const { arena, bytes } = newArena();
  bytes.fill(9, PAGE_BYTES - 1, PAGE_BYTES + 1);
  const buffer = Uint8Array.from([1, 2, 3, 4]);
  const triples = Float64Array.from([PLACE.BUFFER, 1, 2, PLACE.ARENA, PAGE_BYTES - 1, 2]);
  t.is(arena.send(fd, buffer, triples, 0, 2, 1), 3);
  const [data]: unknown[] = await new Promise((resolve) =>
    client.once('data', (...got: unknown[]) => resolve(got)),
  );
  t.deepEqual(data, Buffer.from([3, 9, 9]));
  const hole = Float64Array.from([PLACE.ZEROES, 0, 100_000, PLACE.BUFFER, 0, 1]);
  t.is(arena.send(fd, buffer, hole, 0, 2, 1), 100_000);
  const got = Buffer.alloc(100_000, 2);
  await new Promise<void>((resolve) => {
    let length = 0;
    client.on('data', (piece) => {
      length += Buffer.from(piece).copy(got, length);
      if (length === got.length) resolve();
    });
  });
  client.removeAllListeners('data');
  t.true(got.equals(Buffer.from([...Buffer.alloc(99_999), 1])));
  client.pause();
  const all = Float64Array.from([PLACE.ARENA, 0, 2 * PAGE_BYTES]);
  let last = 0;
  for (let i = 0; i < 1000 && last >= 0; i++) last = arena.send(fd, buffer, all, 0, 1, 0);
  t.is(last, WOULD_BLOCK);
  client.destroy();
  await sleep(20);
  t.is(arena.send(fd, buffer, all, 0, 1, 0), GONE);
});

test('a peer with something to read is waited for, until enough has come from it', (t) => {
  const [ours, theirs] = socketPair();
  t.teardown(() => {
    closeDescriptor(ours);
    closeDescriptor(theirs);
  });
  const { arena } = newArena();
  const buffer = new Uint8Array(2048);
  const bytes = (length: number) => Float64Array.from([PLACE.BUFFER, 0, length]);
  t.true(waitWhileUnread(ours, 1000, 10_000));
  arena.send(ours, buffer, bytes(2), 0, 1, 0);
  t.false(waitWhileUnread(ours, 1000, 100));
  t.false(waitWhileUnread(ours, 1000, 0));
  t.is(arena.receive(theirs, 0, 0, 1, buffer, 0, 1, 0), 1);
  t.false(waitWhileUnread(ours, 1000, 100));
  arena.send(theirs, buffer, bytes(1000), 0, 1, 0);
  t.false(waitWhileUnread(ours, 1000, 10_000));
  t.is(arena.receive(theirs, 0, 0, 1, buffer, 0, 10, 0), 1);
  t.true(waitWhileUnread(ours, 1000, 10_000));
  refuses(t, 'EINVAL', 'enough is 0', () => waitWhileUnread(ours, 0, 0));
  refuses(t, 'EINVAL', 'patienceUs is 10001', () => waitWhileUnread(ours, 1, 10_001));
  refuses(t, 'EBADF', 'fd', () => waitWhileUnread(closedDescriptor(), 1, 0));
});

test('wrong ranges are refused before anything moves', async (t) => {
  const { fd } = await connected(t);
  const { arena } = newArena();
  const buffer = new Uint8Array(10);
  const send = (...triple: number[]) => arena.send(fd, buffer, Float64Array.from(triple), 0, 1, 0);
  refuses(t, 'EINVAL', 'triple 0 is (0, 8, 3)', () => send(0, 8, 3));
  refuses(t, 'EINVAL', 'triple 0 is (1, 8192, 1)', () => send(1, 2 * PAGE_BYTES, 1));
  refuses(t, 'EINVAL', 'triple 0 is (3, 0, 1)', () => send(3, 0, 1));
  refuses(t, 'EINVAL', 'count is 2', () => arena.send(fd, buffer, new Float64Array(3), 0, 2, 0));
  refuses(t, 'EINVAL', 'length is 8193', () => arena.receive(fd, 0, 8193, 512, buffer, 0, 10, 0));
  refuses(t, 'EINVAL', 'patienceUs is 10001', () =>
    arena.receive(fd, 0, 1, 512, buffer, 0, 10, 10_001),
  );
  refuses(t, 'EINVAL', 'until is 11', () => arena.receive(fd, 0, 1, 512, buffer, 0, 11, 0));
  refuses(t, 'EINVAL', 'from is 11', () => arena.receive(fd, 0, 1, 512, buffer, 11, 11, 0));
  const intoPages = (pages: readonly number[], from: number, until: number) =>
    arena.receivePages(fd, Uint32Array.from(pages), from, until, 1, buffer, 0, 1, 0);
  refuses(t, 'EINVAL', 'one of the pages', () => intoPages([0, 2], 0, PAGE_BYTES + 1));
  refuses(t, 'EINVAL', 'one of the pages', () => intoPages([2 ** 32 - 1], 0, 1));
  refuses(t, 'EINVAL', 'until is 4097', () => intoPages([0], 0, PAGE_BYTES + 1));
  refuses(t, 'EINVAL', 'from is 4097', () => intoPages([0], PAGE_BYTES + 1, PAGE_BYTES + 1));
  refuses(t, 'EBADF', '', () => arena.receive(closedDescriptor(), 0, 0, 1, buffer, 0, 1, 0));
});

test('a poller tells who is ready, and an event ends its wait', async (t) => {
  const { fd, client } = await connected(t);
  const poller = new Poller();
  const wake = new WakeEvent();
  t.teardown(() => poller.close());
  t.teardown(() => wake.close());
  const out = new Float64Array(8);
  poller.add(fd, INTEREST.READ);
  poller.add(wake.fd, INTEREST.READ);
  t.is(poller.wait(out, 1, 10), 0);
  await sent(client, Buffer.alloc(1));
  t.is(poller.wait(out, 1000, 0), 1);
  t.deepEqual([...out.subarray(0, 2)], [fd, READY.READ]);
  poller.change(fd, INTEREST.WRITE);
  t.is(poller.wait(out, 1000, 0), 1);
  t.deepEqual([...out.subarray(0, 2)], [fd, READY.WRITE]);
  poller.change(fd, INTEREST.NONE);
  wake.signal();
  t.is(poller.wait(out, 1000, 0), 1);
  t.is(out.at(0), wake.fd);
  refuses(t, 'EEXIST', `fd ${fd}`, () => poller.add(fd, INTEREST.READ));
  poller.change(fd, INTEREST.WRITE);
  poller.remove(fd);
  t.is(poller.wait(out, 1000, 0), 1);
  t.is(out.at(0), wake.fd);
  refuses(t, 'ENOENT', `fd ${fd}`, () => poller.remove(fd));
  refuses(t, 'EINVAL', 'timeoutMs is 60001', () => poller.wait(out, 60001, 0));
});

test('listening: taken paths, addresses that are none, and sockets that do not listen', async (t) => {
  const { fd } = await connected(t);
  const path = join(temporaryFolder(t), 'socket');
  const first = listenUnix(path, 0o600);
  t.teardown(() => closeDescriptor(first));
  refuses(t, 'EADDRINUSE', path, () => listenUnix(path, 0o600));
  refuses(t, 'EINVAL', 'localhost', () => listenTcp('localhost', 0));
  refuses(t, 'EINVAL', 'port is 65536', () => listenTcp('127.0.0.1', 65536));
  refuses(t, 'EINVAL', 'no listening socket', () => listeningPort(fd));
  const tcp = listenTcp('127.0.0.1', 0);
  t.teardown(() => closeDescriptor(tcp));
  t.true(listeningPort(tcp) > 0);
});

test('holes of a memfd and of a file', (t) => {
  const memory = createMemory(4 * PAGE_BYTES);
  t.teardown(() => memory.close());
  t.is(nextData(memory.fd, 0), -1);
  const segment = memory.segments.at(0);
  if (segment !== undefined) new Uint8Array(segment)[2 * PAGE_BYTES] = 1;
  t.is(nextData(memory.fd, 0), 2 * PAGE_BYTES);
  t.is(nextHole(memory.fd, 2 * PAGE_BYTES), 3 * PAGE_BYTES);
  refuses(t, 'EINVAL', 'offsetBytes is -1', () => nextData(memory.fd, -1));
  const { fd } = temporaryFile(t);
  t.is(nextData(fd, 0), -1);
});

test('an event that was heard wakes again only after the next signal', (t) => {
  const poller = new Poller();
  const wake = new WakeEvent();
  poller.add(wake.fd, INTEREST.READ);
  const out = new Float64Array(2);
  wake.signal();
  wake.signal();
  t.is(poller.wait(out, 0, 0), 1);
  clearEvent(wake.fd);
  t.is(poller.wait(out, 0, 0), 0);
  clearEvent(wake.fd);
  wake.signal();
  t.is(poller.wait(out, 0, 0), 1);
  wake.close();
  poller.close();
});

test('the two ends of a socket pair hear each other', (t) => {
  const [left, right] = socketPair();
  const arena = new Arena([new Uint8Array(new SharedArrayBuffer(4096))]);
  const text = new TextEncoder().encode('over to you');
  const triples = Float64Array.of(PLACE.BUFFER, 0, text.length);
  t.is(arena.send(left, text, triples, 0, 1, 0), text.length);
  const heard = new Uint8Array(64);
  t.is(arena.receive(right, 0, 0, 1, heard, 0, 64, 0), text.length);
  t.deepEqual(heard.subarray(0, text.length), text);
  t.is(arena.receive(right, 0, 0, 1, heard, 0, 64, 0), WOULD_BLOCK);
  closeDescriptor(left);
  t.is(arena.receive(right, 0, 0, 1, heard, 0, 64, 0), 0);
  closeDescriptor(right);
});

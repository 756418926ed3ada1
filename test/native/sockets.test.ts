// Unix sockets between this process and others: credentials, descriptors, and ends that go away. One test after the
// other, since some count the descriptors of the process.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, Socket } from 'node:net';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import {
  closeDescriptor,
  connectUnix,
  createMemory,
  dup,
  mapMemory,
  openFile,
  peerCredentials,
  preadInto,
  receiveDescriptors,
  sendDescriptors,
} from '../../native/index.js';
import { requires } from '../support/requires.js';
import {
  closedDescriptor,
  collectsUntil,
  descriptorOf,
  exitCode,
  NO_OFFSETS,
  openDescriptors,
  PAGE_BYTES,
  refuses,
  rejects,
  startProcess,
  temporaryFile,
  temporaryFolder,
} from './surroundings.js';

/** A listening socket; accept() gives a plain descriptor of the next connection, closed after the test. */
async function listen(
  t: ExecutionContext,
): Promise<{ path: string; accept: () => Promise<number> }> {
  const path = join(temporaryFolder(t), 'socket');
  const server = createServer({ pauseOnConnect: true }).listen(path);
  const accepted: Socket[] = [];
  server.on('connection', (socket) => accepted.push(socket));
  await once(server, 'listening');
  t.teardown(() => server.close());
  const accept = async (): Promise<number> => {
    while (accepted.length === 0) await once(server, 'connection');
    const socket = accepted.shift();
    if (socket === undefined) throw new Error('nobody connected');
    const fd = dup(descriptorOf(socket));
    socket.destroy();
    t.teardown(() => closeDescriptor(fd));
    return fd;
  };
  return { path, accept };
}

/** Two connected descriptors of this process; the second is the test's to close. */
async function connectedPair(t: ExecutionContext): Promise<[number, number]> {
  const { path, accept } = await listen(t);
  const client = connectUnix(path);
  return [await accept(), client];
}

test.serial('two processes share memory by passing its descriptor', async (t) => {
  const { path, accept } = await listen(t);
  const child = startProcess(t, 'send-memory', path);
  const fd = await accept();
  t.is(peerCredentials(fd).pid, child.pid ?? 0);
  t.is(peerCredentials(fd).uid, process.getuid?.() ?? -1);
  t.is(peerCredentials(fd).gid, process.getgid?.() ?? -1);

  const { data, fds } = await receiveDescriptors(fd, 100, 60_000);
  t.is(Buffer.from(data).toString(), 'memory');
  t.is(fds.length, 1);
  const memory = mapMemory(fds[0] ?? -1, 2 * PAGE_BYTES);
  const [segment = new SharedArrayBuffer(0)] = memory.segments;
  const words = new Int32Array(segment);
  t.is(Atomics.load(words, 0), 1234, 'a store of the other process');
  Atomics.store(words, 1, 5678);
  sendDescriptors(fd, Buffer.from('stored'), []);
  t.is(await exitCode(child), 0, 'the other process saw the store of this one');
  const end = await receiveDescriptors(fd, 100, 60_000);
  t.deepEqual(end, { data: new Uint8Array(0), fds: [] });
  memory.close();
});

test.serial('eight descriptors go with the first byte of a message', async (t) => {
  const [ours, theirs] = await connectedPair(t);
  const memories = Array.from({ length: 8 }, (_, index) => {
    const memory = createMemory(PAGE_BYTES);
    const [segment = new SharedArrayBuffer(0)] = memory.segments;
    new Uint8Array(segment)[0] = index;
    return memory;
  });
  const fds = memories.map((memory) => memory.fd);
  sendDescriptors(theirs, Buffer.from('hello'), fds);
  const first = await receiveDescriptors(ours, 2, 60_000);
  t.is(Buffer.from(first.data).toString(), 'he');
  t.deepEqual(
    first.fds.map((fd) => {
      const byte = new Uint8Array(1);
      preadInto(fd, byte, 0);
      closeDescriptor(fd);
      return byte[0];
    }),
    [0, 1, 2, 3, 4, 5, 6, 7],
  );
  const rest = await receiveDescriptors(ours, 100, 60_000);
  t.is(Buffer.from(rest.data).toString(), 'llo');
  t.deepEqual(rest.fds, []);
  for (const memory of memories) memory.close();
  refuses(t, 'EINVAL', '9 descriptors', () =>
    sendDescriptors(
      theirs,
      Uint8Array.of(1),
      Array.from({ length: 9 }, () => 0),
    ),
  );
  closeDescriptor(theirs);
});

test.serial('more than eight descriptors are refused and closed', async (t) => {
  if (!requires(t, 'python3', 'python3')) return;
  const { path, accept } = await listen(t);
  const program =
    'import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);' +
    'socket.send_fds(s, [b"x"], [0] * 9); s.recv(1)';
  const child = spawn('python3', ['-c', program, path], { stdio: 'inherit' });
  t.teardown(() => child.kill('SIGKILL'));
  const fd = await accept();
  const before = openDescriptors();
  await rejects(t, 'EMSGSIZE', 'more than 8', receiveDescriptors(fd, 10, 60_000));
  t.true(await collectsUntil(() => openDescriptors() <= before));
});

test.serial('a receiver that waits gets what is sent later, and keeps no descriptor', async (t) => {
  const [ours, theirs] = await connectedPair(t);
  const before = openDescriptors();
  const promises = [1, 2, 3].map(() => receiveDescriptors(ours, 1, 60_000));
  sendDescriptors(theirs, Buffer.from('abc'), []);
  const letters = await Promise.all(promises);
  t.deepEqual(letters.map(({ data }) => String.fromCharCode(...data)).sort(), ['a', 'b', 'c']);
  closeDescriptor(theirs);
  t.is((await receiveDescriptors(ours, 1, 60_000)).data.length, 0);
  t.true(await collectsUntil(() => openDescriptors() < before));
});

test.serial('the descriptor may be closed while a receiver waits', async (t) => {
  const [ours, theirs] = await connectedPair(t);
  const copy = dup(ours);
  const promise = receiveDescriptors(copy, 10, 60_000);
  closeDescriptor(copy);
  sendDescriptors(theirs, Buffer.from('late'), []);
  t.is(Buffer.from((await promise).data).toString(), 'late');
  closeDescriptor(theirs);
});

test.serial('a timeout of 0 takes what is there', async (t) => {
  const [ours, theirs] = await connectedPair(t);
  await rejects(t, 'ETIMEDOUT', '0 ms', receiveDescriptors(ours, 10, 0));
  sendDescriptors(theirs, Buffer.from('there'), []);
  t.is(Buffer.from((await receiveDescriptors(ours, 10, 0)).data).toString(), 'there');
  closeDescriptor(theirs);
});

test.serial('a sender gives up when nobody reads', async (t) => {
  const [, theirs] = await connectedPair(t);
  const fill = (): void => {
    while (true) sendDescriptors(theirs, new Uint8Array(65_536), [], 0);
  };
  refuses(t, 'ETIMEDOUT', '65536 bytes', fill);
  refuses(t, 'ETIMEDOUT', '1 bytes', () => sendDescriptors(theirs, Uint8Array.of(1), [], 5));
  closeDescriptor(theirs);
});

test.serial('a sender whose peer is gone gets EPIPE, not a signal', async (t) => {
  const { path } = await listen(t);
  const fd = connectUnix(path);
  const socket = new Socket({ fd: dup(fd) });
  // Shuts the writing side of the connection down, for all its descriptors.
  socket.end();
  await once(socket, 'finish');
  refuses(t, 'EPIPE', `fd ${fd}`, () => sendDescriptors(fd, Uint8Array.of(1), []));
  socket.destroy();
  closeDescriptor(fd);
});

test.serial('wrong arguments are refused', async (t) => {
  const [ours, theirs] = await connectedPair(t);
  const { fd: file } = temporaryFile(t);
  const byte = Uint8Array.of(1);
  for (const fd of [-1, 0.5, Number.NaN, closedDescriptor()]) {
    const shown = String(fd);
    refuses(t, 'EBADF', shown, () => peerCredentials(fd));
    refuses(t, 'EBADF', shown, () => sendDescriptors(fd, byte, []));
    await rejects(t, 'EBADF', shown, receiveDescriptors(fd, 1, 0));
    refuses(t, 'EBADF', 'descriptor', () => sendDescriptors(ours, byte, [0, fd]));
  }
  refuses(t, 'ENOTSOCK', 'fd', () => peerCredentials(file));
  refuses(t, 'ENOTSOCK', 'fd', () => sendDescriptors(file, byte, []));
  await rejects(t, 'ENOTSOCK', 'fd', receiveDescriptors(file, 1, 0));
  refuses(t, 'EINVAL', 'data has 0', () => sendDescriptors(ours, new Uint8Array(0), []));
  refuses(t, 'EINVAL', 'data has 65537', () => sendDescriptors(ours, new Uint8Array(65537), []));
  for (const number of NO_OFFSETS) {
    refuses(t, 'EINVAL', `timeoutMs is ${number}`, () => sendDescriptors(ours, byte, [], number));
    await rejects(t, 'EINVAL', `maxBytes is ${number}`, receiveDescriptors(ours, number, 0));
    await rejects(t, 'EINVAL', `timeoutMs is ${number}`, receiveDescriptors(ours, 1, number));
  }
  closeDescriptor(theirs);
});

test.serial('connecting fails with the code of its cause', (t) => {
  const folder = temporaryFolder(t);
  refuses(t, 'ENOENT', 'nobody', () => connectUnix(join(folder, 'nobody')));
  const path = join(folder, 'file');
  closeDescriptor(openFile(path, { create: true }));
  refuses(t, 'ECONNREFUSED', path, () => connectUnix(path));
  refuses(t, 'ENAMETOOLONG', '108 bytes', () => connectUnix('x'.repeat(108)));
  refuses(t, 'EINVAL', 'path', () => connectUnix(''));
});

// FLUSH and FUA of disks in files are done beside the disks' thread: nobody waits for them but who asked, and no error is
// missed.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import test from 'ava';
import { BackingFile } from '../../../daemon/nbd/backing-file.js';
import { FileSync } from '../../../daemon/nbd/file-sync.js';
import { CHUNK, COMMAND, COMMAND_FLAG, ERROR } from '../../../daemon/nbd/protocol.js';
import { RemoteLink } from '../../../daemon/nbd/remote-link.js';
import { OPERATION } from '../../../daemon/nbd/remote-messages.js';
import { closeDescriptor, openFile } from '../../../native/index.js';
import { requires } from '../../support/requires.js';
import { RawClient, startNbd } from './raw-client.js';

const { READ, WRITE, FLUSH, WRITE_ZEROES } = COMMAND;

test('while a flush is not answered, other requests are', async (t) => {
  if (!requires(t, 'qemu-io', 'qemu-utils')) return;
  const { socket } = await startNbd(t);
  const client = await RawClient.attach(t, socket, 'file', 'structured');
  client.request(FLUSH, 0, 0);
  client.request(WRITE, 0, 512, COMMAND_FLAG.FUA, Buffer.alloc(512, 7));
  client.request(WRITE_ZEROES, 512, 512, COMMAND_FLAG.FUA);
  client.request(READ, 0, 512);
  // This thread is the one that has it done: meanwhile it is busy.
  const uri = (name: string): string => `nbd+unix:///${name}?socket=${socket}`;
  const io = spawnSync('qemu-io', ['-r', '-f', 'raw', '-c', 'read 0 64k', uri('scratch')]);
  t.is(io.status, 0, io.stderr.toString());
  const [data] = await client.chunks();
  t.is(data.type, CHUNK.OFFSET_DATA);
  t.true(data.payload.subarray(8).equals(Buffer.alloc(512, 7)));
  for (let i = 0; i < 3; i++) t.is(await client.simple(), ERROR.NONE);
});

test('those that ask meanwhile share the next one, and after an error all fail', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'pinfold-sync-'));
  const fd = openFile(join(folder, 'file'), { create: true });
  const { port1: main, port2: ours } = new MessageChannel();
  const link = new RemoteLink(ours);
  const file = new BackingFile(fd, 4096, false);
  const sync = new FileSync(link, file);
  t.teardown(() => {
    file.close();
    closeDescriptor(fd);
    main.close();
    rmSync(folder, { recursive: true });
  });
  const answers: string[] = [];
  const waiter = (name: string) => ({
    fd: 1000 + answers.length,
    isQuiet: true,
    answered: (id: number, error: number) => answers.push(`${name} ${id} ${error}`),
  });
  const asked = (): number[] => {
    link.flush();
    const message: unknown = receiveMessageOnPort(main)?.message;
    return message instanceof Float64Array ? [...message] : [];
  };
  const done = (error: number): void => {
    main.postMessage(Float64Array.of(1, 0, error, 0));
    link.receive();
  };
  sync.ask(waiter('a'));
  t.deepEqual(asked(), [1, 0, OPERATION.SYNC, 0, file.fd, 0]);
  sync.ask(waiter('b'));
  sync.ask(waiter('c'));
  t.deepEqual(asked(), [], 'one at a time');
  done(ERROR.NONE);
  t.deepEqual(answers.splice(0), ['a 1 0']);
  t.is(asked().length, 6);
  sync.ask(waiter('d'));
  done(ERROR.ENOSPC);
  t.deepEqual(answers.splice(0), [`b 2 ${ERROR.ENOSPC}`, `c 3 ${ERROR.ENOSPC}`]);
  t.is(asked().length, 6);
  done(ERROR.NONE);
  t.deepEqual(answers, [`d 4 ${ERROR.EIO}`], 'what was lost is lost');
  t.true(file.failed);
});

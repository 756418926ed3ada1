// Bench `ipc`: 4 KiB reads of a disk in memory through a daemon in a process of its own, at queue
// depth 1 and 32, against a bare echo of the same bytes over the same kind of socket.

import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect as connectSocket, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type Disk } from '../clients/node/index.js';
import { child, end, START_MS, socketThere } from './children.js';
import { READ_BYTES, REPLY_BYTES, REQUEST_BYTES } from './echo-words.js';
import { type BenchOptions, type BenchResult, summarise } from './measure.js';
import { MIB } from './rig.js';

const DEPTHS: readonly number[] = [1, 32];
const READS = 20_000;
const DISK_BYTES = 64 * MIB;
const REACH = 0.7;

export async function benchIpc(options: BenchOptions): Promise<BenchResult[]> {
  const folder = mkdtempSync(join(tmpdir(), 'pinfold-ipc-'));
  const echoPath = join(folder, 'echo');
  const daemonPath = join(folder, 'daemon');
  const children = [
    child('./echo-server.js', [echoPath]),
    child('../clients/cli/pinfold.js', [
      'serve',
      '--socket',
      daemonPath,
      '--disk',
      'bench,size=64M',
    ]),
  ];
  try {
    await Promise.all([socketThere(echoPath, children), socketThere(daemonPath, children)]);
    const client = await connect(daemonPath, { timeoutMs: START_MS });
    const disk = await client.disk('bench');
    const echo = connectSocket(echoPath);
    await once(echo, 'connect');
    const results = [];
    for (const depth of DEPTHS) results.push(await benchDepth(options, depth, disk, echo));
    echo.destroy();
    await client.close();
    return results;
  } finally {
    await Promise.all(children.map(end));
    rmSync(folder, { recursive: true });
  }
}

async function benchDepth(
  options: BenchOptions,
  depth: number,
  disk: Disk,
  echo: Socket,
): Promise<BenchResult> {
  const reads = depth === 1 ? READS / 4 : READS;
  const runs = [];
  for (let i = -1; i < options.runs; i++) {
    if (i >= 0)
      options.onProgress(
        `ipc, depth ${String(depth)}: run ${String(i + 1)} of ${String(options.runs)}`,
      );
    const against = await rate(reads, () => echoReads(echo, depth, reads));
    const value = await rate(reads, () => diskReads(disk, depth, reads));
    if (i >= 0) runs.push({ value, against });
  }
  return summarise(
    {
      name: `ipc@depth${String(depth)}`,
      unit: 'reads/s',
      againstWhat: 'a bare echo of the same bytes',
      reach: depth === 1 ? null : `>= ${String(REACH)} of the echo`,
      isReached: depth === 1 ? null : (ratio) => ratio !== null && ratio >= REACH,
    },
    runs,
  );
}

async function diskReads(disk: Disk, depth: number, reads: number): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    const target = Buffer.alloc(READ_BYTES);
    while (next < reads) {
      const offset = ((next++ * 7919) % (DISK_BYTES / READ_BYTES)) * READ_BYTES;
      await disk.readInto(offset, target);
    }
  };
  await Promise.all(Array.from({ length: depth }, lane));
}

/** Keeps `depth` requests on the way and counts the bytes that come back. */
function echoReads(socket: Socket, depth: number, reads: number): Promise<void> {
  const request = Buffer.alloc(REQUEST_BYTES);
  return new Promise((resolve) => {
    let sent = 0;
    let received = 0;
    const send = (count: number): void => {
      socket.cork();
      for (let i = 0; i < count && sent < reads; i++, sent++) socket.write(request);
      socket.uncork();
    };
    const onData = (data: Buffer): void => {
      const before = Math.floor(received / REPLY_BYTES);
      received += data.length;
      const done = Math.floor(received / REPLY_BYTES);
      send(done - before);
      if (done < reads) return;
      socket.off('data', onData);
      resolve();
    };
    socket.on('data', onData);
    send(depth);
  });
}

async function rate(reads: number, work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return (reads * 1000) / (performance.now() - start);
}

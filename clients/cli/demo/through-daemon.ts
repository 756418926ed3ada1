// The last part of the demo: a daemon in a process of its own serves the volume, and this process is its
// client. Pages of a file are mapped and pinned, a device writes into them while writeback runs, and in
// the end every byte is accounted for, also after the daemon has gone.

import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type Disk, openDisk } from '../../../engine/block/disk.js';
import { fsck } from '../../../engine/fs/fsck.js';
import { mkfs } from '../../../engine/fs/mkfs.js';
import { connect, type Volume } from '../../node/index.js';
import { CliError } from '../frame/errors.js';
import { MountedTree } from '../volume/mounted-tree.js';
import { MountedVolume } from '../volume/mounted-volume.js';

const VOLUME_BYTES = 64 * 2 ** 20;
const FILE = '/demo';
const PAGE_BYTES = 4096;
const PAGES = 256;
const LENGTH = PAGES * PAGE_BYTES;
/** Rounds of device stores into each pin, with writeback between them. */
const ROUNDS = 8;

export interface DaemonReport {
  readonly daemonPid: number;
  readonly clientPid: number;
  readonly pagesPinned: number;
  readonly bytesByDma: number;
  readonly writebacks: number;
  readonly pagesWrittenBack: number;
  /** sha256 of what was written, of what the file holds through the daemon, and after it has gone. */
  readonly written: string;
  readonly readBack: string;
  readonly onDisk: string;
  readonly fsckSound: boolean;
  readonly daemonExit: number | null;
  readonly ok: boolean;
}

/** @param image made anew */
export async function runThroughDaemon(
  image: string,
  socket: string,
  signal: AbortSignal,
): Promise<DaemonReport> {
  format(image);
  const daemon = await startDaemon(image, socket);
  let done: Worked;
  let daemonExit: number | null;
  try {
    done = await work(socket, signal);
  } finally {
    daemonExit = await stopDaemon(daemon);
  }
  const { written, readBack } = done;
  const onDisk = await sumOnDisk(image);
  const fsckSound = isSound(image);
  const same = written === readBack && written === onDisk;
  const ok = same && fsckSound && daemonExit === 0;
  const pids = { daemonPid: daemon.pid ?? 0, clientPid: process.pid };
  return { ...pids, ...done, onDisk, fsckSound, daemonExit, ok };
}

type Worked = Omit<
  DaemonReport,
  'daemonPid' | 'clientPid' | 'onDisk' | 'fsckSound' | 'daemonExit' | 'ok'
>;

function format(image: string): void {
  const disk = openDisk(image, { createBytes: VOLUME_BYTES });
  try {
    mkfs(disk);
  } finally {
    disk.close();
  }
}

async function startDaemon(image: string, socket: string): Promise<ChildProcess> {
  const flags = ['--socket', socket, '--volume', `demo,path=${image}`];
  // The command that runs this demo is the daemon's as well.
  const command = process.argv.at(1) ?? 'pinfold';
  const daemon = spawn(process.execPath, [command, 'serve', ...flags], {
    stdio: ['ignore', 'pipe', 'inherit'],
    // Ctrl-C goes to the whole group; the demo ends its daemon itself.
    detached: true,
  });
  const { stdout } = daemon;
  const ready = await Promise.race([
    once(stdout, 'data').then(() => true),
    once(daemon, 'exit').then(() => false),
  ]);
  if (!ready) throw new CliError('EIO', 'the daemon of the demo did not start');
  return daemon;
}

async function stopDaemon(daemon: ChildProcess): Promise<number | null> {
  if (daemon.exitCode !== null) return daemon.exitCode;
  const exited = once(daemon, 'exit');
  daemon.kill('SIGTERM');
  await exited;
  return daemon.exitCode;
}

async function work(socket: string, signal: AbortSignal): Promise<Worked> {
  const client = await connect(socket, { name: 'demo', reconnect: false });
  try {
    const volume = await client.volume('demo');
    const counts = await pinAndStore(volume, signal);
    const statistics = await volume.statistics();
    return { ...counts, pagesWrittenBack: statistics['pagesWritten'] ?? 0 };
  } finally {
    await client.close();
  }
}

/** The device stores round after round into pages that are pinned, while their file is cleaned. */
async function pinAndStore(volume: Volume, signal: AbortSignal) {
  const file = await volume.open(FILE, { create: true, signal });
  const expected = Buffer.alloc(LENGTH);
  await file.pwrite(0, expected, { signal });
  const mapping = await file.map(0, LENGTH, { signal });
  const pin = await mapping.pin(0, LENGTH, { signal });
  let bytesByDma = 0;
  for (let round = 1; round <= ROUNDS; round++) {
    for (let i = 0; i < LENGTH; i += 4) expected.writeUInt32LE((round << 24) | (i >>> 2), i);
    const cleaning = volume.writeback('flush', { signal });
    await pin.dmaWrite(0, expected, { signal });
    bytesByDma += LENGTH;
    await cleaning;
  }
  await pin.unpin();
  await file.fsync({ signal });
  const back = await file.pread(0, LENGTH, { signal });
  await mapping.unmap();
  await file.close();
  return {
    pagesPinned: pin.pages,
    bytesByDma,
    writebacks: ROUNDS,
    written: sha256(expected),
    readBack: sha256(back),
  };
}

/** What the backing file holds now that the daemon has gone. */
async function sumOnDisk(image: string): Promise<string> {
  const mounted = await MountedVolume.open(image);
  try {
    const bytes = new Uint8Array(LENGTH);
    const reader = new MountedTree(mounted).openReader(FILE);
    const got = await reader.read(0, bytes);
    await reader.close();
    return sha256(bytes.subarray(0, got));
  } finally {
    await mounted.close();
  }
}

function isSound(image: string): boolean {
  const disk: Disk = openDisk(image);
  try {
    return fsck(disk, { repair: false }).damageCount === 0;
  } finally {
    disk.close();
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

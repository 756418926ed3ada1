// A daemon in a process of its own, for clients that load it or misbehave; and what it needs meanwhile.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { startProgram, type Test, temporaryFolder } from '../../support/test-daemon.js';

export const MIB = 2 ** 20;
export const DISK_BYTES = 32 * MIB;

export interface LoadDaemon {
  readonly socket: string;
  readonly folder: string;
  /** Throws with what it wrote to stderr if the process is over. */
  readonly alive: () => void;
  readonly rssBytes: () => number;
  readonly descriptors: () => number;
  /** Those of its descriptors that are sockets. */
  readonly sockets: () => number;
}

/**
 * Serves `memory`, `file`, `cached` with a volatile cache, and `calm-memory` and `calm-file` for those that behave: 32 MiB
 * each.
 */
export async function startLoadDaemon(t: Test): Promise<LoadDaemon> {
  const folder = temporaryFolder(t);
  const socket = join(folder, 'nbd');
  const config = JSON.stringify({
    socket: join(folder, 'ipc'),
    logLevel: 'silent',
    disks: [
      ...['', 'calm-'].flatMap((kind) => [
        { name: `${kind}memory`, size: DISK_BYTES },
        { name: `${kind}file`, size: DISK_BYTES, path: join(folder, `${kind}disk.img`) },
      ]),
      { name: 'cached', size: DISK_BYTES, cache: 'volatile' },
    ],
    nbd: { socket },
  });
  const { process: child, stderr, line } = startProgram(t, 'daemon-program', [config]);
  await line();
  const proc = `/proc/${child.pid ?? 0}`;
  return {
    socket,
    folder,
    alive: () => {
      if (child.exitCode !== null || child.signalCode !== null)
        throw new Error(`the daemon ended: ${stderr()}`);
    },
    rssBytes: () => {
      const [, kib] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`${proc}/status`, 'utf8')) ?? [];
      return Number(kib) * 1024;
    },
    descriptors: () => readdirSync(`${proc}/fd`).length,
    sockets: () =>
      readdirSync(`${proc}/fd`).filter((fd) => target(`${proc}/fd/${fd}`).startsWith('socket:'))
        .length,
  };
}

/** What a descriptor is, unless it was closed meanwhile. */
function target(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return '';
  }
}

// The servers of the bench `nbd`, each with a disk in memory behind a Unix socket: the limit, Pinfold, and the two
// that people use.

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { child, end, socketThere } from './children.js';
import { MIB } from './rig.js';

export const SERVERS = ['limit', 'pinfold', 'nbdkit', 'qemu'] as const;
export type Server = (typeof SERVERS)[number];
/** The export of Pinfold that can lose power; the others have one export, which has no name. */
export const VOLATILE_EXPORT = 'volatile';

/** The file system in memory that qemu-nbd's raw image lies in. */
const TMPFS = '/dev/shm';

export class NbdServers {
  readonly #folders: readonly string[];
  readonly #folder: string;
  readonly #children = new Map<Server, ChildProcess>();

  private constructor() {
    this.#folder = mkdtempSync(join(tmpdir(), 'pinfold-nbd-'));
    this.#folders = [this.#folder, mkdtempSync(join(TMPFS, 'pinfold-nbd-'))];
  }

  /** Builds the limit and starts all of them. */
  static async start(diskMib: number): Promise<NbdServers> {
    const servers = new NbdServers();
    try {
      await servers.#start(diskMib);
    } catch (error) {
      await servers.stop();
      throw error;
    }
    return servers;
  }

  async #start(diskMib: number): Promise<void> {
    const limit = join(this.#folder, 'nbd-limit');
    const image = join(this.#folders[1], 'disk.raw');
    // From dist/bench/ to bench/, where the compiler of TypeScript leaves it.
    const source = fileURLToPath(new URL('../../bench/nbd-limit.c', import.meta.url));
    await promisify(execFile)('gcc', ['-O2', '-pthread', '-o', limit, source]);
    writeFileSync(image, '');
    truncateSync(image, diskMib * MIB);
    const socket = (server: Server): string => this.#socket(server);
    const run = (program: string, args: readonly string[]): ChildProcess =>
      spawn(program, args, { stdio: 'ignore' });
    const ipc = join(this.#folder, 'ipc');
    this.#children
      .set('limit', run(limit, [socket('limit'), String(diskMib * MIB)]))
      .set(
        'pinfold',
        child('../clients/cli/pinfold.js', [
          ...['serve', '--socket', ipc, '--nbd-socket', socket('pinfold')],
          ...['--disk', `bench,size=${String(diskMib)}M`],
          ...['--disk', `${VOLATILE_EXPORT},size=${String(diskMib)}M,cache=volatile`],
        ]),
      )
      .set('nbdkit', run('nbdkit', ['-f', '-U', socket('nbdkit'), 'memory', `${String(diskMib)}M`]))
      .set('qemu', run('qemu-nbd', ['-t', '-e', '16', '-f', 'raw', '-k', socket('qemu'), image]));
    const children = [...this.#children.values()];
    await Promise.all(SERVERS.map((server) => socketThere(socket(server), children)));
  }

  uri(server: Server, name = ''): string {
    return `nbd+unix:///${name}?socket=${this.#socket(server)}`;
  }

  /** @throws Error if it does not run */
  pid(server: Server): number {
    const pid = this.#children.get(server)?.pid;
    if (pid === undefined) throw new Error(`${server} does not run`);
    return pid;
  }

  /** A file for whoever needs one meanwhile. */
  get scratch(): string {
    return join(this.#folder, 'scratch');
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#children.values()].map(end));
    for (const folder of this.#folders) rmSync(folder, { recursive: true });
  }

  #socket(server: Server): string {
    return join(this.#folder, `${server}.sock`);
  }
}

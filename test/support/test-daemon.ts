// Daemons for tests: in this process, or as a process of their own.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Client, type ConnectOptions, connect } from '../../clients/node/index.js';
import { type ConfigInput, parseConfig } from '../../daemon/config.js';
import { type Daemon, startDaemon } from '../../daemon/lifecycle.js';
import { MemoryVolume } from './memory-volume.js';

/** The part of ava's `t` that is used here. */
export interface Test {
  teardown(end: () => Promise<void> | void): void;
}

/** A folder that goes away with the test. */
export function temporaryFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'pinfold-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export interface TestDaemon {
  readonly daemon: Daemon;
  readonly folder: string;
  readonly path: string;
  /** The volume `files`. */
  readonly volume: MemoryVolume;
  /** A client that is closed at the end of the test. */
  readonly client: (options?: ConnectOptions) => Promise<Client>;
}

/** In this process: disk `scratch` of 1 MiB, region `shared` of 64 KiB, volume `files`, and what `more` adds. */
export async function startTestDaemon(
  t: Test,
  more: Partial<ConfigInput> = {},
): Promise<TestDaemon> {
  const folder = temporaryFolder(t);
  const path = join(folder, 'socket');
  const volume = new MemoryVolume();
  const daemon = await startDaemon(testConfig(path, more), {
    openVolume: () => Promise.resolve(volume),
    fatal: (error) => {
      throw error;
    },
  });
  const clients: Client[] = [];
  t.teardown(async () => {
    await Promise.all(clients.map(async (each) => await each.close()));
    await daemon.close();
  });
  return {
    daemon,
    folder,
    path,
    volume,
    client: async (options = {}) => {
      const each = await connect(path, { reconnect: false, ...options });
      clients.push(each);
      return each;
    },
  };
}

export function testConfig(socket: string, more: Partial<ConfigInput> = {}) {
  return parseConfig(
    {
      socket,
      logLevel: 'silent',
      regions: [{ name: 'shared', size: '64K' }],
      volumes: [{ name: 'files', path: 'none', memory: '1M' }],
      ...more,
      disks: [{ name: 'scratch', size: '1M' }, ...(more.disks ?? [])],
    },
    'test',
  );
}

/** A program of test/support as a process of its own, killed at the end of the test. */
export interface Program {
  readonly process: ChildProcess;
  /** The next line that it prints. */
  readonly line: () => Promise<string>;
  /** Its exit code, or the signal that ended it. */
  readonly exit: Promise<number | string>;
  /** What it wrote to stderr so far. */
  readonly stderr: () => string;
}

export function startProgram(t: Test, name: string, args: readonly string[]): Program {
  const program = new URL(`./${name}.js`, import.meta.url).pathname;
  const child = spawn(process.execPath, [program, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  t.teardown(() => void child.kill('SIGKILL'));
  const lines: string[] = [];
  const readers: ((line: string) => void)[] = [];
  let rest = '';
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  child.stdout.on('data', (chunk: Buffer) => {
    const parts = (rest + chunk.toString()).split('\n');
    rest = parts.pop() ?? '';
    for (const line of parts) {
      const reader = readers.shift();
      if (reader === undefined) lines.push(line);
      else reader(line);
    }
  });
  const exit = new Promise<number | string>((resolve) => {
    child.once('close', (code, signal) => resolve(code ?? signal ?? -1));
  });
  return {
    process: child,
    exit,
    stderr: () => errors,
    line: async () => {
      const ready = lines.shift();
      if (ready !== undefined) return ready;
      const next = new Promise<string>((resolve) => readers.push(resolve));
      const ended = exit.then((status) => {
        throw new Error(`${name} ended with ${status}: ${errors}`);
      });
      return await Promise.race([next, ended]);
    },
  };
}

/** Waits for something that other processes bring about. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

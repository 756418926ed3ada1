// What the tests of the addon share: files that go away, expected errors, other threads and processes.

import { type ChildProcess, spawn } from 'node:child_process';
import { type EventEmitter, once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import type { ExecutionContext } from 'ava';
import { closeDescriptor, NativeError, openFile } from '../../native/index.js';

export const PAGE_BYTES = 4096;

/** A folder that is removed after the test. */
export function temporaryFolder(t: ExecutionContext, parent = tmpdir()): string {
  const folder = mkdtempSync(join(parent, 'pinfold-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A new file, open for reading and writing until the end of the test. */
export function temporaryFile(t: ExecutionContext, parent?: string): { path: string; fd: number } {
  const path = join(temporaryFolder(t, parent), 'file');
  const fd = openFile(path, { create: true, exclusive: true });
  t.teardown(() => closeDescriptor(fd));
  return { path, fd };
}

/** A number that was a descriptor a moment ago. */
export function closedDescriptor(): number {
  const fd = openFile('/dev/null');
  closeDescriptor(fd);
  return fd;
}

/** Expects a NativeError with this code, whose message contains this text. */
export function refuses(
  t: ExecutionContext,
  code: string,
  text: string,
  action: () => unknown,
): void {
  const error = t.throws(action, { instanceOf: NativeError }, `expected ${code}: ${text}`);
  t.is(error.code, code, error.message);
  t.true(error.message.includes(text), error.message);
  t.true(error.message.startsWith(`${error.syscall}: `), error.message);
}

/** The same for a promise. */
export async function rejects(
  t: ExecutionContext,
  code: string,
  text: string,
  promise: Promise<unknown>,
): Promise<void> {
  const error = await t.throwsAsync(promise, { instanceOf: NativeError });
  t.is(error.code, code, error.message);
  t.true(error.message.includes(text), error.message);
}

/** Numbers that are no offset and no length. */
export const NO_OFFSETS = [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, -PAGE_BYTES];

function programPath(name: string): URL {
  return new URL(`programs/${name}.js`, import.meta.url);
}

/** Starts a program of programs/ in a worker thread. */
export function startWorker(name: string, workerData: unknown): Worker {
  return new Worker(programPath(name), { workerData });
}

/** Starts a program of programs/ in a process of its own, killed at the latest after the test. */
export function startProcess(
  t: ExecutionContext,
  name: string,
  ...parameters: string[]
): ChildProcess {
  const child = spawn(process.execPath, [programPath(name).pathname, ...parameters], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  return child;
}

/** The exit code of a process that was started by startProcess. */
export async function exitCode(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return child.exitCode;
}

/** What the event carries when it comes. */
export function nextEvent(emitter: EventEmitter, event: string): Promise<unknown> {
  return new Promise((resolve) => emitter.once(event, resolve));
}

/** How many descriptors this process has open. */
export function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

/** The descriptor inside a socket of Node, which keeps owning it. */
export function descriptorOf(socket: Socket): number {
  const handle: unknown = Reflect.get(socket, '_handle');
  const fd: unknown =
    typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : undefined;
  if (typeof fd !== 'number') throw new Error('the socket has no descriptor');
  return fd;
}

/** Collects garbage until the condition holds; false if it does not after many rounds. */
export async function collectsUntil(condition: () => boolean): Promise<boolean> {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  if (typeof collect !== 'function') throw new Error('this Node has no gc()');
  for (let round = 0; round < 1000; round++) {
    Reflect.apply(collect, undefined, []);
    if (condition()) return true;
    await setImmediate();
  }
  return false;
}

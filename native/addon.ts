// Finds and loads the compiled addon, and types what it exports. Only the files of native/ import this.
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { NativeError } from './errors.js';

/** An arena inside the addon. */
export type ArenaHandle = { readonly arenaHandle: unique symbol };

/** The functions of the addon, see native/src/. They check their arguments and throw NativeError. */
type ArenaCopy = (
  arena: ArenaHandle,
  at: number,
  bytes: Uint8Array,
  from: number,
  until: number,
) => void;

export interface Addon {
  builtForModules(): number;
  setErrorClass(errorClass: typeof NativeError): void;

  createArena(segments: readonly Uint8Array[]): ArenaHandle;
  arenaPreadv(
    arena: ArenaHandle,
    fd: number,
    iov: Float64Array,
    count: number,
    fileOffset: number,
  ): number;
  arenaPwritev(
    arena: ArenaHandle,
    fd: number,
    iov: Float64Array,
    count: number,
    fileOffset: number,
  ): number;
  arenaCollapse(arena: ArenaHandle, offsetBytes: number, lengthBytes: number): number;
  arenaCrc32c(arena: ArenaHandle, offsetBytes: number, lengthBytes: number, seed: number): number;
  viewCrc32c(view: Uint8Array, seed: number, tables: boolean): number;

  preadInto(fd: number, view: Uint8Array, fileOffset: number): number;
  pwriteFrom(fd: number, view: Uint8Array, fileOffset: number): number;
  fdatasync(fd: number): void;
  startWriteback(fd: number, offsetBytes: number, lengthBytes: number): void;
  fallocate(fd: number, mode: number, offsetBytes: number, lengthBytes: number): void;
  seekExtent(fd: number, offsetBytes: number, hole: boolean): number;
  dup(fd: number): number;
  closeDescriptor(fd: number): void;
  openFile(
    path: string,
    create: boolean,
    exclusive: boolean,
    readOnly: boolean,
    direct: boolean,
    mode: number,
  ): number;
  fileStatus(fd: number, out: Float64Array): void;
  truncateFile(fd: number, sizeBytes: number): void;
  tryLock(fd: number): number;

  createSealedMemory(name: string, lengthBytes: number): number;
  checkSealed(fd: number, lengthBytes: number): void;
  reserveRange(fd: number, offsetBytes: number, lengthBytes: number): void;
  mapShared(
    fd: number,
    offsetBytes: number,
    lengthBytes: number,
    writable: boolean,
  ): SharedArrayBuffer;
  pageBytes(): number;

  connectUnix(path: string): number;
  peerCredentials(fd: number, out: Float64Array): void;
  sendDescriptors(fd: number, data: Uint8Array, fds: Float64Array, timeoutMs: number): void;
  receiveDescriptors(
    fd: number,
    maxBytes: number,
    timeoutMs: number,
  ): Promise<{ data: Uint8Array; fds: number[] }>;

  listenUnix(path: string, mode: number): number;
  listenTcp(address: string, port: number): number;
  listeningPort(fd: number): number;
  acceptStream(fd: number): number;
  createPoller(): number;
  setInterest(poller: number, fd: number, added: boolean, interest: number): void;
  removeInterest(poller: number, fd: number): void;
  waitPoller(poller: number, out: Float64Array, timeoutMs: number, patienceUs: number): number;
  createEvent(): number;
  signalEvent(fd: number): void;
  clearEvent(fd: number): void;
  socketPair(out: Float64Array): void;
  arenaWrite: ArenaCopy;
  arenaRead: ArenaCopy;
  arenaReceive(
    arena: ArenaHandle,
    fd: number,
    at: number,
    length: number,
    unit: number,
    buffer: Uint8Array,
    from: number,
    until: number,
    patienceUs: number,
  ): number;
  arenaReceiveAnswering(
    arena: ArenaHandle,
    fd: number,
    at: number,
    length: number,
    unit: number,
    buffer: Uint8Array,
    until: number,
    patienceUs: number,
    pages: Uint8Array,
    reply: Uint8Array,
    replyBytes: number,
    sent: Uint32Array,
  ): number;
  arenaReceivePages(
    arena: ArenaHandle,
    fd: number,
    pages: Uint32Array,
    from: number,
    until: number,
    unit: number,
    buffer: Uint8Array,
    bufferFrom: number,
    bufferUntil: number,
    patienceUs: number,
  ): number;
  arenaSend(
    arena: ArenaHandle,
    fd: number,
    buffer: Uint8Array,
    triples: Float64Array,
    first: number,
    count: number,
    skip: number,
  ): number;
  waitWhileUnread(fd: number, enough: number, patienceUs: number): number;

  setTimerSlack(slackNs: number): void;
  threadId(): number;
  pinThread(cpus: Float64Array): void;
}

// Listed once more so that an addon of another version is noticed at load; `satisfies` keeps the list complete.
const FUNCTIONS = {
  builtForModules: true,
  setErrorClass: true,
  createArena: true,
  arenaPreadv: true,
  arenaPwritev: true,
  arenaCollapse: true,
  arenaCrc32c: true,
  viewCrc32c: true,
  preadInto: true,
  pwriteFrom: true,
  fdatasync: true,
  startWriteback: true,
  fallocate: true,
  seekExtent: true,
  dup: true,
  closeDescriptor: true,
  openFile: true,
  fileStatus: true,
  truncateFile: true,
  tryLock: true,
  createSealedMemory: true,
  checkSealed: true,
  reserveRange: true,
  mapShared: true,
  pageBytes: true,
  connectUnix: true,
  peerCredentials: true,
  sendDescriptors: true,
  receiveDescriptors: true,
  listenUnix: true,
  listenTcp: true,
  listeningPort: true,
  acceptStream: true,
  createPoller: true,
  setInterest: true,
  removeInterest: true,
  waitPoller: true,
  createEvent: true,
  signalEvent: true,
  clearEvent: true,
  socketPair: true,
  arenaWrite: true,
  arenaRead: true,
  arenaReceive: true,
  arenaReceiveAnswering: true,
  arenaReceivePages: true,
  arenaSend: true,
  waitWhileUnread: true,
  setTimerSlack: true,
  threadId: true,
  pinThread: true,
} satisfies Record<keyof Addon, true>;

function isAddon(value: unknown): value is Addon {
  if (typeof value !== 'object' || value === null) return false;
  return Object.keys(FUNCTIONS).every((name) => typeof Reflect.get(value, name) === 'function');
}

function loadAddon(): Addon {
  // PINFOLD_ADDON names another build of the addon, such as one with sanitizers.
  const path =
    process.env['PINFOLD_ADDON'] ??
    fileURLToPath(new URL('../../build/Release/pinfold.node', import.meta.url));
  const advice = 'run `npx node-gyp rebuild` in the package, which needs g++, make and python3';
  let loaded: unknown;
  try {
    loaded = createRequire(import.meta.url)(path);
  } catch (cause) {
    throw new Error(`The native addon ${path} cannot be loaded: ${advice}`, { cause });
  }
  if (!isAddon(loaded))
    throw new Error(`The native addon ${path} is of another version: ${advice}`);
  // The addon makes a few raw V8 calls, which fit one major version of Node only.
  const builtFor = loaded.builtForModules();
  if (String(builtFor) !== process.versions.modules) {
    throw new Error(
      `The native addon ${path} was built for Node's module version ${builtFor}, ` +
        `this Node has ${process.versions.modules}: ${advice}`,
    );
  }
  loaded.setErrorClass(NativeError);
  return loaded;
}

export const addon: Addon = loadAddon();

// What the daemon and the disks' thread say to each other.
//
//   daemon -> thread   { id, command }, and the thread's event is signalled, since it sleeps in its poller
//   thread -> daemon   { id, result } or { id, error }; 'left'; 'start'

import { MessagePort } from 'node:worker_threads';
import { z } from 'zod';
import { remoteDataSchema } from './remote-messages.js';

const cacheDataSchema = z.object({
  unitBytes: z.int(),
  atomicBytes: z.int(),
  versionBytes: z.int(),
  /** SlotMemory */
  slots: z.object({
    fd: z.int(),
    lengthBytes: z.int(),
    segmentBytes: z.int(),
    segments: z.array(z.instanceof(SharedArrayBuffer)),
  }),
  /** CacheState.arrays */
  state: z.array(z.instanceof(SharedArrayBuffer)),
});
export type CacheData = z.infer<typeof cacheDataSchema>;

export const diskDataSchema = z.object({
  name: z.string(),
  description: z.string(),
  sizeBytes: z.int(),
  readOnly: z.boolean(),
  source: z.discriminatedUnion('kind', [
    z.object({
      kind: z.literal('memory'),
      fd: z.int(),
      segments: z.array(z.instanceof(SharedArrayBuffer)),
      /** WrittenPages.shared */
      written: z.instanceof(SharedArrayBuffer),
    }),
    z.object({ kind: z.literal('file'), fd: z.int() }),
  ]),
  cache: cacheDataSchema.nullable(),
});
export type DiskData = z.infer<typeof diskDataSchema>;

export const workerDataSchema = z.object({
  /** Listening sockets, which the thread owns. */
  listeners: z.array(z.int()),
  /** A connected socket: the one client that the daemon was started for, or null. */
  client: z.int().nullable(),
  /** TLS, if it is configured: whether clients must use it, and the way to the thread that does it. */
  tls: z
    .object({
      mode: z.enum(['required', 'allowed']),
      handOvers: z.instanceof(MessagePort),
      /** One 32-bit word: sockets that the other thread owns. */
      sockets: z.instanceof(SharedArrayBuffer),
    })
    .nullable(),
  /** Readable when there are commands. */
  wakeFd: z.int(),
  counters: z.instanceof(SharedArrayBuffer),
  /** The first one is the default export; those that the main thread serves come after the disks. */
  disks: z.array(diskDataSchema),
  remotes: z.array(remoteDataSchema),
  /** The way to the main thread, see remote-messages.ts. */
  remotePort: z.instanceof(MessagePort),
  /** Loads.shared */
  loads: z.instanceof(SharedArrayBuffer),
});
export type ThreadData = z.infer<typeof workerDataSchema>;

/** Of a peer, see peer-messages.ts. */
export const peerDataSchema = z.object({
  /** Its number in Loads. */
  thread: z.int(),
  disks: z.array(diskDataSchema),
  port: z.instanceof(MessagePort),
  wakeFd: z.int(),
  disksWakeFd: z.int(),
  counters: z.instanceof(SharedArrayBuffer),
  loads: z.instanceof(SharedArrayBuffer),
});
export type PeerData = z.infer<typeof peerDataSchema>;

export const commandSchema = z.discriminatedUnion('kind', [
  /** Serve what is under way, then end. */
  z.object({ kind: z.literal('stop') }),
  /** The peers run. */
  z.object({
    kind: z.literal('peer-threads'),
    threads: z.array(z.object({ port: z.instanceof(MessagePort), wakeFd: z.int() })),
  }),
  /** A client on this socket, which the thread takes over, is connected to the disk: no handshake. */
  z.object({ kind: z.literal('attach'), disk: z.string(), fd: z.int() }),
  /** Cut the power of a disk with a volatile cache. The result is as of `disk.cut`. */
  z.object({ kind: z.literal('cut'), disk: z.string(), state: z.string() }),
  /** See ThreadFaults; a fault as text that says it all. */
  z.object({
    kind: z.literal('fault-add'),
    disk: z.string(),
    fault: z.string(),
    before: z.int().nullable(),
  }),
  z.object({ kind: z.literal('fault-list'), disk: z.string() }),
  z.object({ kind: z.literal('fault-clear'), disk: z.string(), layer: z.int().nullable() }),
  z.object({
    kind: z.literal('fault-wait'),
    disk: z.string(),
    waiter: z.int(),
    layer: z.int(),
    times: z.int(),
  }),
  z.object({ kind: z.literal('fault-unwait'), disk: z.string(), waiter: z.int() }),
  /** See Recorder. */
  z.object({
    kind: z.literal('record-start'),
    disk: z.string(),
    path: z.string(),
    unitBytes: z.int().nullable(),
    garbage: z.boolean(),
    seed: z.int(),
  }),
  z.object({ kind: z.literal('record-stop'), disk: z.string() }),
  z.object({ kind: z.literal('record-status'), disk: z.string() }),
  z.object({ kind: z.literal('record-mark'), disk: z.string(), text: z.string() }),
]);
export type Command = z.infer<typeof commandSchema>;

export const requestSchema = z.object({ id: z.int(), command: commandSchema });
export type CommandRequest = z.infer<typeof requestSchema>;

/** The client of ThreadData has left. */
export const LEFT = 'left';
/** There are enough clients for peers. */
export const START = 'start';

export const replySchema = z.object({
  id: z.int(),
  result: z.unknown().optional(),
  error: z.object({ code: z.string(), message: z.string() }).optional(),
});
export type CommandReply = z.infer<typeof replySchema>;

// What the daemon and the disks' thread say to each other.
//
//   daemon -> thread   { id, command }, and the thread's event is signalled, since it sleeps in its poller
//   thread -> daemon   { id, result } or { id, error }

import { z } from 'zod';

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
  cache: z.object({ unitBytes: z.int(), atomicBytes: z.int(), versionBytes: z.int() }).nullable(),
});
export type DiskData = z.infer<typeof diskDataSchema>;

export const workerDataSchema = z.object({
  /** Listening sockets, which the thread owns. */
  listeners: z.array(z.int()),
  /** Readable when there are commands. */
  wakeFd: z.int(),
  counters: z.instanceof(SharedArrayBuffer),
  /** The first one is the default export. */
  disks: z.array(diskDataSchema),
});
export type ThreadData = z.infer<typeof workerDataSchema>;

export const commandSchema = z.discriminatedUnion('kind', [
  /** Serve what is under way, then end. */
  z.object({ kind: z.literal('stop') }),
  /** A client on this socket, which the thread takes over, is connected to the disk: no handshake. */
  z.object({ kind: z.literal('attach'), disk: z.string(), fd: z.int() }),
  /** Cut the power of a disk with a volatile cache. The result is as of `disk.cut`. */
  z.object({ kind: z.literal('cut'), disk: z.string(), state: z.string() }),
]);
export type Command = z.infer<typeof commandSchema>;

export const requestSchema = z.object({ id: z.int(), command: commandSchema });
export type CommandRequest = z.infer<typeof requestSchema>;

export const replySchema = z.object({
  id: z.int(),
  result: z.unknown().optional(),
  error: z.object({ code: z.string(), message: z.string() }).optional(),
});
export type CommandReply = z.infer<typeof replySchema>;

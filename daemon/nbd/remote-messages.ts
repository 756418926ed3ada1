// What the disks' thread and the daemon's main thread say to each other about exports that the main thread serves. Data lies
// in staging memory of the connection, which both see.
//
//   thread -> daemon   { open, export, staging }     a client has chosen the export; `open` is the connection's number
//                      { close }                     it has gone: what it waits for is withdrawn, and answered all the same
//                      requests, of all connections, as a Float64Array: | connection | piece | operation | place | offset | length |
//   daemon -> thread   replies, as a Float64Array:   | connection | piece | NBD error | extents |
//                      and the thread's event is signalled, since it sleeps in its poller
//
// Extents lie at `place`, as 64-bit floats: | length | 1 if it is data | ...

import { z } from 'zod';

export const REQUEST_NUMBERS = 6;
export const REPLY_NUMBERS = 4;
export const EXTENT_NUMBERS = 2;

export const OPERATION = {
  READ: 0,
  WRITE: 1,
  FLUSH: 2,
  ZERO: 3,
  PUNCH: 4,
  EXTENTS: 5,
  /** fdatasync of the descriptor that stands in place of an offset: of a disk in a file, no export is concerned. */
  SYNC: 6,
} as const;

export const openingSchema = z.union([
  z.object({ open: z.int(), export: z.string(), staging: z.instanceof(SharedArrayBuffer) }),
  z.object({ close: z.int() }),
]);
export type Opening = z.infer<typeof openingSchema>;

/** An export as the thread has to know it. */
export const remoteDataSchema = z.object({
  name: z.string(),
  description: z.string(),
  sizeBytes: z.int(),
  readOnly: z.boolean(),
});
export type RemoteData = z.infer<typeof remoteDataSchema>;

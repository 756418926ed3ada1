// What the disks' thread and a thread for plain disks say to each other; the other's event is signalled each time.
//
//   disks -> plain   { moved }                        a connection is the plain thread's from now on
//                    { recall: disk, id }             give connections of the disk back, from their next request on
//                    'stop'                           serve what is under way, then end
//   plain -> disks   { moved }                        a connection that was recalled
//                    { recalled: id, quiet: false }   no request of that disk will begin there any more
//                    { recalled: id, quiet: true }    and no WRITE is under way

import { z } from 'zod';

export const movedSchema = z.object({
  fd: z.int(),
  /** The export's name. */
  disk: z.string(),
  hasContext: z.boolean(),
  style: z.int(),
  /** What has been received of requests that are next. */
  received: z.instanceof(Uint8Array),
});
/** A connection between two requests, all of its replies sent. */
export type Moved = z.infer<typeof movedSchema>;

const moved = z.object({ moved: movedSchema });

export const toPlainSchema = z.union([
  moved,
  z.object({ recall: z.string(), id: z.int() }),
  z.literal('stop'),
]);
export type ToPlain = z.infer<typeof toPlainSchema>;

export const fromPlainSchema = z.union([
  moved,
  z.object({ recalled: z.int(), quiet: z.boolean() }),
]);
export type FromPlain = z.infer<typeof fromPlainSchema>;

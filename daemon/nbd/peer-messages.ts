// What the disks' thread and a peer say to each other; the other's event is signalled each time.
//
//   disks -> peer    { moved }                        a connection is the peer's from now on
//                    { recall: disk, id }             give connections of the disk back, from their next request on
//                    { cut: disk, id }                close them, whatever is under way: nobody hears of it
//                    'stop'                           serve what is under way, then end
//   peer  -> disks   { moved }                        a connection that was recalled
//                    { recalled: id, quiet: false }   no request of that disk will begin there any more
//                    { recalled: id, quiet: true }    and no WRITE is under way
//                    { cut: id, connections }         so many were closed

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

export const toPeerSchema = z.union([
  moved,
  z.object({ recall: z.string(), id: z.int() }),
  z.object({ cut: z.string(), id: z.int() }),
  z.literal('stop'),
]);
export type ToPeer = z.infer<typeof toPeerSchema>;

export const fromPeerSchema = z.union([
  moved,
  z.object({ recalled: z.int(), quiet: z.boolean() }),
  z.object({ cut: z.int(), connections: z.int() }),
]);
export type FromPeer = z.infer<typeof fromPeerSchema>;

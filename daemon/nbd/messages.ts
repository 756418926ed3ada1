// What the thread of the NBD server is given when it starts.

import { z } from 'zod';

export const exportSchema = z.object({
  name: z.string(),
  description: z.string(),
  sizeBytes: z.int(),
  readOnly: z.boolean(),
  source: z.discriminatedUnion('kind', [
    z.object({
      kind: z.literal('memory'),
      fd: z.int(),
      segments: z.array(z.instanceof(SharedArrayBuffer)),
    }),
    z.object({ kind: z.literal('file'), fd: z.int() }),
  ]),
});
export type ServedExport = z.infer<typeof exportSchema>;

export const workerDataSchema = z.object({
  /** Listening sockets, which the thread owns. */
  listeners: z.array(z.int()),
  /** Readable when the thread shall end. */
  wakeFd: z.int(),
  counters: z.instanceof(SharedArrayBuffer),
  /** The first one is the default. */
  exports: z.array(exportSchema),
});
export type NbdWorkerData = z.infer<typeof workerDataSchema>;

// What a file disk and its thread say to each other.
//
//   batch, one Float64Array:  | id | operation | at: byte of the staging memory | offset in the file | length | ...
//   reply: the same ids, each with its error or null
//   null ends the thread

import { z } from 'zod';

export const OPERATION = { READ: 0, WRITE: 1, WRITE_FUA: 2, FLUSH: 3, DISCARD: 4 } as const;

/** Numbers of one request in a batch. */
export const REQUEST_NUMBERS = 5;

export const batchReplySchema = z.object({
  ids: z.array(z.number()),
  errors: z.array(z.object({ code: z.string(), message: z.string() }).nullable()),
});
export type BatchReply = z.infer<typeof batchReplySchema>;

// What the thread that does TLS is given: at its start, and with every connection.

import { MessagePort } from 'node:worker_threads';
import { z } from 'zod';
import { credentialsSchema } from './tls-credentials.js';

export const tlsWorkerDataSchema = z.object({
  credentials: credentialsSchema,
  /** Gets the hand-overs and their ends; the thread ends with it. */
  handOvers: z.instanceof(MessagePort),
  counters: z.instanceof(SharedArrayBuffer),
  /** One 32-bit word: sockets that this thread owns. Who hands one over adds it. */
  sockets: z.instanceof(SharedArrayBuffer),
});
export type TlsWorkerData = z.infer<typeof tlsWorkerDataSchema>;

/** From now on both descriptors belong to the thread that does TLS. */
export const handOverSchema = z.object({
  /** Where the client will begin its TLS handshake. */
  client: z.int(),
  /** Plaintext goes in and out here. */
  plain: z.int(),
});
export type HandOver = z.infer<typeof handOverSchema>;

/** The other end of the plaintext of an earlier hand-over was closed. */
export const leaveSchema = z.object({ left: z.int() });
export type Leave = z.infer<typeof leaveSchema>;

/** The thread's word to the daemon: why a client's TLS handshake failed. */
export const tlsFailureSchema = z.object({ failed: z.string() });
export type TlsFailure = z.infer<typeof tlsFailureSchema>;

// The thread that does TLS, as the daemon sees it: starts it, and logs why handshakes fail.

import { MessageChannel, Worker } from 'node:worker_threads';
import type { Logger } from 'pino';
import type { Credentials } from './tls-credentials.js';
import type { TlsChannel } from './tls-hand-over.js';
import { type TlsWorkerData, tlsFailureSchema } from './tls-messages.js';

export interface TlsThreadOptions {
  readonly mode: 'required' | 'allowed';
  readonly credentials: Credentials;
  readonly counters: SharedArrayBuffer;
  readonly log: Logger | null;
  readonly fatal: (error: unknown) => void;
}

export class TlsThread {
  /** For the disks' thread: with its end this thread ends, too, when all is sent. */
  readonly channel: TlsChannel;
  readonly exited: Promise<void>;

  constructor({ mode, credentials, counters, log, fatal }: TlsThreadOptions) {
    const { port1, port2 } = new MessageChannel();
    const sockets = new SharedArrayBuffer(4);
    this.channel = { mode, handOvers: port1, sockets };
    const worker = new Worker(new URL('./tls-worker.js', import.meta.url), {
      workerData: { credentials, handOvers: port2, counters, sockets } satisfies TlsWorkerData,
      transferList: [port2],
    });
    worker.on('error', fatal);
    worker.on('message', (message: unknown) => {
      const { failed } = tlsFailureSchema.parse(message);
      log?.info({ reason: failed }, 'the TLS handshake of an NBD client failed');
    });
    this.exited = new Promise((resolve) => worker.once('exit', () => resolve()));
  }
}

// Where the NBD server listens: parsing HOST:PORT, and taking over sockets that systemd or libnbd hand in.

import { PinfoldError } from '../protocol/errors.js';

/** The first inherited descriptor of socket activation. */
const LISTEN_FDS_START = 3;
const LISTEN_FDS_MAX = 16;

export interface TcpAddress {
  readonly address: string;
  readonly port: number;
}

/**
 * `localhost:10809`, `127.0.0.1:0`, `[::1]:10809`.
 * @throws PinfoldError EINVAL for anything else: without TLS only this machine may connect
 */
export function parseTcpAddress(text: string): TcpAddress {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  const host = match?.at(1) ?? match?.at(2) ?? '';
  const port = Number(match?.at(3));
  if (match === null || port > 65535) {
    throw new PinfoldError(
      'EINVAL',
      `the NBD address ${text} is no HOST:PORT, such as localhost:10809`,
    );
  }
  const address = host === 'localhost' ? '127.0.0.1' : host;
  if (address !== '::1' && !/^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(address)) {
    throw new PinfoldError(
      'EINVAL',
      `the NBD address ${text} can be reached from other machines, and what goes over it is not encrypted: ` +
        'use localhost, 127.0.0.1 or [::1], or a Unix socket',
    );
  }
  return { address, port };
}

/**
 * Descriptors that this process was started with, by LISTEN_FDS and LISTEN_PID.
 * @throws PinfoldError EINVAL if there are none
 */
export function inheritedSockets(env: Readonly<Record<string, string | undefined>>): number[] {
  const count = Number(env['LISTEN_FDS']);
  const mine = Number(env['LISTEN_PID']) === process.pid;
  if (!mine || !Number.isInteger(count) || count < 1 || count > LISTEN_FDS_MAX) {
    throw new PinfoldError(
      'EINVAL',
      `no socket was handed in (LISTEN_FDS is ${env['LISTEN_FDS'] ?? 'missing'}, LISTEN_PID is ` +
        `${env['LISTEN_PID'] ?? 'missing'}, this is process ${process.pid}): start it by socket activation, ` +
        'or give --nbd-socket',
    );
  }
  return Array.from({ length: count }, (_, i) => LISTEN_FDS_START + i);
}

// Where the NBD server listens: parsing HOST:PORT, and taking over sockets that systemd or libnbd hand in.

import { isIP } from 'node:net';
import { PinfoldError } from '../protocol/errors.js';

/** The first inherited descriptor of socket activation. */
const LISTEN_FDS_START = 3;
const LISTEN_FDS_MAX = 16;

export interface TcpAddress {
  readonly address: string;
  readonly port: number;
}

/**
 * `localhost:10809`, `127.0.0.1:0`, `[::1]:10809`; with TLS also those of other interfaces, `0.0.0.0:10809`.
 * @param encrypted every client must use TLS
 * @throws PinfoldError EINVAL for anything else: without TLS only this machine may connect
 */
export function parseTcpAddress(text: string, encrypted: boolean): TcpAddress {
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
  if (isIP(address) === 0) {
    throw new PinfoldError(
      'EINVAL',
      `the NBD address ${text} has no IP address: use localhost, 127.0.0.1 or [::1], or with ` +
        'TLS that of an interface',
    );
  }
  if (!encrypted && address !== '::1' && !address.startsWith('127.')) {
    throw new PinfoldError(
      'EINVAL',
      `the NBD address ${text} can be reached from other machines, and what goes over it is not encrypted: ` +
        'use localhost, 127.0.0.1 or [::1], or a Unix socket, or require TLS (--nbd-tls required)',
    );
  }
  return { address, port };
}

/** Whether the process that started this one hands sockets over. */
export function socketsAreInherited(env: Readonly<Record<string, string | undefined>>): boolean {
  return Number(env['LISTEN_PID']) === process.pid && Number(env['LISTEN_FDS']) > 0;
}

/**
 * Descriptors that this process was started with, by LISTEN_FDS and LISTEN_PID.
 * @throws PinfoldError EINVAL if there are none
 */
export function inheritedSockets(env: Readonly<Record<string, string | undefined>>): number[] {
  const count = Number(env['LISTEN_FDS']);
  if (!socketsAreInherited(env) || !Number.isInteger(count) || count > LISTEN_FDS_MAX) {
    throw new PinfoldError(
      'EINVAL',
      `no socket was handed in (LISTEN_FDS is ${env['LISTEN_FDS'] ?? 'missing'}, LISTEN_PID is ` +
        `${env['LISTEN_PID'] ?? 'missing'}, this is process ${process.pid}): start it by socket activation, ` +
        'or give --nbd-socket',
    );
  }
  return Array.from({ length: count }, (_, i) => LISTEN_FDS_START + i);
}

// What the NBD server proves itself by under TLS: certificates, or keys shared with its clients. Read and checked when
// the daemon starts, so that no client is the first to find a mistake.

import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createSecureContext, type TlsOptions } from 'node:tls';
import { z } from 'zod';
import { isErrorCode, PinfoldError } from '../protocol/errors.js';
import { PSK_BYTES_MAX, PSK_BYTES_MIN, PSK_USER_BYTES_MAX, PSK_USERS_MAX } from './limits.js';

export interface TlsConfig {
  /** Whether clients must, or may, ask for TLS. */
  readonly mode: 'required' | 'allowed';
  /** A folder with server-cert.pem and server-key.pem, and ca-cert.pem if verifyPeer. */
  readonly certificates?: string | undefined;
  /** Clients need a certificate that ca-cert.pem has signed. */
  readonly verifyPeer: boolean;
  /** A file with lines USER:HEX, instead of certificates. */
  readonly pskFile?: string | undefined;
}

export const credentialsSchema = z.discriminatedUnion('kind', [
  /** PEM texts; the CA is null if clients need no certificate. */
  z.object({
    kind: z.literal('x509'),
    cert: z.string(),
    key: z.string(),
    ca: z.string().nullable(),
  }),
  z.object({ kind: z.literal('psk'), keys: z.map(z.string(), z.instanceof(Uint8Array)) }),
]);
export type Credentials = z.infer<typeof credentialsSchema>;

/**
 * Suites with forward secrecy that know pre-shared keys. Those of TLS 1.3 know them all, if their hash is SHA-256: that
 * is what a key made for TLS 1.2 is good for.
 */
const PSK_CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-PSK-CHACHA20-POLY1305',
  'ECDHE-PSK-AES128-CBC-SHA256',
];

/**
 * @param warn hears what is unwise, but works
 * @throws PinfoldError ENOENT, EACCES, ... for a file that cannot be read; EINVAL for one that is wrong: no PEM, not valid
 *   today, a key of another certificate, no lines USER:HEX
 */
export function loadCredentials(config: TlsConfig, warn: (message: string) => void): Credentials {
  const credentials =
    config.pskFile === undefined
      ? loadCertificates(config.certificates ?? '.', config.verifyPeer, warn)
      : { kind: 'psk' as const, keys: loadKeys(config.pskFile, warn) };
  try {
    createSecureContext(tlsOptions(credentials));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const where = config.pskFile ?? config.certificates ?? '.';
    throw new PinfoldError('EINVAL', `OpenSSL refuses what is in ${where}: ${reason}`, { cause });
  }
  return credentials;
}

/** Options of a tls.Server. */
export function tlsOptions(credentials: Credentials): TlsOptions {
  if (credentials.kind === 'psk') {
    const { keys } = credentials;
    return {
      minVersion: 'TLSv1.2',
      ciphers: PSK_CIPHERS.join(':'),
      // The server's order: clients tend to begin with suites of 384 bits, which fit no key.
      honorCipherOrder: true,
      pskCallback: (_socket, user) => keys.get(user) ?? null,
    };
  }
  const { cert, key, ca } = credentials;
  const peer = ca === null ? {} : { ca, requestCert: true, rejectUnauthorized: true };
  return { minVersion: 'TLSv1.2', cert, key, ...peer };
}

function loadCertificates(
  folder: string,
  verifyPeer: boolean,
  warn: (message: string) => void,
): Credentials {
  const certPath = join(folder, 'server-cert.pem');
  const keyPath = join(folder, 'server-key.pem');
  const caPath = join(folder, 'ca-cert.pem');
  const cert = readText(certPath, "the server's certificate");
  const key = readText(keyPath, 'the key of the server');
  const ca = verifyPeer ? readText(caPath, "the authority of the clients' certificates") : null;
  // Where there is a chain, the server's own certificate comes first.
  const own = parseCertificate(certPath, cert);
  checkDates(certPath, own);
  if (ca !== null) checkDates(caPath, parseCertificate(caPath, ca));
  if (!own.checkPrivateKey(parseKey(keyPath, key))) {
    throw new PinfoldError(
      'EINVAL',
      `${keyPath} is the key of another certificate than ${certPath}`,
    );
  }
  warnIfReadable(keyPath, warn);
  return { kind: 'x509', cert, key, ca };
}

function readText(path: string, what: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : null;
    const known = isErrorCode(code) ? code : 'EIO';
    throw new PinfoldError(known, `${path}, ${what}, cannot be read (${known})`, { cause });
  }
}

function parseCertificate(path: string, pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw new PinfoldError('EINVAL', `${path} holds no certificate in PEM form`, { cause });
  }
}

function parseKey(path: string, pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    const encrypted = /ENCRYPTED/.test(pem) ? ' that can be read without a passphrase' : '';
    throw new PinfoldError('EINVAL', `${path} holds no private key in PEM form${encrypted}`, {
      cause,
    });
  }
}

function checkDates(path: string, { validFrom, validTo }: X509Certificate): void {
  const now = Date.now();
  if (now > Date.parse(validTo)) {
    throw new PinfoldError('EINVAL', `the certificate ${path} has expired on ${validTo}: renew it`);
  }
  if (now < Date.parse(validFrom)) {
    throw new PinfoldError('EINVAL', `the certificate ${path} is not valid before ${validFrom}`);
  }
}

/** Lines USER:HEX, as psktool makes them. */
function loadKeys(path: string, warn: (message: string) => void) {
  const keys = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const [i, line] of readText(path, 'the keys of the clients').split('\n').entries()) {
    if (line.trim() === '') continue;
    const [, user = '', hex = ''] = /^([^:#][^:]*):((?:[\da-fA-F]{2})+)\s*$/.exec(line) ?? [];
    const where = `${path}, line ${i + 1}:`;
    if (user === '' || Buffer.byteLength(user) > PSK_USER_BYTES_MAX) {
      // The line itself may hold most of a key.
      throw new PinfoldError('EINVAL', `${where} expected USER:KEY, the key in hexadecimal digits`);
    }
    const key = Buffer.from(hex, 'hex');
    if (key.length < PSK_BYTES_MIN || key.length > PSK_BYTES_MAX) {
      throw new PinfoldError(
        'EINVAL',
        `${where} the key of ${user} has ${key.length} bytes, expected ${PSK_BYTES_MIN} to ${PSK_BYTES_MAX}`,
      );
    }
    if (keys.has(user)) throw new PinfoldError('EINVAL', `${where} ${user} has a key already`);
    if (keys.size === PSK_USERS_MAX) {
      throw new PinfoldError('EINVAL', `${path} has more than ${PSK_USERS_MAX} users`);
    }
    keys.set(user, Uint8Array.from(key));
  }
  if (keys.size === 0) {
    throw new PinfoldError('EINVAL', `${path} holds no key: add lines USER:KEY, see psktool(1)`);
  }
  warnIfReadable(path, warn);
  return keys;
}

function warnIfReadable(path: string, warn: (message: string) => void): void {
  if ((statSync(path).mode & 0o004) === 0) return;
  warn(`${path} can be read by every user of this machine: chmod 600 ${path}`);
}

// Certificates for tests, made by openssl, in a folder as libnbd, QEMU and nbdkit have it: ca-cert.pem, and -cert.pem and
// -key.pem of server and client.

import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const NAMES = 'subjectAltName=DNS:localhost,IP:127.0.0.1';
const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

/**
 * @param folder is made; the authority is a new one each time
 * @param serverDays how long the server's certificate is valid; a negative number makes it one of the past
 */
export function makePki(folder: string, serverDays = 2): string {
  mkdirSync(folder, { recursive: true });
  openssl(folder, 'req', '-x509', ...KEY, '-subj', '/CN=authority', '-days', '2', ...pair('ca'));
  sign(folder, 'server', serverDays);
  sign(folder, 'client', 2);
  return folder;
}

function sign(folder: string, name: string, days: number): void {
  const [, key, , cert] = pair(name);
  const request = ['-keyout', key, '-out', `${name}.csr`, '-subj', `/CN=${name}`];
  openssl(folder, 'req', ...KEY, ...request, '-addext', NAMES);
  const authority = ['-CA', 'ca-cert.pem', '-CAkey', 'ca-key.pem', '-CAcreateserial'];
  const signing = ['-in', `${name}.csr`, '-out', cert, '-days', String(days)];
  openssl(folder, 'x509', '-req', ...signing, ...authority, '-copy_extensions', 'copy');
}

function pair(name: string): ['-keyout', string, '-out', string] {
  return ['-keyout', `${name}-key.pem`, '-out', `${name}-cert.pem`];
}

/** The folder of a client that trusts the server's authority, and has no certificate itself. */
export function withoutClient(pki: string, folder: string): string {
  cpSync(join(pki, 'ca-cert.pem'), join(folder, 'ca-cert.pem'));
  return folder;
}

/** A client's folder with the certificate of one authority, which trusts the server of another. */
export function strangersFolder(pki: string, folder: string): string {
  makePki(folder);
  rmSync(join(folder, 'ca-cert.pem'));
  return withoutClient(pki, folder);
}

function openssl(folder: string, ...args: string[]): void {
  execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' });
}

// Certificates and keys that are wrong: said when the daemon starts, with the file and what to do.

import { chmodSync, copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { loadCredentials, type TlsConfig } from '../../../daemon/nbd/tls-credentials.js';
import { makePki } from '../../support/pki.js';
import { requires } from '../../support/requires.js';
import { temporaryFolder } from '../../support/test-daemon.js';

function load(config: Partial<TlsConfig>): string[] {
  const warnings: string[] = [];
  loadCredentials({ mode: 'required', verifyPeer: false, ...config }, (text) =>
    warnings.push(text),
  );
  return warnings;
}

function refuses(t: ExecutionContext, config: Partial<TlsConfig>, code: string, says: RegExp) {
  t.like(
    t.throws(() => load(config)),
    { code },
  );
  t.throws(() => load(config), { message: says });
}

test('certificates: missing, no PEM, expired, of another key', (t) => {
  if (!requires(t, 'openssl', 'openssl')) return;
  const folder = temporaryFolder(t);
  const certificates = makePki(join(folder, 'pki'));
  const inPki = (name: string): string => join(certificates, name);
  t.deepEqual(load({ certificates }), []);
  t.deepEqual(load({ certificates, verifyPeer: true }), []);

  refuses(
    t,
    { certificates: join(folder, 'none') },
    'ENOENT',
    /none\/server-cert\.pem, the server's cert/,
  );
  const old = makePki(join(folder, 'old'), -1);
  refuses(t, { certificates: old }, 'EINVAL', /old\/server-cert\.pem has expired on .*: renew it/);

  copyFileSync(inPki('client-key.pem'), inPki('server-key.pem'));
  refuses(t, { certificates }, 'EINVAL', /server-key\.pem is the key of another certificate/);
  writeFileSync(inPki('server-key.pem'), 'no key');
  refuses(t, { certificates }, 'EINVAL', /server-key\.pem holds no private key in PEM form/);
  writeFileSync(inPki('server-cert.pem'), 'no certificate');
  refuses(t, { certificates }, 'EINVAL', /server-cert\.pem holds no certificate in PEM form/);
  rmSync(inPki('server-key.pem'));
  mkdirSync(inPki('server-key.pem'));
  refuses(t, { certificates }, 'EISDIR', /server-key\.pem, the key of the server, cannot be read/);
});

test('the authority of the clients is looked at only if they need a certificate', (t) => {
  if (!requires(t, 'openssl', 'openssl')) return;
  const certificates = makePki(join(temporaryFolder(t), 'pki'));
  rmSync(join(certificates, 'ca-cert.pem'));
  t.deepEqual(load({ certificates }), []);
  refuses(t, { certificates, verifyPeer: true }, 'ENOENT', /ca-cert\.pem, the authority of the cl/);
});

test('a key that every user can read is warned of', (t) => {
  if (!requires(t, 'openssl', 'openssl')) return;
  const certificates = makePki(join(temporaryFolder(t), 'pki'));
  chmodSync(join(certificates, 'server-key.pem'), 0o644);
  t.regex(load({ certificates }).join(), /server-key\.pem can be read by every user.*: chmod 600/);
});

test('pre-shared keys: lines that are none name their number, and show no key', (t) => {
  const pskFile = join(temporaryFolder(t), 'keys.psk');
  const key = '0123456789abcdef'.repeat(4);
  const write = (...lines: string[]) => writeFileSync(pskFile, lines.join('\n'), { mode: 0o600 });
  write(`alice:${key}`, '', `bob:${key.toUpperCase()}`, '');
  t.deepEqual(load({ pskFile }), []);
  write(`alice:${key}`, key);
  refuses(t, { pskFile }, 'EINVAL', /keys\.psk, line 2: expected USER:KEY/);
  t.false(String(t.throws(() => load({ pskFile }))).includes(key));
  write(`alice:${key}`, `alice:${key}`);
  refuses(t, { pskFile }, 'EINVAL', /line 2: alice has a key already/);
  write('alice:0102');
  refuses(t, { pskFile }, 'EINVAL', /line 1: the key of alice has 2 bytes, expected 16 to 64/);
  write(`${'a'.repeat(128)}:${key}`);
  refuses(t, { pskFile }, 'EINVAL', /line 1: expected USER:KEY/);
  write('');
  refuses(t, { pskFile }, 'EINVAL', /holds no key: add lines USER:KEY/);
});

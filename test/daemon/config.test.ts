// The configuration: files, flags, and errors that name the key, the value and what is allowed.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { parseConfig } from '../../daemon/config.js';
import { loadConfig } from '../../daemon/config-sources.js';
import { type ErrorCode, PinfoldError } from '../../daemon/protocol/errors.js';
import { formatSize, parseSize } from '../../daemon/size.js';
import { temporaryFolder } from '../support/test-daemon.js';

test('sizes are read with and without units', (t) => {
  t.is(parseSize('4096'), 4096);
  t.is(parseSize('64K'), 65536);
  t.is(parseSize('1.5GiB'), 1.5 * 2 ** 30);
  t.is(parseSize('2tb'), 2 * 2 ** 40);
  for (const wrong of ['', 'G', '-1', '1X', '1e3', '0.3', '99999999T'])
    t.is(parseSize(wrong), null);
  t.is(formatSize(2 ** 30), '1G');
  t.is(formatSize(1000), '1000');
});

test('a file and flags become one configuration, flags last', (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, 'pinfold.json');
  writeFileSync(
    file,
    JSON.stringify({ socket: '/a', disks: [{ name: 'one', size: '1M' }], limits: { clients: 3 } }),
  );
  const config = loadConfig(
    { config: file, socket: '/b', disk: ['two,size=2M,path=/x'], region: ['r,size=4K'] },
    '/default',
  );
  t.is(config.socket, '/b');
  t.is(config.limits.clients, 3);
  t.is(config.limits.files, 1024);
  t.deepEqual(
    config.disks.map(({ name, size, path }) => [name, size, path]),
    [
      ['one', 2 ** 20, undefined],
      ['two', 2 ** 21, '/x'],
    ],
  );
  t.deepEqual(config.regions, [{ name: 'r', size: 4096 }]);
  t.is(loadConfig({}, '/default').socket, '/default');
});

const wrong: readonly (readonly [
  title: string,
  input: object,
  code: ErrorCode,
  message: RegExp,
])[] = [
  ['a key that is no option', { color: 1 }, 'EINVAL', /color is no option/],
  [
    'a limit out of range',
    { limits: { clients: 0 } },
    'EINVAL',
    /limits\.clients is 0: .*from 1 to 4096/,
  ],
  [
    'a size that is no size',
    { regions: [{ name: 'r', size: 'big' }] },
    'EINVAL',
    /regions\.0\.size is "big": expected a size from 4K to 1T/,
  ],
  [
    'a size that is no multiple',
    { regions: [{ name: 'r', size: 5000 }] },
    'EINVAL',
    /is 5000: .*multiple of 4K/,
  ],
  [
    'a name that could be a path',
    { regions: [{ name: '../r', size: 4096 }] },
    'EINVAL',
    /regions\.0\.name is "\.\.\/r"/,
  ],
  [
    'a memory disk without a size',
    { disks: [{ name: 'd' }] },
    'EINVAL',
    /disks\.0\.size is missing/,
  ],
  ['an unknown log level', { logLevel: 'loud' }, 'EINVAL', /logLevel is "loud": expected one of/],
  [
    'a name that is used twice',
    {
      regions: [
        { name: 'r', size: 4096 },
        { name: 'r', size: 4096 },
      ],
    },
    'EEXIST',
    /name r twice/,
  ],
  [
    'an export without a place for NBD clients',
    { volumes: [{ name: 'v', path: '/v' }], exports: [{ name: 'e', volume: 'v', file: '/f' }] },
    'EINVAL',
    /give nbd\.socket/,
  ],
  [
    'an export of an unknown volume',
    { nbd: { socket: '/n' }, exports: [{ name: 'e', volume: 'w', file: '/f' }] },
    'ENODEV',
    /export e is of volume w/,
  ],
  [
    'an export that is named as a disk',
    {
      nbd: { socket: '/n' },
      disks: [{ name: 'e', size: '1M' }],
      volumes: [{ name: 'v', path: '/v' }],
      exports: [{ name: 'e', volume: 'v', file: '/f' }],
    },
    'EEXIST',
    /a disk and an export are both named e/,
  ],
  [
    'more memory than allowed',
    { memoryBytesMax: '1M', regions: [{ name: 'r', size: '2M' }] },
    'ENOMEM',
    /need 2M together, memoryBytesMax is 1M/,
  ],
];

const tls = { pskFile: '/keys' };
const nbdErrors: readonly (readonly [title: string, nbd: object, message: RegExp])[] = [
  ['an address without a port', { tcp: 'localhost' }, /address localhost is no HOST:PORT/],
  ["another machine's, without TLS", { tcp: '10.0.0.1:1' }, /10\.0\.0\.1:1 can be reached from/],
  ['every machine, without TLS', { tcp: '[::]:1' }, /\[::\]:1 can be reached from other machines/],
  [
    'every machine, where TLS is a choice',
    { tcp: '0.0.0.0:1', tls: { ...tls, mode: 'allowed' } },
    /0\.0\.0\.0:1 can be reached from .*require TLS \(--nbd-tls required\)/,
  ],
  ['a name for an address', { tcp: 'example.org:1', tls }, /example\.org:1 has no IP address/],
  ['TLS of no kind', { tls: {} }, /nbd\.tls is {}: expected either certificates .* or pskFile/],
  [
    'TLS of two kinds',
    { tls: { ...tls, certificates: '/pki' } },
    /nbd\.tls is .*: expected either certificates .* or pskFile/,
  ],
  ['a mode that is none', { tls: { ...tls, mode: 'on' } }, /mode is "on": expected required or al/],
];

for (const [title, nbd, message] of nbdErrors) {
  test(`refused for NBD: ${title}`, (t) => {
    t.throws(() => parseConfig({ socket: '/s', nbd }, 'test'), { message });
  });
}

test('where TLS is required, any address may be listened on', (t) => {
  for (const tcp of ['0.0.0.0:1', '[::]:1', '10.0.0.1:1', 'localhost:1']) {
    t.is(parseConfig({ socket: '/s', nbd: { tcp, tls } }, 'test').nbd?.tls?.mode, 'required');
  }
});

test("the daemon's own socket is left out only where NBD belongs to one client or another process", (t) => {
  t.throws(() => parseConfig({}, 'test'), { message: /test: socket is missing: expected a path/ });
  t.is(loadConfig({ stdio: true }, '/default').socket, undefined);
  t.is(loadConfig({ nbdActivated: true }, '/default').socket, undefined);
  t.is(loadConfig({ nbdSocket: '/nbd' }, '/default').socket, '/default');
  t.is(loadConfig({ stdio: true, socket: '/mine' }, '/default').socket, '/mine');
});

for (const [title, input, code, message] of wrong) {
  test(`refused: ${title}`, (t) => {
    const error = t.throws(() => parseConfig({ socket: '/s', ...input }, 'test'), {
      instanceOf: PinfoldError,
      message,
    });
    t.is(error.code, code);
  });
}

test('an export as a flag', (t) => {
  const flags = ['a,volume=v,file=/a b.img,size=1000', 'b,volume=v,file=/b,ro'];
  const { exports } = loadConfig({ volume: ['v,path=/v'], nbdSocket: '/n', export: flags }, '/s');
  t.deepEqual(exports, [
    { name: 'a', volume: 'v', file: '/a b.img', size: 1000 },
    { name: 'b', volume: 'v', file: '/b', readOnly: true },
  ]);
});

test('a device flag with an unknown option is refused, naming the known ones', (t) => {
  t.throws(() => loadConfig({ disk: ['d,sise=1G'] }, '/s'), {
    message: /--disk d,sise=1G: sise=1G is no option, expected size=\.\.\., path=\.\.\./,
  });
});

test('a configuration file that is missing or no JSON is named', (t) => {
  const file = join(temporaryFolder(t), 'pinfold.json');
  t.throws(() => loadConfig({ config: file }, '/s'), { message: new RegExp(`^ENOENT: .*${file}`) });
  writeFileSync(file, '{');
  t.throws(() => loadConfig({ config: file }, '/s'), { message: new RegExp(`${file} is no JSON`) });
  writeFileSync(file, '{"limits": {"pins": "many"}}');
  t.throws(() => loadConfig({ config: file }, '/s'), { message: /limits\.pins is "many"/ });
});

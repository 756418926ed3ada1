// Any requests, right or wrong, cut off anywhere, on connections to a file of a volume: the daemon answers or hangs up, and
// whoever comes next is served.

import test from 'ava';
import fc from 'fast-check';
import { COMMAND, ERROR } from '../../../daemon/nbd/protocol.js';
import { until } from '../../support/test-daemon.js';
import { RawClient } from './raw-client.js';
import { damageOf, MIB, startVolume } from './volume-rig.js';

const SIZE = 16 * MIB;

const place = fc.oneof(
  fc.nat(64 * 1024),
  fc.nat(SIZE + 1000),
  fc.constantFrom(0, SIZE, SIZE - 1, 2 ** 32 - 1, 2 ** 40),
);
const length = fc.oneof(fc.nat(10_000), fc.nat(700_000), fc.constantFrom(0, SIZE, 2 ** 31));
const request = fc.record({
  type: fc.oneof(fc.nat(8), fc.constantFrom(COMMAND.READ, COMMAND.WRITE)),
  flags: fc.oneof(fc.constant(0), fc.nat(63)),
  offset: place,
  length,
});
const session = fc.record({
  style: fc.constantFrom('simple', 'structured', 'extended'),
  requests: fc.array(request, { maxLength: 30 }),
  /** Bytes of the last payload that are not sent. */
  missing: fc.nat(2000),
  garbage: fc.uint8Array({ maxLength: 40 }),
  ending: fc.constantFrom('destroy', 'end', 'disconnect'),
  silent: fc.boolean(),
});

test('any requests, cut off anywhere', async (t) => {
  const { socket, daemon, volume, client: ipc, image } = await startVolume(t);
  const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
  t.log(`seed ${seed}`);
  const one = fc.asyncProperty(session, async ({ style, requests, ending, ...more }) => {
    const client = await RawClient.attach(t, socket, 'vm', style);
    if (more.silent) client.socket.pause();
    for (const [i, { type, flags, offset, length: bytes }] of requests.entries()) {
      const carries = style === 'extended' ? (flags & 32) !== 0 : type === COMMAND.WRITE;
      const cut = i === requests.length - 1 ? more.missing : 0;
      const payload = carries
        ? Buffer.alloc(Math.max(Math.min(bytes, SIZE) - cut, 0), i)
        : undefined;
      if (type !== COMMAND.DISC) client.request(type, offset, bytes, flags, payload);
    }
    client.socket.write(more.garbage);
    if (ending === 'disconnect') client.request(COMMAND.DISC, 0, 0);
    if (ending === 'destroy') client.socket.destroy();
    else client.socket.end();
    const healthy = await RawClient.attach(t, socket, 'vm');
    healthy.request(COMMAND.READ, 4096, 512);
    if ((await healthy.simple()) !== ERROR.NONE) throw new Error('another client is not served');
    await healthy.read(512);
    healthy.socket.destroy();
    client.socket.destroy();
  });
  await fc.assert(one, { seed, numRuns: 60, endOnFailure: true });
  await until('all are gone', () => daemon.statistics()['nbdConnections'] === 0);
  await until('all pins are given back', async () => {
    const { pinsAcquired, pinsReleased } = await volume.statistics();
    return pinsAcquired === pinsReleased;
  });
  await ipc.close();
  await daemon.close();
  t.deepEqual(damageOf(image), []);
});

// Recordings as logs of dm-log-writes, and back.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { EventNames } from '../../engine/block/recording/points.js';
import { openRecording } from '../../engine/block/recording/reader.js';
import { recordIn, type Script, UNIT } from '../block/recording/make.js';
import { failsWith, pinfold, succeeds, temporaryFolder } from './run.js';

const FLAGS = ['flush', 'fua', 'discard', 'mark', 'metadata'];

/** The log as replay-log of xfstests would read it, written down from its source. */
function entriesOf(log: Buffer): string[] {
  const texts: string[] = [];
  if (log.readBigUInt64LE(0) !== 0x6a736677736872n || log.readBigUInt64LE(8) !== 1n) return texts;
  const count = Number(log.readBigUInt64LE(16));
  const sector = log.readUInt32LE(24);
  for (let at = sector; texts.length < count; at += sector) {
    const [first, sectors, flags, inline] = [0, 8, 16, 24].map((i) =>
      Number(log.readBigUInt64LE(at + i)),
    );
    const words = FLAGS.filter((_, bit) => ((flags >> bit) & 1) === 1);
    if (words.includes('mark')) words.push(log.toString('latin1', at + 32, at + 32 + inline));
    const data = words.includes('discard') ? 0 : sectors * sector;
    const letters = new Set(log.toString('latin1', at + sector, at + sector + data));
    texts.push([`${first}+${sectors}`, ...words, ...letters].join(' '));
    at += data;
  }
  return texts;
}

/** The order of the example of dm-log-writes' documentation, and one of everything. */
function everything(s: Script): void {
  const [first, second, third] = [s.write(0, 'aa'), s.write(2, 'b'), s.write(3, 'c')];
  s.replied(third, second);
  const flush = s.flush();
  s.replied(first);
  s.flushed(flush);
  s.writer.mark('half way');
  s.replied(s.write(8, 'f', { fua: true }));
  s.replied(s.zeroes(3, 2), s.zeroes(2, 1, false));
  s.sync();
  s.done(9, 'g');
  s.write(10, 'h');
}

test('export has the order that the kernel logs, and import reads it back', async (t) => {
  const folder = temporaryFolder(t);
  const record = recordIn(folder, everything, { initial: 'x' });
  const [log, back, again] = ['run.log', 'back.rec', 'again.log'].map((name) => join(folder, name));
  const said = await succeeds(t, 'crash', 'export', '--record', record, '--output', log);
  t.regex(said, /10 entries/);
  t.regex(said, /left out: 1 writes without a reply/);
  t.regex(said, /left out: 512 B that the disk held at first/);
  const entries = entriesOf(readFileSync(log));
  t.deepEqual(entries, [
    '3+1 c',
    '2+1 b',
    '0+0 flush',
    '0+0 mark half way',
    '8+1 fua f',
    '0+2 a',
    '3+2 \0',
    '2+1 discard',
    '0+0 flush',
    '9+1 g',
  ]);
  await succeeds(t, 'crash', 'import', '--log', log, '--output', back, '--size', '32K');
  const recording = openRecording(back);
  t.teardown(() => recording.close());
  t.is(recording.header.sizeBytes, 32768);
  const names = new EventNames(recording.events);
  t.deepEqual(
    recording.events.flatMap((event) => (event.kind === 'replied' ? [] : [names.of(event)])),
    [
      'write #1',
      'write #2',
      'flush #1',
      'reply to flush #1',
      "mark 'half way'",
      'FUA write #3',
      'write #4',
      'write #5',
      'trim #6',
      'flush #2',
      'reply to flush #2',
      'write #7',
    ],
  );
  await succeeds(t, 'crash', 'export', '--record', back, '--output', again);
  t.deepEqual(entriesOf(readFileSync(again)), entries);
});

test('a flush that the log tells with data comes before it', async (t) => {
  const folder = temporaryFolder(t);
  const log = Buffer.alloc(512 * 3);
  log.writeBigUInt64LE(0x6a736677736872n, 0);
  log.writeBigUInt64LE(1n, 8);
  log.writeBigUInt64LE(1n, 16);
  log.writeUInt32LE(512, 24);
  for (const [i, value] of [7n, 1n, 3n, 0n].entries()) log.writeBigUInt64LE(value, 512 + 8 * i);
  const [path, back] = [join(folder, 'kernel.log'), join(folder, 'back.rec')];
  writeFileSync(path, log);
  await succeeds(t, 'crash', 'import', '--log', path, '--output', back);
  const recording = openRecording(back);
  t.teardown(() => recording.close());
  t.deepEqual(
    recording.events.map(({ kind }) => kind),
    ['flush', 'flushed', 'write', 'replied'],
  );
  t.true(recording.events[2].kind === 'write' && recording.events[2].fua);
  t.is(recording.header.sizeBytes, 2 ** 20);

  const output = ['--output', join(folder, 'never.rec')];
  writeFileSync(path, log.subarray(0, 1200));
  failsWith(
    t,
    await pinfold('crash', 'import', '--log', path, ...output),
    3,
    'EINVAL',
    /entry 0 of .* is cut off/,
  );
  writeFileSync(path, 'no log');
  failsWith(
    t,
    await pinfold('crash', 'import', '--log', path, ...output),
    3,
    'EINVAL',
    /is no log of dm-log-writes/,
  );
});

test('a write of less than a sector cannot be exported', async (t) => {
  const folder = temporaryFolder(t);
  const record = recordIn(folder, (s) => s.replied(s.bytes(UNIT + 3, 'abc')));
  const result = await pinfold(
    'crash',
    'export',
    '--record',
    record,
    '--output',
    join(folder, 'log'),
  );
  failsWith(t, result, 3, 'EINVAL', /write #1 of 3 bytes at 515 is not in whole sectors/);
});

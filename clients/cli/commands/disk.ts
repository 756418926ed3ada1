// pinfold disk: the disks of a daemon, read and written from the shell.

import type { Command } from 'commander';
import { z } from 'zod';
import { CUT_STATES } from '../../../engine/block/power-cut.js';
import type { Cut } from '../../node/index.js';
import { withClient, withSocket } from '../daemon/connect.js';
import { ByteSink, byteSource, PIECE_BYTES } from '../frame/byte-io.js';
import { makeCommand, makeGroup, optionsOf } from '../frame/command.js';
import { CliError, usageError } from '../frame/errors.js';
import { formatTable, print, printJson } from '../frame/output.js';
import { humanSize, integer, size } from '../frame/values.js';
import { faultCommand } from './disk/fault.js';
import { markCommand } from './disk/mark.js';
import { onDisk } from './disk/on-disk.js';
import { recordCommand } from './disk/record.js';

const SECTOR_BYTES = 512;
const DISK_BYTES_MAX = 2 ** 40;
const sectors = (least: number) => size(least, DISK_BYTES_MAX, SECTOR_BYTES);

const SOCKET = { socket: z.string() };
const RANGE = { ...SOCKET, offset: z.number(), length: z.number().optional() };

export function diskCommand(): Command {
  return makeGroup(
    'disk',
    'list, read and write the disks of a daemon, let them fail, cut their power, record them',
    [
      ['pinfold disk list', 'names and sizes'],
      ['pinfold disk read scratch --length 512', 'the first sector'],
      [
        'pinfold disk write scratch --offset 1M --input boot.bin',
        'a file, one MiB from the beginning',
      ],
      ['pinfold disk fault add scratch error,op=write,nth=3', 'each third write fails'],
      ['pinfold disk cut scratch --seed 42', 'the power, if it is served with cache=volatile'],
      ['pinfold disk record scratch --output run.rec', 'for pinfold crash explore'],
    ],
    [
      listCommand(),
      readCommand(),
      writeCommand(),
      flushCommand(),
      discardCommand(),
      cutCommand(),
      faultCommand(),
      recordCommand(),
      markCommand(),
    ],
  );
}

function listCommand(): Command {
  const command = withSocket(
    makeCommand('list', 'name the disks of a daemon', [
      ['pinfold disk list --json', 'disks[] with name, sizeBytes, backing, cache, faults[]'],
    ]),
  );
  return command.action(async () => {
    const { json, socket } = optionsOf(command, SOCKET);
    const { disks } = await withClient(socket, (client) => client.list());
    if (json) printJson({ disks });
    else
      print(
        formatTable(
          ['DISK', 'SIZE', 'WHERE', 'FAULTS'],
          disks.map((d) => [
            d.name,
            humanSize(d.sizeBytes),
            d.cache === null ? d.backing : `${d.backing}, ${d.cache} cache`,
            kindsOf(d.faults),
          ]),
        ),
      );
  });
}

function readCommand(): Command {
  const command = withSocket(
    makeCommand('read', 'read a range of a disk', [
      ['pinfold disk read scratch --length 4K', 'as a hex dump on a terminal, as it is in a pipe'],
      ['pinfold disk read scratch --output disk.copy', 'all of it, into a file'],
    ]),
  )
    .argument('<disk>', 'a name from: pinfold disk list')
    .option('--offset <size>', 'where to begin, in whole sectors of 512 bytes', sectors(0), 0)
    .option(
      '--length <size>',
      'how much, in whole sectors (default: to the end)',
      sectors(SECTOR_BYTES),
    )
    .option('--output <file>', 'write it there')
    .option('--hex', 'as a hex dump, also in a pipe');
  return command.action(async (name: string) => {
    const shape = { ...RANGE, output: z.string().optional(), hex: z.boolean().default(false) };
    const { json, socket, offset, output, hex, length } = optionsOf(command, shape);
    if (json && output === undefined) throw jsonNeedsOutput();
    await onDisk(socket, name, async (disk, signal) => {
      const end = length === undefined ? disk.sizeBytes : offset + length;
      const sink = new ByteSink(output ?? null, hex);
      for (let at = offset; at < end; at += PIECE_BYTES) {
        sink.put(await disk.read(at, Math.min(PIECE_BYTES, end - at), { signal }), at);
      }
      sink.close();
      if (json)
        printJson({ disk: name, offset, lengthBytes: end - offset, output: output ?? null });
    });
  });
}

function writeCommand(): Command {
  const command = withSocket(
    makeCommand('write', 'write a file or standard input to a disk', [
      ['pinfold disk write scratch --input boot.bin', 'at the beginning'],
      [
        'head -c 512 /dev/zero | pinfold disk write scratch --offset 1M --flush',
        'a sector from a pipe, durable',
      ],
    ]),
  )
    .argument('<disk>', 'a name from: pinfold disk list')
    .option('--offset <size>', 'where to begin, in whole sectors of 512 bytes', sectors(0), 0)
    .option('--input <file>', 'what to write (default: standard input)')
    .option('--pad', 'fill the last sector up with zeroes')
    .option('--flush', 'make it durable');
  return command.action(async (name: string) => {
    const flags = { pad: z.boolean().default(false), flush: z.boolean().default(false) };
    const shape = { ...RANGE, ...flags, input: z.string().optional() };
    const { json, socket, offset, input, pad, flush } = optionsOf(command, shape);
    await onDisk(socket, name, async (disk, signal) => {
      let at = offset;
      for (const piece of byteSource(input ?? null)) {
        const whole = wholeSectors(piece, pad);
        await disk.write(at, whole, { signal });
        at += whole.length;
      }
      if (flush) await disk.flush({ signal });
      const written = { disk: name, offset, lengthBytes: at - offset, flushed: flush };
      if (json) printJson(written);
      else print(`${humanSize(at - offset)} written to ${name}${flush ? ', durable' : ''}`);
    });
  });
}

function flushCommand(): Command {
  const command = withSocket(
    makeCommand('flush', 'make all that was written to a disk durable', [
      ['pinfold disk flush scratch', 'as fdatasync does'],
    ]),
  ).argument('<disk>', 'a name from: pinfold disk list');
  return command.action(async (name: string) => {
    const { json, socket } = optionsOf(command, SOCKET);
    await onDisk(socket, name, (disk, signal) => disk.flush({ signal }));
    if (json) printJson({ disk: name, flushed: true });
  });
}

function discardCommand(): Command {
  const command = withSocket(
    makeCommand('discard', 'forget a range of a disk: it reads as zeroes afterwards', [
      ['pinfold disk discard scratch --offset 0 --length 1G', 'and takes no space any more'],
    ]),
  )
    .argument('<disk>', 'a name from: pinfold disk list')
    .requiredOption('--offset <size>', 'where to begin, in whole sectors of 512 bytes', sectors(0))
    .requiredOption('--length <size>', 'how much, in whole sectors', sectors(SECTOR_BYTES));
  return command.action(async (name: string) => {
    const { json, socket, offset, length } = optionsOf(command, { ...RANGE, length: z.number() });
    await onDisk(socket, name, (disk, signal) => disk.discard(offset, length, { signal }));
    if (json) printJson({ disk: name, offset, lengthBytes: length });
  });
}

function cutCommand(): Command {
  const command = withSocket(
    makeCommand(
      'cut',
      'cut the power of a disk with a volatile cache: what was not flushed may be gone',
      [
        ['pinfold disk cut disk0', 'at random; prints the state that replays it'],
        ['pinfold disk cut disk0 --seed 42', 'the same as --state random:42'],
        ['pinfold disk cut disk0 --state drop-all', 'nothing but what was flushed'],
        [
          'pinfold disk cut disk0 --state prefix:3',
          'the first three writes after the last flush, and no more',
        ],
      ],
    ),
  )
    .argument('<disk>', 'a name from: pinfold disk list')
    .option('--state <state>', `what is left: ${CUT_STATES.join(', ')}, or what a cut printed`)
    .option(
      '--seed <number>',
      'of random or adversarial (default: drawn)',
      integer(0, 2 ** 32 - 1),
    );
  return command.action(async (name: string) => {
    const shape = { ...SOCKET, state: z.string().optional(), seed: z.number().optional() };
    const { json, socket, state, seed } = optionsOf(command, shape);
    const wanted = stateOf(state, seed);
    await onDisk(socket, name, async (disk, signal) => {
      const cut = await disk.cut({ state: wanted, signal });
      if (json) printJson({ disk: name, ...cut });
      else print(describeCut(name, cut));
    });
  });
}

function stateOf(state = 'random', seed?: number): string {
  if (seed === undefined) return state;
  if (state === 'random' || state === 'adversarial') return `${state}:${seed}`;
  throw usageError(`--seed is for the states random and adversarial, not for ${state}`);
}

function describeCut(name: string, cut: Cut): string {
  const possible = cut.images === null ? 'more than can be counted' : cut.images;
  return [
    `${name}: the power was cut at ${cut.state}`,
    `${cut.lostUnits} of ${cut.openUnits} open units lost, of ${cut.writes} writes; images that were possible: ${possible}`,
    `NBD connections that died: ${cut.connections}`,
  ].join('\n');
}

/** `error,rate=0.1` and so on, without the keys. */
function kindsOf(faults: readonly string[]): string {
  return faults.map((fault) => fault.split(',', 1).join('')).join(', ');
}

function wholeSectors(piece: Buffer, pad: boolean): Buffer {
  const rest = piece.length % SECTOR_BYTES;
  if (rest === 0) return piece;
  if (pad) return Buffer.concat([piece, Buffer.alloc(SECTOR_BYTES - rest)]);
  throw new CliError(
    'EINVAL',
    `the input ends ${rest} bytes into a sector of ${SECTOR_BYTES}: fill it up with --pad`,
  );
}

function jsonNeedsOutput(): CliError {
  return usageError('--json needs --output <file>: the bytes themselves are no JSON');
}

// pinfold region: the persistent-memory regions of a daemon, mapped into this process.

import type { Command } from 'commander';
import { z } from 'zod';
import type { Region } from '../../node/index.js';
import { unknownName, withClient, withSocket } from '../daemon/connect.js';
import { ByteSink, byteSource, PIECE_BYTES } from '../frame/byte-io.js';
import { makeCommand, makeGroup, optionsOf } from '../frame/command.js';
import { CliError, usageError } from '../frame/errors.js';
import { formatTable, print, printJson } from '../frame/output.js';
import { formatSize, humanSize, size } from '../frame/values.js';

const REGION_BYTES_MAX = 2 ** 40;
const SOCKET = { socket: z.string() };

export function regionCommand(): Command {
  return makeGroup(
    'region',
    'list, dump and write the regions of a daemon',
    [
      ['pinfold region list', 'names and sizes'],
      ['pinfold region dump pmem --length 256', 'its first bytes'],
    ],
    [listCommand(), dumpCommand(), writeCommand()],
  );
}

function listCommand(): Command {
  const command = withSocket(
    makeCommand('list', 'name the regions of a daemon', [
      ['pinfold region list --json', 'regions[] with name, sizeBytes'],
    ]),
  );
  return command.action(async () => {
    const { json, socket } = optionsOf(command, SOCKET);
    const { regions } = await withClient(socket, (client) => client.list());
    if (json) printJson({ regions });
    else
      print(
        formatTable(
          ['REGION', 'SIZE'],
          regions.map((r) => [r.name, humanSize(r.sizeBytes)]),
        ),
      );
  });
}

function dumpCommand(): Command {
  const command = withSocket(
    makeCommand('dump', 'show the bytes of a region', [
      [
        'pinfold region dump pmem --offset 4K --length 256',
        'as a hex dump on a terminal, as it is in a pipe',
      ],
      ['pinfold region dump pmem --output pmem.copy', 'all of it, into a file'],
    ]),
  )
    .argument('<region>', 'a name from: pinfold region list')
    .option('--offset <size>', 'where to begin', size(0, REGION_BYTES_MAX), 0)
    .option('--length <size>', 'how much (default: to the end)', size(1, REGION_BYTES_MAX))
    .option('--output <file>', 'write it there')
    .option('--hex', 'as a hex dump, also in a pipe');
  return command.action(async (name: string) => {
    const { json, socket, offset, length, output, hex } = optionsOf(command, {
      ...SOCKET,
      offset: z.number(),
      length: z.number().optional(),
      output: z.string().optional(),
      hex: z.boolean().default(false),
    });
    if (json && output === undefined) {
      throw usageError('--json needs --output <file>: the bytes themselves are no JSON');
    }
    await onRegion(socket, name, (region) => {
      const end = length === undefined ? region.sizeBytes : offset + length;
      checkRange(region, offset, end);
      const sink = new ByteSink(output ?? null, hex);
      for (let at = offset; at < end; ) {
        const piece = viewOf(region, at, Math.min(PIECE_BYTES, end - at));
        sink.put(Uint8Array.from(piece), at);
        at += piece.length;
      }
      sink.close();
      if (json)
        printJson({ region: name, offset, lengthBytes: end - offset, output: output ?? null });
    });
  });
}

function writeCommand(): Command {
  const command = withSocket(
    makeCommand('write', 'store a file or standard input into a region', [
      ['echo hello | pinfold region write pmem --offset 4K', 'seen by all who map it, at once'],
    ]),
  )
    .argument('<region>', 'a name from: pinfold region list')
    .option('--offset <size>', 'where to begin', size(0, REGION_BYTES_MAX), 0)
    .option('--input <file>', 'what to store (default: standard input)');
  return command.action(async (name: string) => {
    const shape = { ...SOCKET, offset: z.number(), input: z.string().optional() };
    const { json, socket, offset, input } = optionsOf(command, shape);
    await onRegion(socket, name, (region) => {
      let at = offset;
      for (const piece of byteSource(input ?? null)) {
        checkRange(region, at, at + piece.length);
        for (let done = 0; done < piece.length; ) {
          const view = viewOf(region, at + done, piece.length - done);
          view.set(piece.subarray(done, done + view.length));
          done += view.length;
        }
        at += piece.length;
      }
      if (json) printJson({ region: name, offset, lengthBytes: at - offset });
      else print(`${humanSize(at - offset)} stored into ${name}`);
    });
  });
}

async function onRegion(
  socket: string,
  name: string,
  work: (region: Region) => void,
): Promise<void> {
  await withClient(socket, async (client) => {
    const { regions } = await client.list();
    const names = regions.map((region) => region.name);
    if (!names.includes(name)) throw unknownName('region', name, names);
    const region = await client.region(name);
    try {
      work(region);
    } finally {
      await region.close();
    }
  });
}

function checkRange(region: Region, from: number, to: number): void {
  if (to <= region.sizeBytes) return;
  throw new CliError(
    'EINVAL',
    `bytes ${from} to ${to} reach past the end of region ${region.name}, which has ${formatSize(region.sizeBytes)}`,
  );
}

/** Bytes from an offset on, up to the end of the segment that it lies in. */
function viewOf(region: Region, offset: number, lengthBytes: number): Uint8Array {
  const segment = Math.floor(offset / region.segmentBytes);
  const start = offset - segment * region.segmentBytes;
  const length = Math.min(lengthBytes, region.segmentBytes - start);
  return new Uint8Array(region.segments[segment], start, length);
}

// pinfold disk fault: the fault layers of a disk, switched on and off while clients use it.

import type { Command } from 'commander';
import { z } from 'zod';
import { withSocket } from '../../daemon/connect.js';
import { makeCommand, makeGroup, optionsOf } from '../../frame/command.js';
import { CliError } from '../../frame/errors.js';
import { formatTable, print, printJson } from '../../frame/output.js';
import { integer, seconds } from '../../frame/values.js';
import { onDisk } from './on-disk.js';

const SOCKET = { socket: z.string() };
const LAYER_MAX = Number.MAX_SAFE_INTEGER;
const DISK = ['<disk>', 'a name from: pinfold disk list'] as const;

export function faultCommand(): Command {
  return makeGroup(
    'fault',
    'let a disk fail, hold back, spoil or lose what clients ask of it',
    [
      ['pinfold disk fault add scratch error,op=write,rate=0.01', 'each hundredth write fails'],
      ['pinfold disk fault list scratch', 'the layers, in their order, and what they did'],
      ['pinfold disk fault clear scratch', 'all is well again'],
    ],
    [addCommand(), listCommand(), clearCommand(), waitCommand()],
  );
}

function addCommand(): Command {
  const command = withSocket(
    makeCommand('add', 'add a fault layer to a disk', [
      [
        'pinfold disk fault add scratch error,errno=ENOSPC,op=write,range=1M-2M,nth=5,once',
        'the fifth write there fails',
      ],
      [
        'pinfold disk fault add scratch delay,mean=2ms,p99=10ms,op=read --json',
        'id, and fault: the same as text, with the seed that was drawn',
      ],
      [
        'pinfold disk fault add scratch lying-flush --before 1',
        'asked before layer 1; kinds and keys are in docs/disk-faults.md',
      ],
    ]),
  )
    .argument(...DISK)
    .argument('<fault>', 'KIND,KEY=VALUE,...')
    .option('--before <id>', 'the layer to be asked right after it', integer(1, LAYER_MAX));
  return command.action(async (name: string, fault: string) => {
    const shape = { ...SOCKET, before: z.number().optional() };
    const { json, socket, before } = optionsOf(command, shape);
    const added = await onDisk(socket, name, async (disk, signal) => {
      return await disk.addFault(fault, { signal, ...(before === undefined ? {} : { before }) });
    });
    if (json) printJson({ disk: name, ...added });
    else print(`layer ${added.id} of ${name}: ${added.fault}`);
  });
}

function listCommand(): Command {
  const command = withSocket(
    makeCommand('list', 'show the fault layers of a disk, in the order in which they are asked', [
      [
        'pinfold disk fault list scratch --json',
        'layers[] with id, fault, outside, seen, fired and last[], the last firings in words',
      ],
    ]),
  ).argument(...DISK);
  return command.action(async (name: string) => {
    const { json, socket } = optionsOf(command, SOCKET);
    const layers = await onDisk(socket, name, async (disk, signal) => disk.faults({ signal }));
    if (json) {
      printJson({ disk: name, layers });
      return;
    }
    if (layers.length === 0) {
      print(`${name} has no fault layers`);
      return;
    }
    const rows = layers.map(({ id, seen, fired, fault }) => {
      return [String(id), String(seen), String(fired), fault];
    });
    print(formatTable(['ID', 'SEEN', 'FIRED', 'FAULT'], rows));
    for (const { id, last } of layers) for (const words of last) print(`layer ${id}: ${words}`);
  });
}

function clearCommand(): Command {
  const command = withSocket(
    makeCommand('clear', 'take one fault layer of a disk away, or all', [
      ['pinfold disk fault clear scratch', 'all; what they hold back is answered'],
      ['pinfold disk fault clear scratch 2', 'layer 2 only'],
    ]),
  )
    .argument(...DISK)
    .argument('[id]', 'a number from: pinfold disk fault list', integer(1, LAYER_MAX));
  return command.action(async (name: string, id?: number) => {
    const { json, socket } = optionsOf(command, SOCKET);
    const cleared = await onDisk(socket, name, async (disk, signal) => {
      return await disk.clearFaults(id ?? null, { signal });
    });
    if (json) printJson({ disk: name, cleared });
    else print(`${cleared} fault ${cleared === 1 ? 'layer' : 'layers'} of ${name} cleared`);
  });
}

function waitCommand(): Command {
  const command = withSocket(
    makeCommand('wait', 'wait until a fault layer has fired', [
      ['pinfold disk fault wait scratch 1', 'at least once since it was added'],
      ['pinfold disk fault wait scratch 1 --times 3 --timeout 10', 'exit code 3 after 10 seconds'],
    ]),
  )
    .argument(...DISK)
    .argument('<id>', 'a number from: pinfold disk fault list', integer(1, LAYER_MAX))
    .option('--times <n>', 'how often', integer(1, LAYER_MAX), 1)
    .option('--timeout <seconds>', 'then it is an error', seconds(0, 1e6));
  return command.action(async (name: string, id: number) => {
    const shape = { ...SOCKET, times: z.number(), timeout: z.number().optional() };
    const { json, socket, times, timeout } = optionsOf(command, shape);
    const fired = await onDisk(socket, name, async (disk, signal) => {
      const late = timeout === undefined ? null : AbortSignal.timeout(timeout * 1000);
      const either = late === null ? signal : AbortSignal.any([signal, late]);
      try {
        return await disk.waitForFault(id, { times, signal: either });
      } catch (error) {
        if (late?.aborted !== true) throw error;
        throw new CliError(
          'ETIMEDOUT',
          `layer ${id} of ${name} has not fired ${times === 1 ? '' : `${times} times `}` +
            `within ${timeout ?? 0} seconds`,
        );
      }
    });
    if (json) printJson({ disk: name, id, fired });
    else print(`layer ${id} of ${name} has fired ${fired === 1 ? 'once' : `${fired} times`}`);
  });
}

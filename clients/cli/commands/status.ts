// pinfold status: what a daemon serves, and what it has done so far.

import type { Command } from 'commander';
import { z } from 'zod';
import type { Client } from '../../node/index.js';
import { withClient, withSocket } from '../daemon/connect.js';
import { makeCommand, optionsOf } from '../frame/command.js';
import { formatTable, print, printJson } from '../frame/output.js';
import { humanSize } from '../frame/values.js';

const SHAPE = { socket: z.string() };

export function statusCommand(): Command {
  const command = withSocket(
    makeCommand('status', 'show what a daemon serves and what it has done', [
      ['pinfold status', 'of the daemon on the default socket'],
      [
        'pinfold status --socket /run/pinfold.sock --json',
        'daemon, disks[], regions[], volumes[], exports[], counters',
      ],
    ]),
  );
  return command.action(async () => {
    const { json, socket } = optionsOf(command, SHAPE);
    const status = await withClient(socket, statusOf);
    if (json) printJson({ socket, ...status });
    else show(socket, status);
  });
}

async function statusOf(client: Client) {
  const { disks, regions, volumes, exports } = await client.list();
  const machines = [];
  for (const each of volumes) {
    const volume = await client.volume(each.name);
    const counters = await volume.statistics();
    const space = await volume.statfs();
    const { count } = await volume.findings();
    await volume.close();
    machines.push({ ...each, space, findings: count, counters });
  }
  const daemon = client.daemon ?? { pid: 0, release: '' };
  const counters = await client.statistics();
  return { daemon, disks, regions, volumes: machines, exports, counters };
}

function show(socket: string, status: Awaited<ReturnType<typeof statusOf>>): void {
  const { daemon, disks, regions, volumes, exports, counters } = status;
  print(`pinfold ${daemon.release}, pid ${daemon.pid}, on ${socket}`);
  const rows = [
    ...disks.map((d) => [
      'disk',
      d.name,
      humanSize(d.sizeBytes),
      [d.backing, ...d.faults].join('; '),
    ]),
    ...regions.map((r) => ['region', r.name, humanSize(r.sizeBytes), 'memory']),
    ...volumes.map((v) => [
      'volume',
      v.name,
      humanSize(v.sizeBytes),
      `${v.backing}, ${v.profile}, ${humanSize(v.space.blocksFree * v.space.blockBytes)} free, ${v.findings} findings`,
    ]),
    ...exports.map((e) => [
      'export',
      e.name,
      humanSize(e.sizeBytes),
      `${e.file} of volume ${e.volume}, for NBD clients${e.readOnly ? ', read-only' : ''}`,
    ]),
  ];
  if (rows.length > 0) print(`\n${formatTable(['KIND', 'NAME', 'SIZE', 'WHERE'], rows)}`);
  print(`\n${formatTable(['COUNTER', 'VALUE'], countersOf('', counters))}`);
  for (const volume of volumes) {
    print(`\n${formatTable([`VOLUME ${volume.name}`, 'VALUE'], countersOf('', volume.counters))}`);
  }
}

function countersOf(prefix: string, counters: Readonly<Record<string, number>>): string[][] {
  return Object.entries(counters).map(([name, value]) => [`${prefix}${name}`, String(value)]);
}

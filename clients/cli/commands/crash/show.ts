// pinfold crash show: the events of a recording, numbered as crash points.

import type { Command } from 'commander';
import { z } from 'zod';
import { EventNames } from '../../../../engine/block/recording/points.js';
import type { DiskEvent, Recording } from '../../../../engine/block/recording/reader.js';
import { makeCommand, optionsOf } from '../../frame/command.js';
import { formatTable, print, printJson } from '../../frame/output.js';
import { humanSize, integer } from '../../frame/values.js';
import { withRecord, withRecording } from './record-option.js';

const SECTOR_BYTES = 512;
const POSITION_MAX = 1_000_000_000;

export function showCommand(): Command {
  const command = withRecord(
    makeCommand('show', 'list the events of a recording', [
      ['pinfold crash show --record run.rec', 'POINT n is the crash after that event'],
      ['pinfold crash show --record run.rec --from 400 --count 20', 'a part of it'],
      ['pinfold crash show --record run.rec --json', 'header, cutShort, events[]'],
    ]),
  )
    .option('--from <point>', 'the first one', integer(0, POSITION_MAX), 0)
    .option('--count <n>', 'how many (default: all)', integer(1, POSITION_MAX));
  return command.action(async () => {
    const shape = { record: z.string(), from: z.number(), count: z.number().optional() };
    const { json, record, from, count } = optionsOf(command, shape);
    await withRecording(record, (recording) => {
      const until = count === undefined ? recording.events.length : from + count;
      if (json) printJson(asJson(recording, from, until));
      else show(recording, from, until);
    });
  });
}

function asJson(
  { path, header, events, cutShort, lengthBytes }: Recording,
  from: number,
  until: number,
) {
  const names = new EventNames(events);
  return {
    record: path,
    header,
    lengthBytes,
    cutShort,
    eventCount: events.length,
    events: events.slice(from, until).map((event, i) => ({
      point: from + i + 1,
      what: names.of(event),
      ...event,
    })),
  };
}

function show(recording: Recording, from: number, until: number): void {
  const { path, header, events, extents, cutShort } = recording;
  const names = new EventNames(events);
  const held = extents.reduce((sum, { length }) => sum + length, 0);
  const atomic =
    header.atomicBytes === 0 ? '' : `, atomic writes up to ${humanSize(header.atomicBytes)}`;
  print(
    `${path}: a disk of ${humanSize(header.sizeBytes)} in units of ${header.unitBytes} B${atomic}, ` +
      `recorded ${new Date(header.startedMs).toISOString()}, with ${humanSize(held)} of data at first; ` +
      `${events.length} events${cutShort === null ? '' : `; it ends early: ${cutShort}`}`,
  );
  const rows = events
    .slice(from, until)
    .map((event, i) => [
      String(from + i + 1),
      (event.timeUs / 1e6).toFixed(6),
      names.of(event),
      whereOf(event),
    ]);
  print(formatTable(['POINT', 'SECONDS', 'EVENT', 'SECTORS'], rows));
}

function whereOf(event: DiskEvent): string {
  if (event.kind !== 'write' || event.length === 0) return '';
  const first = Math.floor(event.offset / SECTOR_BYTES);
  const last = Math.ceil((event.offset + event.length) / SECTOR_BYTES) - 1;
  return first === last ? String(first) : `${first}-${last}`;
}

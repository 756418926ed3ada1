// pinfold crash image: writes one image of a power cut to a file.

import { existsSync, rmSync, utimesSync } from 'node:fs';
import type { Command } from 'commander';
import { z } from 'zod';
import { pick, stateOf } from '../../../../engine/block/power-cut.js';
import { countImages } from '../../../../engine/block/power-cut-count.js';
import { EventNames } from '../../../../engine/block/recording/points.js';
import { Timeline } from '../../../../engine/block/recording/timeline.js';
import { ScratchImage } from '../../crash/scratch.js';
import { describeImage } from '../../crash/words.js';
import { makeCommand, optionsOf } from '../../frame/command.js';
import { CliError } from '../../frame/errors.js';
import { print, printJson } from '../../frame/output.js';
import { integer } from '../../frame/values.js';
import { withRecord, withRecording } from './record-option.js';

const POSITION_MAX = 1_000_000_000;

const SHAPE = {
  record: z.string(),
  point: z.number().optional(),
  state: z.string(),
  output: z.string(),
};

export function imageCommand(): Command {
  const command = withRecord(
    makeCommand('image', 'write one image that a power cut may leave', [
      [
        "pinfold crash image --record run.rec --point 41 --state 'keep-all,2048-2055=0' --output crash.img",
        'as a report of pinfold crash explore names it',
      ],
      [
        'pinfold crash image --record run.rec --state drop-all --output crash.img',
        'at the end, with nothing that was not durable',
      ],
    ]),
  )
    .option('--point <n>', 'so many events have happened (default: all)', integer(0, POSITION_MAX))
    .requiredOption(
      '--state <state>',
      'drop-all, keep-all, prefix:N, random:SEED, adversarial:SEED, or one that a report printed',
    )
    .requiredOption('--output <file>', 'a new file, sparse, as large as the disk');
  return command.action(async () => {
    const { json, record, point: given, state, output } = optionsOf(command, SHAPE);
    await withRecording(record, (recording) => {
      const { events, header } = recording;
      const position = given ?? events.length;
      if (position > events.length)
        throw new CliError('EINVAL', `${record} has points 0 to ${events.length}, not ${position}`);
      const timeline = new Timeline(recording);
      const point = timeline.at(position);
      const choices = pick(point.pending, state);
      if (existsSync(output))
        throw new CliError('EEXIST', `${output} is there already: give a new file`);
      try {
        const image = new ScratchImage(output, recording, timeline);
        image.show(point, choices);
        image.close();
        const now = new Date();
        utimesSync(output, now, now);
      } catch (error) {
        rmSync(output, { force: true });
        throw error;
      }
      const where = new EventNames(events).point(events, position);
      const words = describeImage(point, choices, events, header.unitBytes);
      const legal = countImages(point.pending)?.toString() ?? null;
      const exact = stateOf(point.pending, choices);
      if (json) {
        printJson({ output, point: position, where, state: exact, legalImages: legal, ...words });
        return;
      }
      print(`${output}: the power was cut ${where}`);
      print(`lost:  ${words.lost}\nkept:  ${words.kept}\nstate: ${exact}`);
    });
  });
}

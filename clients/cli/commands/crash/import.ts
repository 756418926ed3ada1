// pinfold crash import: a log of dm-log-writes as a recording.

import { type Command, Option } from 'commander';
import { z } from 'zod';
import { closeDescriptor, openFile } from '../../../../native/index.js';
import { importLog } from '../../crash/import-log.js';
import { makeCommand, optionsOf } from '../../frame/command.js';
import { print, printJson } from '../../frame/output.js';
import { humanSize, size } from '../../frame/values.js';
import { intoNewFile } from './new-file.js';

const SIZE_MAX = 2 ** 50;
const SIZE_STEP = 4096;
const UNITS = ['512', '4096'] as const;

export function importCommand(): Command {
  const command = makeCommand('import', "make a recording of a log of Linux's dm-log-writes", [
    ['pinfold crash import --log run.log --output run.rec', 'a log that the kernel wrote'],
    [
      'pinfold crash import --log run.log --output run.rec --size 1G --unit 4096',
      'of a disk with blocks of 4 KiB',
    ],
  ])
    .requiredOption('--log <file>', 'the log, or the device that holds it')
    .requiredOption('--output <file>', 'a new file')
    .option(
      '--size <size>',
      "the disk's size (default: as far as the log writes)",
      size(SIZE_STEP, SIZE_MAX, SIZE_STEP),
    )
    .addOption(
      new Option('--unit <bytes>', 'what reaches the medium together or not at all')
        .choices(UNITS)
        .default('512'),
    );
  return command.action(() => {
    const shape = {
      log: z.string(),
      output: z.string(),
      size: z.number().optional(),
      unit: z.enum(UNITS),
    };
    const { json, log, output, size: sizeBytes, unit } = optionsOf(command, shape);
    const fd = openFile(log, { readOnly: true });
    try {
      const options = { sizeBytes: sizeBytes ?? null, unitBytes: Number(unit) };
      const summary = intoNewFile(output, (to) => importLog(log, fd, to, options));
      if (json) printJson({ log, output, ...summary });
      else
        print(
          `${output}: ${summary.entries} entries of a disk of ${humanSize(summary.sizeBytes)}, ` +
            'which held nothing at first',
        );
    } finally {
      closeDescriptor(fd);
    }
  });
}

// pinfold crash export: a recording as a log of dm-log-writes.

import type { Command } from 'commander';
import { z } from 'zod';
import { exportLog } from '../../crash/export-log.js';
import { makeCommand, optionsOf } from '../../frame/command.js';
import { print, printJson } from '../../frame/output.js';
import { humanSize } from '../../frame/values.js';
import { intoNewFile } from './new-file.js';
import { withRecord, withRecording } from './record-option.js';

export function exportCommand(): Command {
  const command = withRecord(
    makeCommand('export', "write a recording in the format of Linux's dm-log-writes", [
      ['pinfold crash export --record run.rec --output run.log', 'for replay-log of xfstests'],
      [
        'pinfold crash export --record run.rec --output run.log --json',
        'entries, lengthBytes, unrepliedWrites, initialBytes',
      ],
    ]),
  ).requiredOption('--output <file>', 'a new file');
  return command.action(async () => {
    const shape = { record: z.string(), output: z.string() };
    const { json, record, output } = optionsOf(command, shape);
    await withRecording(record, (recording) => {
      const summary = intoNewFile(output, (fd) => exportLog(recording, fd));
      const { entries, lengthBytes, unrepliedWrites, initialBytes } = summary;
      if (json) {
        printJson({ record, output, ...summary });
        return;
      }
      print(`${output}: ${entries} entries, ${humanSize(lengthBytes)}`);
      if (unrepliedWrites > 0)
        print(`left out: ${unrepliedWrites} writes without a reply, which the format cannot tell`);
      if (initialBytes > 0)
        print(`left out: ${humanSize(initialBytes)} that the disk held at first`);
    });
  });
}

// pinfold lab export: a hazard as a program for a real machine.

import { writeFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { z } from 'zod';
import { exportable, exportC } from '../../../../lab/export/c.js';
import { makeCommand, optionsOf } from '../../frame/command.js';
import { print, printJson } from '../../frame/output.js';
import { chooseHazard, hazardArgument } from './choose.js';

const SHAPE = { as: z.literal('c'), out: z.string().optional() };

export function exportCommand(): Command {
  const command = makeCommand('export', 'write a hazard as a program for a real machine', [
    ['pinfold lab export H0-a --as c > h0-a.c', 'each actor a thread that makes its system calls'],
    [
      'pinfold lab export H0-a --as c --out h0-a.c --json',
      'hazard, file, source (null where it went to the file)',
    ],
  ])
    .addArgument(hazardArgument())
    .addOption(new Option('--as <language>', 'of the program').choices(['c']).default('c'))
    .option('--out <file>', 'write it there (default: standard output)')
    .addHelpText(
      'after',
      '\nThe program races, round after round; that it sees nothing proves nothing. Run it on a scratch file\n' +
        `system. Hazards with a program: ${exportable().join(', ')}.`,
    );
  return command.action((name: string) => {
    const { json, out } = optionsOf(command, SHAPE);
    const hazard = chooseHazard(name);
    const source = exportC(hazard);
    if (out !== undefined) writeFileSync(out, source);
    if (json) {
      printJson({
        hazard: hazard.id,
        file: out ?? null,
        source: out === undefined ? source : null,
      });
    } else if (out === undefined) {
      print(source);
    }
  });
}

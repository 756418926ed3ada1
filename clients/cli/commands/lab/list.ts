// pinfold lab list: the hazards, one line each.

import type { Command } from 'commander';
import { wrap } from '../../../../lab/diagram/wrap.js';
import { HAZARDS, NOT_REAL } from '../../../../lab/hazards/index.js';
import { makeCommand, optionsOf } from '../../frame/command.js';
import { formatTable, print, printJson } from '../../frame/output.js';
import { outputWidth } from './choose.js';

export function listCommand(): Command {
  const command = makeCommand('list', 'name all hazards', [
    ['pinfold lab list', 'a line for each, with what may go wrong'],
    [
      'pinfold lab list --json',
      'hazards[] with id, title, source, mayGoWrong[]; notReal[] with id, why',
    ],
  ]);
  return command.action(() => {
    const { json } = optionsOf(command, {});
    if (json) {
      printJson({
        hazards: HAZARDS.map(({ id, title, source, mayGoWrong }) => ({
          id,
          title,
          source,
          mayGoWrong,
        })),
        notReal: NOT_REAL,
      });
      return;
    }
    print(
      formatTable(
        ['HAZARD', 'MAY GO WRONG', 'WHAT HAPPENS'],
        HAZARDS.map(({ id, title, mayGoWrong }) => [id, mayGoWrong.join(', '), title]),
      ),
    );
    for (const { id, title, why } of NOT_REAL) {
      print(`\n${wrap(`${id} is not real (${title}): ${why}`, outputWidth()).join('\n')}`);
    }
  });
}

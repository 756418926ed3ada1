// What can be completed after each command: its subcommands, its options, and their values.

import type { Command } from 'commander';
import { pathOf } from '../frame/command.js';

export interface CompletionWords {
  /** The words that call the command. */
  readonly path: string;
  readonly members: readonly { readonly name: string; readonly summary: string }[];
  readonly options: readonly {
    readonly flag: string;
    readonly summary: string;
    /** Takes a value. */
    readonly valued: boolean;
    readonly choices: readonly string[];
  }[];
  /** Words allowed as arguments; without any, files are completed. */
  readonly choices: readonly string[];
}

/** Of a command and all below it. */
export function wordsOf(command: Command): CompletionWords[] {
  const options = command.createHelp().visibleOptions(command);
  const own: CompletionWords = {
    path: pathOf(command),
    members: command.commands.map((member) => ({
      name: member.name(),
      summary: member.description(),
    })),
    options: options.flatMap((option) =>
      [option.long, option.short].flatMap((flag) =>
        flag === undefined
          ? []
          : [
              {
                flag,
                summary: option.description,
                valued: option.required || option.optional,
                choices: option.argChoices ?? [],
              },
            ],
      ),
    ),
    choices: command.registeredArguments.flatMap((argument) => argument.argChoices ?? []),
  };
  return [own, ...command.commands.flatMap(wordsOf)];
}

// How every command of pinfold is made: errors are thrown instead of ending the process, each level
// has examples, and --json is everywhere.

import { Command, type CommanderError } from 'commander';
import { z } from 'zod';
import { type CliError, usageError } from './errors.js';

/** An example for the help: a command line and what it does. */
export type Example = readonly [line: string, meaning: string];

/**
 * A command without a parent yet.
 * @param examples at least one; shown at the end of the help
 */
export function makeCommand(name: string, summary: string, examples: readonly Example[]): Command {
  const command: Command = new Command(name)
    .description(summary)
    .exitOverride((error) => {
      throw error.exitCode === 0 ? error : explain(command, error);
    })
    .configureOutput({ outputError: () => undefined, writeErr: () => undefined })
    .helpOption('-h, --help', 'show this help')
    .helpCommand(false)
    .allowExcessArguments(false)
    .option('--json', 'print one JSON object with stable fields instead of text')
    .addHelpText('after', formatExamples(examples));
  return command;
}

/** A command that only holds others. */
export function makeGroup(
  name: string,
  summary: string,
  examples: readonly Example[],
  members: readonly Command[],
): Command {
  const group = makeCommand(name, summary, examples);
  for (const member of members) group.addCommand(member);
  return group;
}

/** The words that call a command: `pinfold volume put`. */
export function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}

/** The options of a command with their types; `json` also if it stands before the command. */
export function optionsOf<Shape extends z.ZodRawShape>(
  command: Command,
  shape: Shape,
): z.infer<z.ZodObject<Shape>> & { readonly json: boolean } {
  const given: unknown = command.optsWithGlobals();
  const { json } = z.object({ json: z.boolean().default(false) }).parse(given);
  return { ...z.object(shape).parse(given), json };
}

function formatExamples(examples: readonly Example[]): string {
  const lines = examples.map(([line, meaning]) => `  $ ${line}\n      ${meaning}`);
  return `\nExamples:\n${lines.join('\n')}`;
}

/** Commander's messages begin with "error: " and may end with a suggestion on a line of its own. */
function explain(command: Command, error: CommanderError): CliError {
  const path = pathOf(command);
  if (error.code === 'commander.help') {
    const names = command.commands.map((member) => member.name()).join(', ');
    return usageError(`'${path}' needs one of: ${names}; see '${path} --help'`);
  }
  const message = error.message
    .replace(/^error: /, '')
    .replace(/\n\(Did you mean (.*)\?\)$/, ', did you mean $1?')
    .replace(/\.$/, '');
  return usageError(`${message}; see '${path} --help'`);
}

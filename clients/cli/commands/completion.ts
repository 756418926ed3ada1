// pinfold completion bash|zsh: prints a script that completes commands, options and their values.

import { Argument, type Command } from 'commander';
import { bashScript, zshScript } from '../completion/scripts.js';
import { wordsOf } from '../completion/words.js';
import { makeCommand, optionsOf } from '../frame/command.js';
import { print, printJson } from '../frame/output.js';

const SHELLS = ['bash', 'zsh'] as const;

export function completionCommand(): Command {
  const command = makeCommand('completion', 'print a completion script for a shell', [
    [
      'source <(pinfold completion bash)',
      'completes in this shell; put it into ~/.bashrc to keep it',
    ],
    ['pinfold completion zsh > ~/.zfunc/_pinfold', 'for zsh, in a folder of its fpath'],
  ]).addArgument(new Argument('<shell>', 'the shell').choices(SHELLS));
  return command.action((shell: string) => {
    const { json } = optionsOf(command, {});
    const words = wordsOf(rootOf(command));
    const script = shell === 'bash' ? bashScript(words) : zshScript(words);
    if (json) printJson({ shell, script });
    else print(script);
  });
}

function rootOf(command: Command): Command {
  return command.parent === null ? command : rootOf(command.parent);
}

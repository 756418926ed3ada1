// What the command says about itself, and how it refuses a wrong command line.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import test from 'ava';
import { z } from 'zod';
import { wordsOf } from '../../clients/cli/completion/words.js';
import { buildProgram } from '../../clients/cli/program.js';
import { failsWith, pinfold, succeeds } from './run.js';

const program = await buildProgram();
const paths = wordsOf(program).map(({ path }) => path.split(' ').slice(1));

/** The help of a command, without a process of its own for each. */
function helpOf(path: readonly string[]): string {
  const command = path.reduce((above, name) => {
    const found = above.commands.find((member) => member.name() === name);
    if (found === undefined) throw new Error(`no command ${path.join(' ')}`);
    return found;
  }, program);
  let help = '';
  command.configureOutput({
    writeOut: (text) => {
      help += text;
    },
  });
  command.outputHelp();
  return help;
}

test('each level has help with examples and --json', async (t) => {
  for (const path of paths) {
    const help = helpOf(path);
    t.true(help.startsWith(`Usage: ${['pinfold', ...path].join(' ')}`));
    t.regex(help, /\nExamples:\n {2}\$ .*pinfold/, path.join(' '));
    t.regex(help, /--json/, path.join(' '));
  }
  t.is(await succeeds(t, 'profile', 'show', '--help'), helpOf(['profile', 'show']));
});

test('docs/cli.md has every command', (t) => {
  const text = readFileSync(new URL('../../../docs/cli.md', import.meta.url), 'utf8');
  for (const path of paths) {
    for (const name of path) t.regex(text, new RegExp(`\\b${name}\\b`), path.join(' '));
  }
});

test('--version prints the version of the package', async (t) => {
  t.regex(await succeeds(t, '--version'), /^\d+\.\d+\.\d+\n$/);
});

test('an unknown command is named, with the one that was meant', async (t) => {
  const result = await pinfold('profil');
  failsWith(t, result, 2, 'EUSAGE', /unknown command 'profil', did you mean profile\?/);
});

test('a group without a command lists its commands', async (t) => {
  failsWith(t, await pinfold('profile'), 2, 'EUSAGE', /needs one of: list, show/);
});

test('an unknown option is named, with where to look', async (t) => {
  const result = await pinfold('profile', 'list', '--jsno');
  failsWith(t, result, 2, 'EUSAGE', /unknown option '--jsno'.*see 'pinfold profile list --help'/);
});

test('a wrong value is named with the allowed range', async (t) => {
  failsWith(t, await pinfold('bench', '--runs', '0'), 2, 'EUSAGE', /--runs.*'0'.*from 1 to 100/);
});

test('a missing argument is named', async (t) => {
  failsWith(t, await pinfold('profile', 'show'), 2, 'EUSAGE', /missing required argument 'name'/);
});

test('a superfluous argument is refused', async (t) => {
  failsWith(t, await pinfold('profile', 'list', 'x'), 2, 'EUSAGE', /too many arguments/);
});

test('with --json an error is an object too', async (t) => {
  const { exit, stdout } = await pinfold('profile', 'show', 'linux-1.0', '--json');
  t.is(exit, 2);
  const { error } = z
    .strictObject({ error: z.strictObject({ code: z.string(), message: z.string() }) })
    .parse(JSON.parse(stdout));
  t.is(error.code, 'EUSAGE');
  t.regex(error.message, /no profile 'linux-1\.0', did you .*; allowed are .*best-known/);
});

test('profiles are listed and shown', async (t) => {
  const { profiles } = z
    .strictObject({
      profiles: z.array(z.strictObject({ name: z.string(), description: z.string() })),
    })
    .parse(JSON.parse(await succeeds(t, 'profile', 'list', '--json')));
  t.true(profiles.some(({ name }) => name === 'linux-6.12'));
  t.regex(await succeeds(t, 'profile', 'show', 'best-known'), /fsync of a pinned page\s+bounce/);
});

test('the completion script for bash parses, and completes commands and options', async (t) => {
  const script = await succeeds(t, 'completion', 'bash');
  execFileSync('bash', ['-n'], { input: script });
  const ask = `COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _pinfold; echo "\${COMPREPLY[@]}"`;
  const complete = (...words: string[]): string =>
    execFileSync('bash', ['-c', `${script}\n${ask}`, 'bash', 'pinfold', ...words], {
      encoding: 'utf8',
    }).trim();
  t.is(complete('prof'), 'profile');
  t.is(complete('profile', ''), 'list show diff');
  t.is(complete('bench', '--r'), '--runs');
  t.is(complete('completion', 'z'), 'zsh');
});

test('the completion script for zsh names all commands', async (t) => {
  const script = await succeeds(t, 'completion', 'zsh');
  t.true(script.startsWith('#compdef pinfold\n'));
  for (const path of paths) t.true(script.includes(`"${['pinfold', ...path].join(' ')}")`));
});

// The lint configuration as it really runs: planted violations are found, legal code passes.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { ESLint } from 'eslint';

const root = new URL('../../', import.meta.url).pathname;
const eslint = new ESLint({ cwd: root, ignore: false });

/** 'line complaint' for each report of one rule in a fixture. */
async function reports(path: string, ruleId: string): Promise<string[]> {
  const messages = (await eslint.lintFiles([path])).flatMap((result) => result.messages);
  const broken = messages.filter((message) => message.fatal === true || message.ruleId === null);
  if (broken.length > 0) throw new Error(broken.map((message) => message.message).join('\n'));
  return messages
    .filter((message) => message.ruleId === ruleId)
    .map((message) => `${message.line} ${message.messageId ?? ''}`);
}

/** The same list, read from the comments at the ends of a fixture's lines. */
async function planted(path: string): Promise<string[]> {
  const lines = (await readFile(join(root, path), 'utf8')).split('\n');
  const complaints = /\/\/ ((?:forgotten|starless|awaited|swallowed|returned|callback)(?: \w+)*)$/;
  return lines.flatMap((line, index) => {
    const words = complaints.exec(line)?.[1]?.split(' ') ?? [];
    return words.map((word) => `${index + 1} ${word}`);
  });
}

test.serial(
  'an operation that is not run, returned or handed over is an error, with the reason',
  async (t) => {
    const path = 'test/fixtures/lint/forgotten.ts';
    const expected = await planted(path);
    t.true(expected.length > 30);
    t.deepEqual(await reports(path, 'pinfold/no-forgotten-yield'), expected);
  },
);

test.serial('an operation that is run, returned or handed over is no error', async (t) => {
  t.deepEqual(await reports('test/fixtures/lint/legal.ts', 'pinfold/no-forgotten-yield'), []);
});

/** The rules that a text would break if a file consisted of it. */
async function rulesBroken(path: string, text: string): Promise<(string | null)[]> {
  const results = await eslint.lintText(text, { filePath: join(root, path) });
  return results.flatMap((result) => result.messages.map((message) => message.ruleId));
}

// One after the other: two texts for one path at one time would be taken for each other.
test.serial('the rule knows the Op of the engine', async (t) => {
  const text = [
    "import type { Op } from '../sched/op.js';",
    'declare function lockPage(): Op<void>;',
    'export function lock(): void {',
    '  lockPage();',
    '}',
  ].join('\n');
  t.deepEqual(await rulesBroken('engine/memory/layout.ts', text), ['pinfold/no-forgotten-yield']);
});

test.serial('a cast is an error, except where shared memory gets its types', async (t) => {
  const text = 'export const words = (size: number): unknown => size as unknown;\n';
  const rule = '@typescript-eslint/consistent-type-assertions';
  t.true((await rulesBroken('engine/sched/op.ts', text)).includes(rule));
  t.false((await rulesBroken('engine/memory/layout.ts', text)).includes(rule));
  t.deepEqual(await rulesBroken('engine/sched/op.ts', "export const x = ['a'] as const;\n"), []);
});

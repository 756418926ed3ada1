// The house rules that no compiler knows. Each check is also tried on text that breaks it.

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import test from 'ava';
import { z } from 'zod';
import { checkDirection, findCycles, importsOf } from './tidy/imports.js';
import { deadLinks, missingFromLock, uninstalledPackages } from './tidy/links.js';
import {
  checks,
  hasTellingName,
  hasUnreleased,
  leavesNothingOpen,
  opensWithPurpose,
  runsAllTests,
  staysShort,
} from './tidy/text.js';

const root = new URL('../../', import.meta.url).pathname;
const SKIPPED_FOLDERS = new Set(['.git', 'node_modules', 'dist', 'build', 'build-asan']);
/** These two name what they look for. */
const NAMES_THE_FORBIDDEN = new Set(['test/tidy.test.ts', 'test/tidy/text.ts']);

const files = new Map(
  filesBelow(root)
    .filter((path) => /\.(?:ts|js|cc|h|md)$/.test(path))
    .map((path) => [relative(root, path), readFileSync(path, 'utf8')]),
);
const typeScript = new Map([...files].filter(([path]) => path.endsWith('.ts')));

const manifest = z
  .object({
    dependencies: z.record(z.string(), z.string()),
    devDependencies: z.record(z.string(), z.string()),
  })
  .parse(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')));
const packages = {
  dependencies: Object.keys(manifest.dependencies),
  devDependencies: Object.keys(manifest.devDependencies),
};

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (SKIPPED_FOLDERS.has(entry.name)) return [];
    const path = join(folder, entry.name);
    return entry.isDirectory() ? filesBelow(path) : [path];
  });
}

function problems(check: (path: string, text: string) => string[]): string[] {
  return [...files].flatMap(([path, text]) =>
    check(path, text).map((problem) => `${path}: ${problem}`),
  );
}

test('files are found', (t) => {
  t.true(files.size > 10);
  t.true(files.has('test/tidy.test.ts'));
});

test('each file says what it is for, is short, and leaves nothing open', (t) => {
  for (const check of checks) {
    const exempt = check === leavesNothingOpen || check === runsAllTests;
    t.deepEqual(
      problems((path, text) => (exempt && NAMES_THE_FORBIDDEN.has(path) ? [] : check(path, text))),
      [],
    );
  }
});

test('imports follow the arrows between the rooms', (t) => {
  t.deepEqual(
    problems((path, text) => (path.endsWith('.ts') ? checkDirection(path, text, packages) : [])),
    [],
  );
});

test('no file imports itself through others', (t) => {
  t.deepEqual(
    findCycles(typeScript).map((cycle) => cycle.join(' -> ')),
    [],
  );
});

test('Markdown links lead to files', (t) => {
  const exists = (path: string): boolean =>
    statSync(join(root, path), { throwIfNoEntry: false }) !== undefined;
  t.deepEqual(
    problems((path, text) => (path.endsWith('.md') ? deadLinks(path, text, exists) : [])),
    [],
  );
});

test('CI installs each Debian package that a test requires', (t) => {
  const script = readFileSync(join(root, '.ci/run'), 'utf8');
  t.deepEqual(
    problems((path, text) =>
      NAMES_THE_FORBIDDEN.has(path) ? [] : uninstalledPackages(path, text, script),
    ),
    [],
  );
});

test('the lock file is one that npm ci accepts', (t) => {
  const entry = z.object({ optionalDependencies: z.record(z.string(), z.string()).optional() });
  const lock = z
    .object({ packages: z.record(z.string(), entry) })
    .parse(JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')));
  t.deepEqual(missingFromLock(lock), []);
});

test('planted: a file without a purpose', (t) => {
  t.is(opensWithPurpose('engine/a.ts', "import x from 'x';\n").length, 1);
  t.is(opensWithPurpose('native/src/a.cc', '// a.cc\n\nint x;\n').length, 1);
  t.deepEqual(opensWithPurpose('engine/a.ts', '// Pins pages for devices.\n\nlet x;\n'), []);
  t.deepEqual(opensWithPurpose('native/a.h', '/*\n * What the addon shares.\n */\nint x;\n'), []);
  t.deepEqual(opensWithPurpose('clients/a.ts', '#!/usr/bin/env node\n// The command.\n'), []);
});

test('planted: a name that says nothing', (t) => {
  t.is(hasTellingName('engine/utils.ts', '').length, 1);
  t.is(hasTellingName('engine/helpers/pin.ts', '').length, 1);
  t.is(hasTellingName('engine/pin-util.ts', '').length, 1);
  t.deepEqual(hasTellingName('engine/commonality.ts', ''), []);
});

test('planted: files and lines that are too long', (t) => {
  const long = '\n'.repeat(501);
  t.is(staysShort('engine/a.ts', long).length, 1);
  t.deepEqual(staysShort('engine/a.ts', '\n'.repeat(500)), []);
  t.deepEqual(staysShort('test/a.test.ts', long), []);
  t.is(staysShort('test/a.test.ts', `// ${'x'.repeat(138)}`).length, 1);
});

test('planted: loose ends and silenced tools', (t) => {
  t.is(leavesNothingOpen('engine/a.ts', '// TODO later\n// FIXME\n').length, 2);
  t.is(leavesNothingOpen('engine/a.ts', '// @ts-ignore\n').length, 1);
  t.is(leavesNothingOpen('engine/a.ts', '// @ts-expect-error\n').length, 1);
  t.is(leavesNothingOpen('engine/a.ts', '/* eslint-disable */\n').length, 1);
  t.is(leavesNothingOpen('engine/a.ts', '// eslint-disable-next-line no-x\n').length, 1);
  t.deepEqual(leavesNothingOpen('a.ts', '// eslint-disable-next-line no-x -- the ABI\n'), []);
});

test('planted: tests that do not run', (t) => {
  t.is(runsAllTests('test/a.test.ts', "test.only('x', f);\n").length, 1);
  t.is(runsAllTests('test/a.test.ts', "test.serial.skip('x', f);\n").length, 1);
  t.deepEqual(runsAllTests('test/a.test.ts', "// needs a disk\ntest.skip('x', f);\n"), []);
});

test('planted: a changelog without a place for news', (t) => {
  t.is(hasUnreleased('CHANGELOG.md', '# Changelog\n').length, 1);
});

test('planted: imports against the arrows', (t) => {
  const check = (path: string, name: string): number =>
    checkDirection(path, `import { x } from '${name}';\n`, packages).length;
  t.is(check('engine/mm/a.ts', '../../daemon/a.js'), 1);
  t.is(check('native/a.ts', '../engine/a.js'), 1);
  t.is(check('daemon/protocol/a.ts', '../a.js'), 1);
  t.is(check('clients/node/a.ts', '../../daemon/a.js'), 1);
  t.is(check('clients/stress/a.ts', '../../lab/a.js'), 1);
  t.is(check('lab/a.ts', '../test/a.js'), 1);
  t.is(check('engine/a.ts', 'zod'), 1);
  t.is(check('native/a.ts', 'pino'), 1);
  t.is(check('daemon/a.ts', 'left-pad'), 1);
  t.is(check('daemon/a.ts', 'fast-check'), 1);
  t.is(check('elsewhere/a.ts', 'node:fs'), 1);
  t.is(check('engine/mm/a.ts', '../../native/index.js'), 0);
  t.is(check('engine/mm/a.ts', 'node:worker_threads'), 0);
  t.is(check('daemon/a.ts', './protocol/a.js'), 0);
  t.is(check('clients/node/a.ts', '../../daemon/protocol/a.js'), 0);
  t.is(check('clients/cli/a.ts', '../../lab/a.js'), 0);
  t.is(check('daemon/a.ts', 'pino'), 0);
});

test('planted: every way of importing is seen', (t) => {
  const text = [
    "import type { A } from './a.js';",
    'import {',
    '  type B,',
    "} from './b.js';",
    "export * from './c.js';",
    "import './d.js';",
    "const e = await import('./e.js');",
    "new Worker(new URL('./f.js', import.meta.url));",
  ].join('\n');
  const expected = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => `engine/${name}.ts`);
  t.deepEqual(importsOf('engine/x.ts', text).sort(), expected);
});

test('planted: an import cycle', (t) => {
  const cyclic = new Map([
    ['engine/a.ts', "import './b.js';"],
    ['engine/b.ts', "import type { C } from './c.js';"],
    ['engine/c.ts', "import './a.js';"],
    ['engine/d.ts', "import './a.js';"],
  ]);
  t.deepEqual(findCycles(cyclic), [['engine/a.ts', 'engine/b.ts', 'engine/c.ts', 'engine/a.ts']]);
});

test('planted: a dead link, and a package that CI does not install', (t) => {
  const text = 'See [this](there.md#part), [that](https://example.org) and `[x](y)`.\n';
  t.is(deadLinks('docs/a.md', text, () => false).length, 1);
  t.deepEqual(
    deadLinks('docs/a.md', text, (path) => path === 'docs/there.md'),
    [],
  );
  const call = "if (!requires(t, 'nbdinfo', 'libnbd-bin')) return;";
  t.is(uninstalledPackages('test/a.test.ts', call, 'DEBIAN_PACKAGES=(g++)\n').length, 1);
  t.deepEqual(
    uninstalledPackages('test/a.test.ts', call, 'DEBIAN_PACKAGES=(\n  libnbd-bin\n)\n'),
    [],
  );
});

test('planted: a lock file without the builds for other platforms', (t) => {
  const owner = { optionalDependencies: { 'tool-linux': '1.0.0', 'tool-darwin': '1.0.0' } };
  const packages = { 'node_modules/tool': owner, 'node_modules/tool-linux': {} };
  t.is(missingFromLock({ packages }).length, 1);
});

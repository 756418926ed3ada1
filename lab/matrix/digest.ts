// The digest of all that decides what a matrix says: the code that searches run, and the rules of
// the shipped profiles. A stored matrix of another digest may be out of date.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { profileByName, profileNames } from '../../engine/profile/profiles.js';
import { ruleNames } from '../../engine/profile/rules.js';

/** Where a search begins: what it imports, and what that imports, is all of its code. */
const ENTRY = new URL('./worker.js', import.meta.url);
const DIGITS = 16;

/** Imported, but never called by a search: what lies outside of a machine's state buffer is no part of it. */
const OUTSIDE = 'native/';

/** The digest of this build. Comments do not count, and neither do words about profiles. */
export function matrixDigest(): string {
  const hash = createHash('sha256');
  for (const { path, code } of codeFrom(ENTRY)) {
    if (!path.startsWith(OUTSIDE)) hash.update(`${path}\n${code}\n`);
  }
  for (const name of profileNames()) {
    const profile = profileByName(name);
    hash.update(`${name} ${JSON.stringify(ruleNames().map((rule) => profile[rule]))}\n`);
  }
  return hash.digest('hex').slice(0, DIGITS);
}

interface Module {
  /** Below the root of the build. */
  readonly path: string;
  readonly code: string;
}

/** A module and all of ours that it imports, however far, in the order of their paths. */
export function codeFrom(entry: URL): Module[] {
  const root = new URL('../../', import.meta.url).href;
  const modules = new Map<string, Module>();
  const open = [entry];
  for (let url = open.pop(); url !== undefined; url = open.pop()) {
    if (modules.has(url.href)) continue;
    const code = withoutComments(readFileSync(url, 'utf8'));
    modules.set(url.href, { path: url.href.slice(root.length), code });
    for (const name of importsOf(code)) open.push(new URL(name, url));
  }
  return [...modules.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Relative imports of a compiled module; those of types only are gone. */
function importsOf(code: string): string[] {
  const pattern = /^(?:import|export)\b[^;]*?\bfrom '(\.[^']+)'|^import '(\.[^']+)'/gm;
  return [...code.matchAll(pattern)].map((match) => match.at(1) ?? match.at(2) ?? '');
}

/** Without lines that are comments, as they are written in this house. */
function withoutComments(code: string): string {
  return code
    .split('\n')
    .filter((line) => !/^\s*(?:\/\/|\/\*\*|\* |\*\/|\*$|$)/.test(line))
    .join('\n');
}

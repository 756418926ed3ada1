// Checks of what one file says about another: links in Markdown, the Debian packages
// of the tests, and the lock file.

import { posix } from 'node:path';

/** Links of a Markdown file, outside of code, to files that are not there. */
export function deadLinks(path: string, text: string, exists: (path: string) => boolean): string[] {
  const prose = text.replace(/^```[\s\S]*?^```/gm, '').replace(/`[^`\n]*`/g, '');
  const inline = [...prose.matchAll(/\]\(\s*<?([^)\s>]+)/g)];
  const definitions = [...prose.matchAll(/^\[[^\]]+\]:\s+(\S+)/gm)];
  return [...inline, ...definitions].flatMap((match) => {
    const target = (match.at(1) ?? '').replace(/#.*$/, '');
    if (target === '' || /^[a-z]+:/.test(target)) return [];
    const file = posix.join(posix.dirname(path), decodeURI(target));
    return exists(file) ? [] : [`links to ${target}, which does not exist`];
  });
}

/** Packages that tests require and the run in CI, which may not skip, does not install. */
export function uninstalledPackages(path: string, text: string, ciScript: string): string[] {
  if (!path.endsWith('.test.ts')) return [];
  const list = /^DEBIAN_PACKAGES=\(([^)]*)\)/m.exec(ciScript)?.[1]?.split(/\s+/) ?? [];
  return [...text.matchAll(/\brequires\(\s*t,\s*'[^']+',\s*'([^']+)'/g)].flatMap((match) => {
    const name = match.at(1) ?? '';
    return list.includes(name) ? [] : [`requires ${name}: add it to DEBIAN_PACKAGES of .ci/run`];
  });
}

export interface Lock {
  readonly packages: Readonly<
    Record<string, { readonly optionalDependencies?: Readonly<Record<string, string>> | undefined }>
  >;
}

/**
 * Builds for other platforms, named by a package and without an entry of their own: `npm install`
 * leaves them out where a registry lacks them, and `npm ci` then refuses the whole lock file.
 */
export function missingFromLock(lock: Lock): string[] {
  return Object.entries(lock.packages).flatMap(([owner, entry]) =>
    Object.keys(entry.optionalDependencies ?? {})
      .filter((name) => !Object.hasOwn(lock.packages, `node_modules/${name}`))
      .map((name) => `${owner} may depend on ${name}, which has no entry in package-lock.json`),
  );
}

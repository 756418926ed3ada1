// Checks of who imports whom: the direction between the rooms of the project, cycles, packages.

import { posix } from 'node:path';

const BELOW_CLIENTS = ['lab', 'daemon', 'daemon/protocol', 'engine', 'native'];

/** What each room may import besides itself. A room's path is the longest one here that fits. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  native: [],
  engine: ['native'],
  lab: ['engine'],
  'daemon/protocol': [],
  daemon: ['daemon/protocol', 'engine', 'native'],
  'clients/node': ['daemon/protocol', 'native'],
  'clients/stress': ['clients/node', 'engine'],
  'clients/cli': ['clients/node', 'clients/stress', 'bench', ...BELOW_CLIENTS],
  bench: ['clients/node', 'clients/stress', 'clients/cli', 'lab', 'engine', 'native'],
  test: ['clients/node', 'clients/stress', 'clients/cli', 'bench', ...BELOW_CLIENTS],
};

/** The emulated machine is built of nothing but Node and itself. */
const WITHOUT_PACKAGES: readonly string[] = ['native', 'engine'];
/** Rooms that are not shipped may also use the packages of development. */
const NOT_SHIPPED: readonly string[] = ['test', 'bench'];

export interface Packages {
  readonly dependencies: readonly string[];
  readonly devDependencies: readonly string[];
}

/** What a TypeScript file imports, also for its types, and the worker files that it starts. */
export function importsOf(path: string, text: string): string[] {
  const patterns = [
    /^\s*(?:import|export)\b[^'"`;]*?\bfrom\s+'([^']+)'/gm,
    /^\s*import\s+'([^']+)'/gm,
    /\bimport\(\s*'([^']+)'/g,
    /\bnew URL\(\s*'(\.[^']+\.js)',\s*import\.meta\.url/g,
  ];
  const names = patterns.flatMap((pattern) =>
    [...text.matchAll(pattern)].flatMap((match) => match.at(1) ?? []),
  );
  return [...new Set(names)].map((name) =>
    name.startsWith('.') ? posix.join(posix.dirname(path), name).replace(/\.js$/, '.ts') : name,
  );
}

function roomOf(path: string): string | undefined {
  return Object.keys(MAY_IMPORT)
    .filter((room) => path.startsWith(`${room}/`))
    .sort((a, b) => b.length - a.length)
    .at(0);
}

export function checkDirection(path: string, text: string, packages: Packages): string[] {
  const room = roomOf(path);
  if (room === undefined) return [`belongs to no room: ${Object.keys(MAY_IMPORT).join(', ')}`];
  const allowed = MAY_IMPORT[room] ?? [];
  return importsOf(path, text).flatMap((name) => {
    if (name.startsWith('node:')) return [];
    if (!name.endsWith('.ts')) return checkPackage(room, name, packages);
    const target = roomOf(name);
    if (target === undefined) return [`imports ${name}, which belongs to no room`];
    if (target === room || allowed.includes(target)) return [];
    return [`${room} may not import ${target} (${name})`];
  });
}

function checkPackage(room: string, name: string, packages: Packages): string[] {
  const owner = name
    .split('/')
    .slice(0, name.startsWith('@') ? 2 : 1)
    .join('/');
  if (WITHOUT_PACKAGES.includes(room)) return [`${room} may not import the package ${owner}`];
  if (packages.dependencies.includes(owner)) return [];
  // Tests may use the package by its own name, as its users do.
  if (room === 'test' && owner === 'pinfold') return [];
  if (NOT_SHIPPED.includes(room) && packages.devDependencies.includes(owner)) return [];
  return [`${owner} is not among the dependencies of package.json`];
}

/** Each import cycle as the list of its files, the first one repeated at the end. */
export function findCycles(files: ReadonlyMap<string, string>): string[][] {
  const cycles: string[][] = [];
  const done = new Set<string>();
  const path: string[] = [];

  function visit(file: string): void {
    if (path.includes(file)) {
      cycles.push([...path.slice(path.indexOf(file)), file]);
      return;
    }
    const text = files.get(file);
    if (text === undefined || done.has(file)) return;
    path.push(file);
    for (const name of importsOf(file, text)) visit(name);
    path.pop();
    done.add(file);
  }

  for (const file of files.keys()) visit(file);
  return cycles;
}

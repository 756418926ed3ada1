// pinfold volume ls: what is in a volume.

import type { Command } from 'commander';
import { z } from 'zod';
import { below, type Node, type Tree } from '../../copy/tree.js';
import { makeCommand, optionsOf } from '../../frame/command.js';
import { CliError } from '../../frame/errors.js';
import type { Interrupt } from '../../frame/interrupt.js';
import { formatTable, print, printJson } from '../../frame/output.js';
import { onVolume, withDaemonOption } from '../../volume/open-tree.js';

interface Entry extends Node {
  readonly path: string;
  /** Where a symlink points; null for all others. */
  readonly target: string | null;
}

const SHAPE = {
  socket: z.string().optional(),
  long: z.boolean().default(false),
  recursive: z.boolean().default(false),
};

export function listCommand(): Command {
  const command = withDaemonOption(
    makeCommand('ls', 'list files of a volume', [
      ['pinfold volume ls disk.img', 'names in the root directory'],
      ['pinfold volume ls disk.img /doc -lR', 'everything below /doc, with modes, sizes and times'],
      [
        'pinfold volume ls disk.img / --json',
        'entries[] with path, kind, mode, sizeBytes, modifiedMs, target',
      ],
    ]),
  )
    .argument('<image>', 'backing file of the volume')
    .argument('[path]', 'file or directory in it', '/')
    .option('-l, --long', 'with mode, size, time and where symlinks point')
    .option('-R, --recursive', 'everything below');
  return command.action(async (image: string, path: string) => {
    const { json, socket, long, recursive } = optionsOf(command, SHAPE);
    const entries = await onVolume(image, socket, (tree, interrupt) =>
      entriesOf(tree, path, recursive, interrupt),
    );
    if (json) printJson({ image, path, entries: entries.map(fieldsOf) });
    else if (long) print(formatTable(['MODE', 'SIZE', 'MODIFIED', 'PATH'], entries.map(rowOf)));
    else if (entries.length > 0) print(entries.map(nameOf).join('\n'));
  });
}

async function entriesOf(
  tree: Tree,
  path: string,
  recursive: boolean,
  interrupt: Interrupt,
): Promise<Entry[]> {
  const node = await tree.stat(path, path.endsWith('/'));
  if (node === null) throw new CliError('ENOENT', `${tree.show(path)} is missing: check the path`);
  if (node.kind !== 'directory') return [await entryOf(tree, path, node)];
  const entries: Entry[] = [];
  for (const name of (await tree.list(path)).sort()) {
    await interrupt.breathe();
    const each = below(path, name);
    const child = await tree.stat(each, false);
    if (child === null) continue; // removed meanwhile
    entries.push(await entryOf(tree, each, child));
    if (recursive && child.kind === 'directory') {
      entries.push(...(await entriesOf(tree, each, true, interrupt)));
    }
  }
  return entries;
}

async function entryOf(tree: Tree, path: string, node: Node): Promise<Entry> {
  return { ...node, path, target: node.kind === 'symlink' ? await tree.readlink(path) : null };
}

function fieldsOf({ path, kind, mode, sizeBytes, modifiedMs, target }: Entry) {
  return { path, kind, mode, sizeBytes, modifiedMs, target };
}

function nameOf({ path, kind }: Entry): string {
  return kind === 'directory' ? `${path}/` : path;
}

function rowOf(entry: Entry): string[] {
  const { kind, mode, sizeBytes, modifiedMs, target } = entry;
  const time = new Date(modifiedMs).toISOString().replace(/\.\d+Z$/, 'Z');
  const letter = kind === 'directory' ? 'd' : kind === 'symlink' ? 'l' : '-';
  const name = target === null ? nameOf(entry) : `${nameOf(entry)} -> ${target}`;
  return [`${letter}${permissions(mode)}`, String(sizeBytes), time, name];
}

/** `rwxr-x---`, as ls prints it. */
function permissions(mode: number): string {
  const letters = Array.from('rwxrwxrwx', (letter, i) => ((mode >> (8 - i)) & 1 ? letter : '-'));
  const special = [
    [0o4000, 2, 's'],
    [0o2000, 5, 's'],
    [0o1000, 8, 't'],
  ] as const;
  for (const [bit, at, letter] of special) {
    if (mode & bit) letters[at] = letters[at] === 'x' ? letter : letter.toUpperCase();
  }
  return letters.join('');
}

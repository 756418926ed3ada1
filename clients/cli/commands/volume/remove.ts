// pinfold volume rm: removes files and trees of a volume.

import type { Command } from 'commander';
import { z } from 'zod';
import { below, type Tree } from '../../copy/tree.js';
import { makeCommand, optionsOf } from '../../frame/command.js';
import { CliError } from '../../frame/errors.js';
import type { Interrupt } from '../../frame/interrupt.js';
import { print, printJson } from '../../frame/output.js';
import { onVolume, withDaemonOption } from '../../volume/open-tree.js';

const SHAPE = {
  socket: z.string().optional(),
  recursive: z.boolean().default(false),
  force: z.boolean().default(false),
};

export function removeCommand(): Command {
  const command = withDaemonOption(
    makeCommand('rm', 'remove files and trees of a volume', [
      ['pinfold volume rm disk.img /notes.txt', 'a file or a symlink'],
      ['pinfold volume rm disk.img -r /doc /old', 'two trees'],
    ]),
  )
    .argument('<image>', 'backing file of the volume')
    .argument('<path...>', 'what to remove')
    .option('-r, --recursive', 'directories too, with all that is in them')
    .option('-f, --force', 'what is missing is no error');
  return command.action(async (image: string, paths: string[]) => {
    const { json, socket, recursive, force } = optionsOf(command, SHAPE);
    const removed = await onVolume(image, socket, async (tree, interrupt) => {
      let count = 0;
      for (const path of paths) count += await remove(tree, path, { recursive, force }, interrupt);
      await tree.sync();
      return count;
    });
    if (json) printJson({ image, paths, removed });
    else print(`${removed} removed`);
  });
}

async function remove(
  tree: Tree,
  path: string,
  options: { readonly recursive: boolean; readonly force: boolean },
  interrupt: Interrupt,
): Promise<number> {
  await interrupt.breathe();
  const node = await tree.stat(path, false);
  if (node === null) {
    if (options.force) return 0;
    throw new CliError('ENOENT', `${tree.show(path)} is missing: check the path, or add --force`);
  }
  if (node.kind !== 'directory') {
    await tree.unlink(path);
    return 1;
  }
  if (!options.recursive) {
    throw new CliError('EISDIR', `${tree.show(path)} is a directory: add --recursive`);
  }
  let count = 0;
  for (const name of await tree.list(path)) {
    count += await remove(tree, below(path, name), options, interrupt);
  }
  if (path.replace(/[/.]/g, '') === '') return count; // the root itself stays
  await tree.rmdir(path);
  return count + 1;
}

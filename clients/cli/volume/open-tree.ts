// Opens the volume that a command names: a backing file, or with --socket a volume of a daemon.

import type { Command } from 'commander';
import type { Tree } from '../copy/tree.js';
import { unknownName, withClient } from '../daemon/connect.js';
import { type Interrupt, interruptible } from '../frame/interrupt.js';
import { MountedTree } from './mounted-tree.js';
import { MountedVolume } from './mounted-volume.js';
import { ServedTree } from './served-tree.js';

/** Adds the option that sends a command to a daemon. */
export function withDaemonOption(command: Command): Command {
  return command.option(
    '--socket <path>',
    'let a daemon do it: IMAGE is the name of a volume there',
  );
}

/**
 * Runs `work` with the files of a volume, which is unmounted afterwards, also after a signal.
 * @param socket of the daemon that serves the volume, if one does
 */
export async function onVolume<T>(
  image: string,
  socket: string | undefined,
  work: (tree: Tree, interrupt: Interrupt) => Promise<T>,
): Promise<T> {
  return await interruptible(async (interrupt) => {
    if (socket !== undefined) return await onServed(image, socket, work, interrupt);
    const mounted = await MountedVolume.open(image);
    let result: T;
    try {
      result = await work(new MountedTree(mounted), interrupt);
    } catch (error) {
      // What the unmount says then follows from the first error.
      await mounted.close().catch(() => undefined);
      throw error;
    }
    await mounted.close();
    return result;
  });
}

async function onServed<T>(
  name: string,
  socket: string,
  work: (tree: Tree, interrupt: Interrupt) => Promise<T>,
  interrupt: Interrupt,
): Promise<T> {
  return await withClient(socket, async (client) => {
    const { volumes } = await client.list();
    const names = volumes.map((volume) => volume.name);
    if (!names.includes(name)) throw unknownName('volume', name, names);
    return await work(new ServedTree(await client.volume(name), interrupt.signal), interrupt);
  });
}

// How much a copy is going to move, for a progress bar.

import type { Interrupt } from '../frame/interrupt.js';
import { below, type Tree } from './tree.js';

/** Bytes of all files at and below a path; what cannot be looked at counts nothing. */
export async function measureTree(tree: Tree, path: string, interrupt: Interrupt): Promise<number> {
  await interrupt.breathe();
  const node = await tree.stat(path, path.endsWith('/'));
  if (node?.kind === 'file') return node.sizeBytes;
  if (node?.kind !== 'directory') return 0;
  let total = 0;
  try {
    for (const name of await tree.list(path)) {
      total += await measureTree(tree, below(path, name), interrupt);
    }
  } catch {
    // The copy will say what is wrong with it; a signal ends it at its next breath.
  }
  return total;
}

// Remembers what a function found on a disk by what it read: two disks that agree in all blocks that it
// looks at need one run. The function must depend on nothing else.

import type { SectorImage } from './sectors.js';

/** How the function reads. */
export type ReadBlocks = (block: number, count: number, into: Int32Array) => void;

interface Node<T> {
  /** What is read next; -1: nothing, `result` is there. */
  block: number;
  count: number;
  readonly next: Map<number, Node<T>>;
  result: T | null;
}

export class ReadMemo<T> {
  private readonly root: Node<T> = newNode();
  runs = 0;

  constructor(private readonly look: (read: ReadBlocks) => T) {}

  of(image: SectorImage): T {
    let node = this.root;
    while (node.block >= 0) {
      const known = node.next.get(image.runHash(node.block, node.count));
      if (known === undefined) return this.run(image);
      node = known;
    }
    return node.result ?? this.run(image);
  }

  private run(image: SectorImage): T {
    this.runs++;
    let node = this.root;
    const result = this.look((block, count, into) => {
      image.read(block, count, into);
      node.block = block;
      node.count = count;
      const hash = image.runHash(block, count);
      const known = node.next.get(hash);
      const next = known ?? newNode<T>();
      if (known === undefined) node.next.set(hash, next);
      node = next;
    });
    node.result = result;
    return result;
  }
}

function newNode<T>(): Node<T> {
  return { block: -1, count: 0, next: new Map(), result: null };
}

// The wait-for graph of a run in which nobody can go on: who waits for what, and holds what
// meanwhile, in a sentence.
//
//   write waits for mmap_lock of mm 0 (held for writing) and holds i_rwsem; mmap waits for ...

import type { Machine } from '../engine/machine.js';
import { WordNames } from '../engine/memory/word-names.js';
import { PG } from '../engine/mm/folio.js';
import type { Actor, Blocked } from '../engine/sched/lab-driver.js';
import { LOCK_CLASSES } from '../engine/sched/lockdep.js';
import type { Program } from './program.js';

export class WaitFor {
  private readonly names: WordNames;
  private readonly words: Int32Array;

  constructor(program: Program, m: Machine, actors: readonly Actor[]) {
    const tasks = new Map(actors.map(({ name, task }) => [task.id, name]));
    const nameOfTask = (id: number): string => tasks.get(id) ?? `task ${String(id)}`;
    const { nameOfExtra } = program;
    this.names = new WordNames(
      m.geometry,
      nameOfExtra === undefined ? { nameOfTask } : { nameOfTask, nameOfExtra },
    );
    this.words = new Int32Array(m.shared.state);
  }

  /** The graph, an edge per actor that waits. */
  describe(blocked: readonly Blocked[]): string {
    return blocked.map((one) => this.edge(one)).join('; ');
  }

  private edge({ actor, address }: Blocked): string {
    const value = this.words[address];
    const meaning = this.names.value(address, value);
    const held = this.held(actor, address, value);
    const holding = held.length === 0 ? '' : ` and holds ${held.join(', ')}`;
    return `${actor.name} waits for ${this.names.name(address)} (${meaning})${holding}`;
  }

  /** Classes of the locks that the actor has. Lockdep enters the one that it waits for as well: last. */
  private held({ task }: Actor, address: number, value: number): string[] {
    const kind = this.names.word(address)?.kind;
    const isLock =
      kind === 'spinlock' ||
      kind === 'rwsem' ||
      (kind === 'flags' && (value & PG.locked) !== 0 && (value & PG.writeback) === 0);
    const depth = Math.max(0, task.heldDepth - (isLock ? 1 : 0));
    return Array.from(task.held.subarray(0, depth), (cls) => LOCK_CLASSES[cls]);
  }
}

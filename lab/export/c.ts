// A hazard as a C program for a real machine: each of its actors as a thread that makes the system
// calls which it stands for. No scheduler decides there; the program races, round after round.

import { Errno } from '../../engine/sched/errors.js';
import type { Hazard } from '../hazard.js';
import type { CProgram } from './c-program.js';
import { HARNESS, MAIN } from './harness.js';
import { PROGRAMS, UNMAPPED } from './programs.js';

/** The hazards that have a C program. */
export function exportable(): string[] {
  return Object.keys(PROGRAMS);
}

/**
 * The C source of a hazard.
 * @throws Errno EOPNOTSUPP if an actor of it is no system call; it says which, and why
 */
export function exportC(hazard: Hazard): string {
  if (!Object.hasOwn(PROGRAMS, hazard.id)) {
    const why = Object.hasOwn(UNMAPPED, hazard.id)
      ? UNMAPPED[hazard.id]
      : 'its actors are no system calls';
    throw new Errno(
      'EOPNOTSUPP',
      `${hazard.id} can't be written as C: ${why}. There are: ${exportable().join(', ')}`,
    );
  }
  const program = PROGRAMS[hazard.id];
  const functions = program.actors.map(
    (actor, i) =>
      `/* ${actor.name} */\nstatic void actor_${String(i)}(void)\n{\n${indent(actor.body)}\n}\n`,
  );
  const table = program.actors.map((actor, i) => `\t{ "${actor.name}", actor_${String(i)} },`);
  return [
    `/*\n${comment(hazard, program)}\n */`,
    HARNESS,
    `#define NEEDS ${quote(`Needs ${program.needs}\n`)}`,
    `#define ACTORS ${String(program.actors.length)}\n`,
    program.declarations ?? '',
    `static void set_up(void)\n{\n${indent(program.setUp)}\n}\n`,
    ...functions,
    `static void check(void)\n{\n${indent(program.check)}\n}\n`,
    `static const struct {\n\tconst char *name;\n\tvoid (*run)(void);\n} actors[ACTORS] = {\n${table.join('\n')}\n};`,
    MAIN,
  ].join('\n');
}

function comment(hazard: Hazard, program: CProgram): string {
  const text = [
    `${hazard.id}: ${hazard.title}.`,
    hazard.story,
    `Source: ${hazard.source}.`,
    `Needs ${program.needs}`,
    'Written by pinfold lab export. It races: that nothing was seen proves nothing. ' +
      'Exit code 0: nothing seen, 1: seen, 3: this machine cannot be asked. ' +
      'Build: cc -std=gnu11 -O2 -pthread FILE. Run it on a scratch file system: it may panic an old kernel.',
  ];
  return text
    .flatMap((paragraph) => [...wrap(paragraph.replaceAll('*/', '* /'), 76), ''])
    .slice(0, -1)
    .map((line) => ` * ${line}`.trimEnd())
    .join('\n');
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}

function indent(body: string): string {
  return body
    .trim()
    .split('\n')
    .map((line) => (line === '' ? '' : `\t${line}`))
    .join('\n');
}

/** A C string literal. */
function quote(text: string): string {
  return JSON.stringify(text);
}

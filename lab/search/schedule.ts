// A schedule as a compact string that replays a run exactly, on any machine:
//
//   pf1/H1-c/linux-6.12/a12b3c1a4
//   |   |    |          +-- at the decisions of the run, in order: actor a 12 times, b 3 times, ...
//   |   |    +------------- profile
//   |   +------------------ program
//   +---------------------- version of this format
//
// A decision is a step at which two or more actors could run. After the last one listed, whoever
// ran goes on as long as it can, then the lowest actor.

import { Errno } from '../../engine/sched/errors.js';
import { ACTORS_MAX, DECISIONS_MAX } from '../../engine/sched/lab-driver.js';

const VERSION = 'pf1';

export interface Schedule {
  readonly program: string;
  readonly profile: string;
  readonly choices: readonly number[];
}

export function formatSchedule(schedule: Schedule): string {
  const { choices } = schedule;
  let runs = '';
  for (let i = 0; i < choices.length; ) {
    let end = i + 1;
    while (end < choices.length && choices[end] === choices[i]) end++;
    runs += String.fromCharCode(97 + choices[i]) + String(end - i);
    i = end;
  }
  return `${VERSION}/${schedule.program}/${schedule.profile}/${runs}`;
}

/** @throws Errno EINVAL that says what is wrong with the string */
export function parseSchedule(text: string): Schedule {
  const parts = text.split('/');
  if (parts.length !== 4) {
    throw new Errno(
      'EINVAL',
      `schedule "${text}" is not of the form ${VERSION}/PROGRAM/PROFILE/a1b2..., as a search prints it`,
    );
  }
  const [version, program, profile, runs] = parts;
  if (version !== VERSION) {
    throw new Errno(
      'EINVAL',
      `schedule of format "${version}"; this version reads ${VERSION}: search again for a new one`,
    );
  }
  const choices: number[] = [];
  if (!/^([a-h]\d{1,5})*$/.test(runs)) {
    throw new Errno(
      'EINVAL',
      `schedule runs "${runs}": letters a to h, each with a count, are meant`,
    );
  }
  for (const [, letter, count] of runs.matchAll(/([a-h])(\d+)/g)) {
    if (choices.length + Number(count) > DECISIONS_MAX) {
      throw new Errno('EINVAL', `schedule of more than ${String(DECISIONS_MAX)} decisions`);
    }
    for (let i = 0; i < Number(count); i++) choices.push(letter.charCodeAt(0) - 97);
  }
  if (choices.some((actor) => actor >= ACTORS_MAX))
    throw new Errno('EINVAL', `actor past h in "${runs}"`);
  return { program, profile, choices };
}

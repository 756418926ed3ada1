// pinfold lab matrix: every hazard under every profile, as a table.

import { rmSync, writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { z } from 'zod';
import { hazardByName } from '../../../../lab/hazards/index.js';
import { formatMatrixHtml } from '../../../../lab/matrix/html.js';
import { formatMatrixMarkdown } from '../../../../lab/matrix/markdown.js';
import { computeMatrix, type MatrixRequest } from '../../../../lab/matrix/matrix.js';
import { formatMatrix, type Matrix } from '../../../../lab/matrix/stored.js';
import { formatMatrixText } from '../../../../lab/matrix/text.js';
import { makeCommand, optionsOf } from '../../frame/command.js';
import { interruptible } from '../../frame/interrupt.js';
import { print, printJson, tell } from '../../frame/output.js';
import { startProgress } from '../../frame/progress.js';
import {
  chooseHazards,
  chooseProfiles,
  names,
  SEARCH_SHAPE,
  withProfileFiles,
  withSearchOptions,
} from './choose.js';

const SHAPE = {
  ...SEARCH_SHAPE,
  profiles: z.array(z.string()).default([]),
  profileFile: z.array(z.string()),
  out: z.string().optional(),
  html: z.string().optional(),
  markdown: z.string().optional(),
  resume: z.string().optional(),
};

export function matrixCommand(): Command {
  const command = makeCommand('matrix', 'search every hazard under every set of rules', [
    ['pinfold lab matrix', 'all hazards, kernels and proposals'],
    ['pinfold lab matrix --hazards H1-b,H1-c --profiles linux-6.12,best-known', 'these four cells'],
    ['pinfold lab matrix --profile-file mine.yaml', 'all hazards under rules of your own'],
    [
      'pinfold lab matrix --out matrix.json --html matrix.html',
      'go on after Ctrl-C by repeating it',
    ],
    [
      'pinfold lab matrix --json',
      'hazards[], profiles[], and cells[] with hazard, profile, verdict, failures[], schedule',
    ],
  ])
    .option('--profiles <names>', 'which, with commas between them (default: all)', names)
    .option('--out <file>', 'write the matrix there, as with --json')
    .option('--html <file>', 'write it as a page')
    .option('--markdown <file>', 'write it as docs/matrix.md has it')
    .option('--resume <file>', 'keep searches there, and go on with those (default: beside --out)');
  return withSearchOptions(withProfileFiles(command)).action(async () => {
    await interruptible(({ signal }) => run(command, signal));
  });
}

async function run(command: Command, signal: AbortSignal): Promise<void> {
  const { json, jobs, budget, out, html, markdown, ...rest } = optionsOf(command, SHAPE);
  const hazards = chooseHazards(rest.hazards);
  const profiles = chooseProfiles(rest.profiles, rest.profileFile);
  const log = rest.resume ?? (out === undefined ? undefined : `${out}.searches`);
  const matrix = await watchMatrix(json, {
    hazards,
    profiles,
    jobs,
    budget,
    signal,
    ...(log === undefined ? {} : { log }),
  });
  const stories = hazards.map(hazardByName);
  if (out !== undefined) writeFileSync(out, formatMatrix(matrix));
  if (html !== undefined) writeFileSync(html, formatMatrixHtml(matrix, stories, profiles));
  if (markdown !== undefined) writeFileSync(markdown, formatMatrixMarkdown(matrix, stories));
  // What the user named is the user's.
  if (log !== undefined && rest.resume === undefined) rmSync(log);
  if (json) printJson(matrix);
  else print(formatMatrixText(matrix, widthOf(process.stdout)));
}

/** Fills a matrix with a bar on a terminal; what is done before a signal is kept, if there is a log. */
export async function watchMatrix(json: boolean, request: MatrixRequest): Promise<Matrix> {
  const progress = startProgress('matrix', json);
  const { log, signal } = request;
  try {
    return await computeMatrix({
      ...request,
      onProgress: (done, total, note) => progress.update(done, total, note),
    });
  } catch (error) {
    progress.stop();
    if (signal?.aborted === true && log !== undefined) {
      tell(`What is done is in ${log}: the same command goes on from there.`);
    }
    signal?.throwIfAborted();
    throw error;
  } finally {
    progress.stop();
  }
}

/** Columns of a terminal; a pipe has as many as it takes. */
function widthOf(stream: NodeJS.WriteStream): number {
  return stream.isTTY ? stream.columns : Number.POSITIVE_INFINITY;
}

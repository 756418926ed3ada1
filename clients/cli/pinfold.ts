#!/usr/bin/env node
// The command `pinfold`: runs what the arguments ask for, and turns every error into one line.

import type { Command } from 'commander';
import { CliError, describeError } from './frame/errors.js';
import { EXIT } from './frame/exit-codes.js';
import { printJson, tell } from './frame/output.js';

async function main(): Promise<number> {
  try {
    const program = await load(process.argv.slice(2).find((word) => !word.startsWith('-')));
    await program.parseAsync(process.argv);
    return Number(process.exitCode ?? EXIT.ok);
  } catch (error) {
    const { code, message, exit, stack } = describeError(error);
    if (exit === EXIT.ok) return exit;
    if (process.argv.includes('--json')) printJson({ error: { code, message } });
    tell(`pinfold: ${code}: ${message}`);
    if (stack !== null) tell(stack);
    return exit;
  }
}

/** The addon may be missing or of another version: its message says how to build it. */
async function load(wanted: string | undefined): Promise<Command> {
  try {
    const { buildProgram } = await import('./program.js');
    return await buildProgram(wanted);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CliError('ENOADDON', reason, EXIT.failed, { cause });
  }
}

// Threads and sockets that a failed command leaves open must not keep the process.
process.exit(await main());

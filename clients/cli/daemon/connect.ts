// Where the daemon is, and connections to it that end with the command.

import { type Command, Option } from 'commander';
import { type Client, connect } from '../../node/index.js';
import { CliError, codeOf } from '../frame/errors.js';
import { EXIT } from '../frame/exit-codes.js';

/** Where `pinfold serve` listens unless it is told. */
export function defaultSocket(): string {
  const { XDG_RUNTIME_DIR: folder = '' } = process.env;
  return folder === '' ? `/tmp/pinfold-${process.getuid?.() ?? 0}.sock` : `${folder}/pinfold.sock`;
}

/** Adds `--socket` to a command that always talks to a daemon. */
export function withSocket(command: Command): Command {
  return command.addOption(
    new Option('--socket <path>', 'socket of the daemon').default(defaultSocket()),
  );
}

/** Runs `work` with a connection, and closes it. */
export async function withClient<T>(
  socket: string,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const client = await reach(socket);
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

async function reach(socket: string): Promise<Client> {
  try {
    return await connect(socket, { reconnect: false, name: `pinfold ${process.pid}` });
  } catch (cause) {
    const code = codeOf(cause);
    if (code !== 'ECONNREFUSED' && code !== 'ENOENT') throw cause;
    const advice = `start it with 'pinfold serve --socket ${socket}', or name its --socket`;
    throw new CliError('ECONNREFUSED', `no daemon listens on ${socket}: ${advice}`, EXIT.failed, {
      cause,
    });
  }
}

/** For messages about what the daemon does not serve. */
export function unknownName(kind: string, name: string, names: readonly string[]): CliError {
  const known = names.length === 0 ? 'it serves none' : `it serves ${names.join(', ')}`;
  return new CliError('ENODEV', `the daemon has no ${kind} '${name}': ${known}`);
}

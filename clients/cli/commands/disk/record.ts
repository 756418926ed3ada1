// pinfold disk record: records what happens to a disk of a daemon, for pinfold crash explore.

import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { z } from 'zod';
import type { RecordingSummary } from '../../../../daemon/protocol/methods.js';
import type { Client, Disk } from '../../../node/index.js';
import { unknownName, withClient, withSocket } from '../../daemon/connect.js';
import { makeCommand, optionsOf } from '../../frame/command.js';
import { CliError, usageError } from '../../frame/errors.js';
import { type Interrupt, interruptible } from '../../frame/interrupt.js';
import { print, printJson, tell } from '../../frame/output.js';
import { humanSize, integer, seconds } from '../../frame/values.js';

const UNITS = ['512', '4096'] as const;
const SEED_MAX = 2 ** 31 - 1;
const SECONDS_MAX = 7 * 86_400;
const LOOK_MS = 300;

const SHAPE = {
  socket: z.string(),
  output: z.string().optional(),
  for: z.number().optional(),
  unit: z.enum(UNITS).optional(),
  garbage: z.boolean().default(false),
  seed: z.number(),
  stop: z.boolean().default(false),
};

export function recordCommand(): Command {
  const command = withSocket(
    makeCommand('record', 'record what happens to a disk, to cut its power later at any moment', [
      ['pinfold disk record disk0 --output run.rec', 'until Ctrl-C'],
      ['pinfold disk record disk0 --output run.rec --for 10', 'for ten seconds'],
      ['pinfold disk record disk0 --stop', 'ends one that was started elsewhere'],
    ]),
  )
    .argument('<disk>', 'a name from: pinfold disk list')
    .option('--output <file>', 'a new file for the recording, on the machine of the daemon')
    .option('--for <s>', 'end by itself', seconds(0.1, SECONDS_MAX))
    .addOption(
      new Option(
        '--unit <bytes>',
        'what reaches the medium together or not at all (default: as the disk has it, or 512)',
      ).choices(UNITS),
    )
    .option('--garbage', 'a trimmed unit may read as garbage after a power cut')
    .option('--seed <n>', 'what garbage is drawn from', integer(0, SEED_MAX), 1)
    .option('--stop', 'end the recording of this disk')
    .addHelpText(
      'after',
      '\nWhat the disk holds when the recording begins counts as durable. The daemon goes on recording\n' +
        'if this command is killed.',
    );
  return command.action(async (name: string) => {
    const { json, socket, output, stop, ...options } = optionsOf(command, SHAPE);
    if (stop === (output !== undefined))
      throw usageError("give either --output <file> or --stop; see 'pinfold disk record --help'");
    await interruptible(async (interrupt) => {
      await withClient(socket, async (client) => {
        const disk = await open(client, name);
        const path = output === undefined ? null : resolve(output);
        if (path !== null) {
          const unitBytes = options.unit === '512' ? 512 : options.unit === '4096' ? 4096 : null;
          const { garbage, seed } = options;
          await disk.record(path, { garbage, seed, ...(unitBytes === null ? {} : { unitBytes }) });
          const until = options.for === undefined ? 'until Ctrl-C' : `for ${options.for} s`;
          if (!json) tell(`recording disk ${name} into ${path}, ${until}`);
          report(name, path, await lasting(client, disk, path, interrupt, options.for), json);
          return;
        }
        report(name, null, await disk.stopRecording(), json);
      });
    });
  });
}

async function open(client: Client, name: string): Promise<Disk> {
  const { disks } = await client.list();
  const names = disks.map((disk) => disk.name);
  if (!names.includes(name)) throw unknownName('disk', name, names);
  return await client.disk(name);
}

/**
 * Until a signal, which is how a recording ends, or the time is over, or it has ended otherwise: it was stopped from
 * elsewhere, the power was cut, the file system is full.
 * @throws CliError if the daemon ends
 */
async function lasting(
  client: Client,
  disk: Disk,
  path: string,
  { signal }: Interrupt,
  forSeconds: number = SECONDS_MAX,
): Promise<RecordingSummary> {
  const gone = new AbortController();
  client.once('close', () => gone.abort());
  const over = AbortSignal.any([signal, gone.signal, AbortSignal.timeout(forSeconds * 1000)]);
  while (!over.aborted) {
    const status = await disk.recording();
    if (status?.path !== path)
      throw new CliError(
        'EBUSY',
        `the recording was stopped, and another one of ${disk.name} began`,
      );
    const { running, path: _, ...summary } = status;
    if (!running) return summary.failure === null ? summary : await disk.stopRecording();
    await asleep(over);
  }
  if (gone.signal.aborted)
    throw new CliError('ECONNRESET', 'the daemon has ended: the recording holds what came before');
  return await disk.stopRecording();
}

/** Until it is time to look again, or the signal aborts. */
async function asleep(signal: AbortSignal): Promise<void> {
  await new Promise<void>((done) => {
    const timer = setTimeout(end, LOOK_MS);
    function end(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      done();
    }
    signal.addEventListener('abort', end);
  });
}

function report(
  disk: string,
  output: string | null,
  summary: RecordingSummary,
  json: boolean,
): void {
  const { events, lengthBytes, failure } = summary;
  if (json) printJson({ disk, output, ...summary });
  else print(`${events} events of disk ${disk} recorded, ${humanSize(lengthBytes)}`);
  if (failure !== null)
    throw new CliError('EIO', `the recording ended before it was stopped: ${failure}`);
}

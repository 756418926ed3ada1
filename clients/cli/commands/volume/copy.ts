// pinfold volume put|get: copies files and trees between the host and a volume.

import type { Command } from 'commander';
import { z } from 'zod';
import { type CopyOptions, type CopyResult, copyTree } from '../../copy/copy-tree.js';
import { HostTree } from '../../copy/host-tree.js';
import { measureTree } from '../../copy/measure-tree.js';
import type { Tree } from '../../copy/tree.js';
import { makeCommand, optionsOf } from '../../frame/command.js';
import { EXIT } from '../../frame/exit-codes.js';
import type { Interrupt } from '../../frame/interrupt.js';
import { print, printJson, tell } from '../../frame/output.js';
import { startProgress } from '../../frame/progress.js';
import { humanSize, integer } from '../../frame/values.js';
import { onVolume, withDaemonOption } from '../../volume/open-tree.js';

const FILES_MAX = 1_000_000_000;
/** A volume keeps all permission bits. */
const ALL_BITS = 0o7777;
/** Owners are not kept, so files must not run as whoever happens to own them on the host. */
const WITHOUT_SET_ID = 0o1777;

const SHAPE = {
  socket: z.string().optional(),
  syncEvery: z.number().default(0),
  verbose: z.boolean().default(false),
};

export function putCommand(): Command {
  const command = withDaemonOption(
    makeCommand('put', 'copy files and trees into a volume, as cp -r does', [
      ['pinfold volume put disk.img /usr/share/doc /', 'makes /doc in the volume'],
      [
        'pinfold volume put disk.img /usr/share/doc/. /docs',
        'copies what is in it into /docs, if that is there',
      ],
      ['pinfold volume put disk.img notes.txt /docs/new.txt', 'one file, under a new name'],
      [
        'pinfold volume put home ./src / --socket /run/pinfold.sock',
        'into a volume that a daemon serves',
      ],
    ]),
  )
    .argument('<image>', 'backing file of the volume')
    .argument('<src>', 'file or directory of the host')
    .argument('<dest>', 'path in the volume')
    .option(
      '--sync-every <n>',
      'make the copy durable after every n files (default: once, at the end)',
      integer(1, FILES_MAX),
    )
    .option('-v, --verbose', 'say on standard error how many files are durable')
    .addHelpText(
      'after',
      `\nModes and times (to the millisecond) are kept, symlinks stay symlinks, hard links become
copies, owners are not kept. Devices, FIFOs and sockets are refused by name, and the rest is copied.`,
    );
  return command.action(async (image: string, src: string, dest: string) => {
    const { json, socket, syncEvery, verbose } = optionsOf(command, SHAPE);
    await onVolume(image, socket, async (volume, interrupt) => {
      const host = new HostTree();
      const job = { verb: 'put', from: host, src, to: volume, dest, modeMask: ALL_BITS };
      await run({ ...job, image, json, syncEvery, verbose, interrupt });
    });
  });
}

export function getCommand(): Command {
  const command = withDaemonOption(
    makeCommand('get', 'copy files and trees out of a volume, as cp -r does', [
      ['pinfold volume get disk.img /doc .', 'makes ./doc'],
      ['pinfold volume get disk.img / ./all', 'everything, into ./all'],
    ]),
  )
    .argument('<image>', 'backing file of the volume')
    .argument('<src>', 'path in the volume')
    .argument('<dest>', 'file or directory of the host')
    .addHelpText(
      'after',
      `\nModes and times are kept, but the set-user-ID and set-group-ID bits are not. A symlink that
is in the way of a file is replaced, never followed.`,
    );
  return command.action(async (image: string, src: string, dest: string) => {
    const { json, socket } = optionsOf(command, SHAPE);
    await onVolume(image, socket, async (volume, interrupt) => {
      const host = new HostTree();
      const job = { verb: 'get', from: volume, src, to: host, dest, modeMask: WITHOUT_SET_ID };
      await run({ ...job, image, json, syncEvery: 0, verbose: false, interrupt });
    });
  });
}

interface Job {
  readonly verb: string;
  readonly from: Tree;
  readonly src: string;
  readonly to: Tree;
  readonly dest: string;
  readonly modeMask: number;
  readonly image: string;
  readonly json: boolean;
  readonly syncEvery: number;
  readonly verbose: boolean;
  readonly interrupt: Interrupt;
}

async function run(job: Job): Promise<void> {
  const { from, src, to, dest, json, interrupt } = job;
  const start = performance.now();
  const progress = startProgress(job.verb, json);
  try {
    const total = progress.shown ? await measureTree(from, src, interrupt) : 0;
    const options: CopyOptions = {
      modeMask: job.modeMask,
      syncEvery: job.syncEvery,
      onSync: (files) => {
        if (job.verbose) tell(`synced ${files} files`);
      },
      onProgress: async ({ files, bytes }, path) => {
        progress.update(bytes, total, `${files} files, ${humanSize(bytes)}  ${path}`);
        await interrupt.breathe();
      },
      onRefusal: ({ code, message }) => tell(`pinfold: ${code}: ${message}`),
    };
    const result = await copyTree(from, src, to, dest, options);
    await to.sync();
    progress.stop();
    report(job, result, performance.now() - start);
  } finally {
    progress.stop();
  }
}

function report(job: Job, result: CopyResult, elapsedMs: number): void {
  const { files, directories, symlinks, bytes, refusals } = result;
  if (job.json) {
    const { image, src, dest } = job;
    const counts = { files, directories, symlinks, bytes, seconds: elapsedMs / 1000 };
    printJson({ image, src, dest, ...counts, refused: refusals.map((each) => ({ ...each })) });
  } else {
    const speed = humanSize((bytes / Math.max(elapsedMs, 1)) * 1000);
    print(
      `${files} files, ${directories} directories, ${symlinks} symlinks, ${humanSize(bytes)} in ` +
        `${(elapsedMs / 1000).toFixed(1)} s (${speed}/s)`,
    );
  }
  if (refusals.length > 0) process.exitCode = EXIT.failed;
}

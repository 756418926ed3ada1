// pinfold serve: the daemon, in the foreground.

import { type Command, Option } from 'commander';
import { z } from 'zod';
import type { Config } from '../../../daemon/config.js';
import { loadConfig, type ServeFlags } from '../../../daemon/config-sources.js';
import { formatFault } from '../../../daemon/faults/spec.js';
import { runDaemon } from '../../../daemon/run.js';
import { defaultSocket } from '../daemon/connect.js';
import { makeCommand, optionsOf } from '../frame/command.js';
import { codeOf, reasonOf, usageError } from '../frame/errors.js';
import { EXIT } from '../frame/exit-codes.js';
import { print, printJson, tell } from '../frame/output.js';

const TLS_MODES = ['required', 'allowed'] as const;
const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'silent'];

const WRONG_CONFIG: readonly (string | null)[] = ['EINVAL', 'EEXIST', 'ENODEV'];

const SHAPE = {
  config: z.string().optional(),
  socket: z.string().optional(),
  disk: z.array(z.string()).default([]),
  fault: z.array(z.string()).default([]),
  region: z.array(z.string()).default([]),
  volume: z.array(z.string()).default([]),
  export: z.array(z.string()).default([]),
  nbdSocket: z.string().optional(),
  nbdTcp: z.string().optional(),
  nbdActivated: z.boolean().optional(),
  stdio: z.boolean().optional(),
  nbdTls: z.enum(TLS_MODES).optional(),
  nbdTlsCertificates: z.string().optional(),
  nbdTlsVerifyPeer: z.boolean().optional(),
  nbdTlsPsk: z.string().optional(),
  logLevel: z.string().default('warn'),
};

export function serveCommand(): Command {
  const command = makeCommand('serve', 'serve disks, regions and volumes until SIGTERM or SIGINT', [
    ['pinfold serve --disk scratch,size=1G', 'a disk in memory, on the default socket'],
    [
      'pinfold serve --disk data,path=disk.img --region pmem,size=64M',
      'a disk in a file, and a region',
    ],
    [
      'pinfold serve --volume home,path=home.img,profile=linux-6.12',
      'a volume made by pinfold volume mkfs',
    ],
    [
      'pinfold serve --disk disk0,size=1G --nbd-socket /tmp/nbd.sock',
      'a disk for NBD clients, nbd+unix:///disk0?socket=/tmp/nbd.sock',
    ],
    [
      'pinfold serve --disk d,size=1G --nbd-socket /tmp/nbd.sock --fault d,delay,mean=2ms --fault d,error,rate=0.001',
      'the same, slow and with errors: see pinfold disk fault',
    ],
    [
      'pinfold serve --disk disk0,size=1G --nbd-tcp 0.0.0.0:10809 --nbd-tls-certificates pki',
      'the same for other machines: TLS only',
    ],
    [
      'nbdinfo -- [ pinfold serve --disk disk0,size=1G ]',
      'a daemon for one NBD client, which starts and ends it',
    ],
    [
      'pinfold serve --volume home,path=home.img --export vm,volume=home,file=/vm.raw,size=1G --nbd-socket /tmp/nbd.sock',
      'a file of a volume for NBD clients, nbd+unix:///vm?socket=/tmp/nbd.sock',
    ],
    ['pinfold serve --config pinfold.json --socket /run/pinfold.sock', 'all of it from a file'],
  ])
    .option(
      '--config <file>',
      'JSON file with sockets, disks[], regions[], volumes[], exports[] and limits',
    )
    .option('--socket <path>', `where to listen (default: ${defaultSocket()})`)
    .option(
      '--disk <spec>',
      'NAME,size=SIZE for one in memory, NAME,path=FILE[,size=SIZE]; with ,ro read-only; with ' +
        ',cache=volatile[,unit=512|4096][,atomic=SIZE][,versions=SIZE] its power can be cut; repeatable',
      collect,
    )
    .option(
      '--fault <spec>',
      'DISK,KIND[,KEY=VALUE...]: a fault layer for a disk; repeatable, in their order',
      collect,
    )
    .option('--region <spec>', 'NAME,size=SIZE; repeatable', collect)
    .option('--volume <spec>', 'NAME,path=FILE[,profile=NAME][,memory=SIZE]; repeatable', collect)
    .option(
      '--export <spec>',
      'NAME,volume=NAME,file=PATH[,size=SIZE][,ro]: a file of a volume for NBD clients; repeatable',
      collect,
    )
    .option('--nbd-socket <path>', 'serve the disks over NBD, too, on this Unix socket')
    .option('--nbd-tcp <host:port>', 'the same over TCP; other machines need TLS')
    .option(
      '--nbd-activated',
      'the same on the sockets handed in by LISTEN_FDS (default if there are any, and no other)',
    )
    .option('--stdio', 'serve one NBD client on standard input and output, and end with it')
    .addOption(
      new Option(
        '--nbd-tls <mode>',
        'NBD clients must, or may, use TLS (default: required)',
      ).choices(TLS_MODES),
    )
    .option('--nbd-tls-certificates <dir>', 'folder with server-cert.pem and server-key.pem')
    .option('--nbd-tls-verify-peer', 'clients need a certificate by ca-cert.pem of that folder')
    .option('--nbd-tls-psk <file>', 'keys shared with clients, lines USER:HEX, for certificates')
    .addOption(
      new Option('--log-level <level>', 'what goes to standard error')
        .choices(LOG_LEVELS)
        .default('warn'),
    );
  return command.action(async () => {
    const { json, ...given } = optionsOf(command, SHAPE);
    const config = configOf(given);
    if (json && config.nbd?.stdio === true) {
      throw usageError('--json would write to standard output, where --stdio speaks NBD');
    }
    const exit = await runDaemon(config, {
      onReady: ({ socketPath, nbdPort }) => {
        const devices = {
          disks: config.disks.map(({ name }) => name),
          regions: config.regions.map(({ name }) => name),
          volumes: config.volumes.map(({ name }) => name),
          exports: config.exports.map(({ name }) => name),
        };
        const nbd = nbdAddresses(config.nbd, nbdPort);
        const faults = config.disks.flatMap(({ name: disk, faults }) =>
          faults.map((fault) => ({ disk, fault: formatFault(fault) })),
        );
        if (json) {
          printJson({ socket: socketPath, pid: process.pid, ...devices, faults, nbd });
          return;
        }
        // Standard output is the client's, or that of a client which has started this process.
        const say = config.nbd?.stdio === true || config.nbd?.activated === true ? tell : print;
        const where = socketPath === null ? 'NBD clients' : `on ${socketPath}`;
        say(`serving ${where} (pid ${process.pid}): ${listed(devices)}`);
        for (const { disk, fault } of faults) say(`fault layer of ${disk}: ${fault}`);
        for (const uri of nbd) say(`NBD clients connect to ${uri}`);
      },
    });
    process.exitCode = exit === 0 ? EXIT.ok : EXIT.failed;
  });
}

/** Where NBD clients reach the first disk; TCP with the port that was got. */
function nbdAddresses(nbd: Config['nbd'], port: number | null): string[] {
  if (nbd === undefined) return [];
  const { socket, tcp, tls } = nbd;
  const host = tcp?.slice(0, tcp.lastIndexOf(':'));
  const rest = [
    ...(socket === undefined ? [] : [`+unix:///?socket=${socket}`]),
    ...(host === undefined || port === null ? [] : [`://${host}:${port}`]),
  ];
  return [
    ...(tls?.mode === 'required' ? [] : rest.map((each) => `nbd${each}`)),
    ...(tls === undefined ? [] : rest.map((each) => `nbds${each}`)),
  ];
}

function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

/** What is wrong with the configuration is wrong with the command line. */
function configOf(given: z.infer<z.ZodObject<typeof SHAPE>>) {
  const flags: ServeFlags = Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined),
  );
  try {
    return loadConfig(flags, defaultSocket());
  } catch (error) {
    if (WRONG_CONFIG.includes(codeOf(error))) throw usageError(reasonOf(error));
    throw error;
  }
}

function listed(devices: Readonly<Record<string, readonly string[]>>): string {
  const parts = Object.entries(devices).flatMap(([kind, names]) =>
    names.length === 0 ? [] : [`${kind} ${names.join(', ')}`],
  );
  return parts.length === 0 ? 'nothing yet, see --disk, --region and --volume' : parts.join('; ');
}

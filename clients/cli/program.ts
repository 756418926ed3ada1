// All commands of pinfold in one tree. Only what is asked for is loaded, so that it starts at once.

import type { Command } from 'commander';
import { makeGroup } from './frame/command.js';
import { packageVersion } from './frame/version.js';

type Load = () => Promise<Command>;

/** In the order in which the help lists them. */
const COMMANDS: Readonly<Record<string, Load>> = {
  demo: async () => (await import('./commands/demo.js')).demoCommand(),
  lab: async () => (await import('./commands/lab.js')).labCommand(),
  stress: async () => (await import('./commands/stress.js')).stressCommand(),
  bench: async () => (await import('./commands/bench.js')).benchCommand(),
  serve: async () => (await import('./commands/serve.js')).serveCommand(),
  status: async () => (await import('./commands/status.js')).statusCommand(),
  volume: async () => (await import('./commands/volume.js')).volumeCommand(),
  disk: async () => (await import('./commands/disk.js')).diskCommand(),
  crash: async () => (await import('./commands/crash.js')).crashCommand(),
  region: async () => (await import('./commands/region.js')).regionCommand(),
  profile: async () => (await import('./commands/profile.js')).profileCommand(),
  completion: async () => (await import('./commands/completion.js')).completionCommand(),
};

/** These look at all commands. */
const NEEDS_ALL = ['completion'];

/** @param wanted the command that is going to run; the help and mistakes need them all */
export async function buildProgram(wanted?: string): Promise<Command> {
  const known = wanted !== undefined && Object.hasOwn(COMMANDS, wanted);
  const alone = known && !NEEDS_ALL.includes(wanted);
  const names = alone ? [wanted] : Object.keys(COMMANDS);
  const members = await Promise.all(names.map((name) => COMMANDS[name]()));
  return makeGroup(
    'pinfold',
    'Asks what happens when a device holds a pin on a page that the file system writes, moves or frees.',
    [
      ['pinfold demo', 'see a torn write, and rules under which there is none, in 15 seconds'],
      ['pinfold volume mkfs disk.img --size 1G', 'make a volume in a file'],
      ['pinfold volume put disk.img /usr/share/doc /', 'copy a tree into it'],
      ['pinfold stress --profile linux-6.12 --seconds 10', 'race CPUs and devices on a volume'],
    ],
    members,
  ).version(packageVersion(), '-V, --version', 'print the version');
}

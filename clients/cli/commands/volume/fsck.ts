// pinfold volume fsck: checks a volume that nobody uses, and mends what needs no judgement.

import type { Command } from 'commander';
import { z } from 'zod';
import { type Disk, openDisk } from '../../../../engine/block/disk.js';
import { type FsckReport, fsck } from '../../../../engine/fs/fsck.js';
import { BLOCK_BYTES } from '../../../../engine/fs/layout.js';
import { makeCommand, optionsOf } from '../../frame/command.js';
import { CliError, codeOf, reasonOf } from '../../frame/errors.js';
import { EXIT } from '../../frame/exit-codes.js';
import { print, printJson } from '../../frame/output.js';
import { humanSize } from '../../frame/values.js';

export function fsckCommand(): Command {
  const command = makeCommand('fsck', 'check a volume, and say in words what is damaged', [
    ['pinfold volume fsck disk.img', 'exit code 0: sound, 1: damaged'],
    ['pinfold volume fsck disk.img --repair', 'mend superblock, bitmaps, link and block counts'],
    ['pinfold volume fsck disk.img --json', 'damages[] with code, message, ino, block, repaired'],
  ])
    .argument('<image>', 'backing file of the volume; nobody else may use it meanwhile')
    .option('--repair', 'mend what needs no judgement');
  return command.action((image: string) => {
    const { json, repair } = optionsOf(command, { repair: z.boolean().default(false) });
    const report = check(image, repair);
    const { damageCount, damages, recovery, inodesInUse, blocksInUse } = report;
    const left = damageCount - damages.filter((damage) => damage.repaired).length;
    if (json) {
      printJson({
        image,
        sound: damageCount === 0,
        damageCount,
        repaired: damageCount - left,
        damages: damages.map((damage) => ({ ...damage })),
        replayedTransactions: recovery?.transactions ?? 0,
        inodesInUse,
        blocksInUse,
      });
    } else {
      show(image, report, left);
    }
    if (damageCount > 0) process.exitCode = EXIT.findings;
  });
}

function check(image: string, repair: boolean): FsckReport {
  const disk: Disk = openDisk(image);
  try {
    return fsck(disk, { repair });
  } catch (cause) {
    const code = codeOf(cause);
    if (code === null) throw cause;
    throw new CliError(code, `${image}: ${reasonOf(cause)}`, undefined, { cause });
  } finally {
    disk.close();
  }
}

function show(image: string, report: FsckReport, left: number): void {
  const { damages, damageCount, recovery, inodesInUse, blocksInUse } = report;
  if (recovery !== null && recovery.transactions > 0) {
    print(`journal: ${recovery.transactions} transactions of a crash replayed`);
  }
  for (const { code, message, repaired } of damages) {
    print(`${code}: ${message}${repaired ? ' (repaired)' : ''}`);
  }
  if (damageCount > damages.length) print(`... and ${damageCount - damages.length} more`);
  const use = `${inodesInUse} inodes and ${humanSize(blocksInUse * BLOCK_BYTES)} in use`;
  if (damageCount === 0) print(`${image}: sound, ${use}`);
  else print(`${image}: ${damageCount} damages, ${left} of them left, ${use}`);
}

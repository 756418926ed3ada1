// pinfold volume mkfs: makes a volume in a file or on a block device of the host.

import { statSync } from 'node:fs';
import type { Command } from 'commander';
import { z } from 'zod';
import { type Disk, openDisk } from '../../../../engine/block/disk.js';
import { BLOCK_BYTES, BLOCKS_MIN, FEATURE, SUPER_MAGIC } from '../../../../engine/fs/layout.js';
import { mkfs } from '../../../../engine/fs/mkfs.js';
import { preadInto, truncateFile } from '../../../../native/index.js';
import { makeCommand, optionsOf } from '../../frame/command.js';
import { CliError, usageError } from '../../frame/errors.js';
import { print, printJson } from '../../frame/output.js';
import { formatSize, humanSize, integer, size } from '../../frame/values.js';

const VOLUME_BYTES_MIN = BLOCKS_MIN * BLOCK_BYTES;
const VOLUME_BYTES_MAX = 2 ** 42;
const INODES_MAX = 2 ** 31;
/** Looked at for data: a partition table, the superblocks of other file systems. */
const LOOK_BYTES = 2 ** 20;

const flag = z.boolean().default(false);
const SHAPE = {
  size: z.number().optional(),
  inodeCount: z.number().optional(),
  journal: z.boolean(),
  inlineData: flag,
  checksums: flag,
  cow: flag,
  force: flag,
  preallocate: flag,
};

export function mkfsCommand(): Command {
  const command = makeCommand('mkfs', 'make a volume in a file', [
    [
      'pinfold volume mkfs disk.img --size 1G',
      'makes the file too, with holes where nothing is written',
    ],
    [
      'pinfold volume mkfs disk.img --checksums --cow --force',
      'over all of a file, whatever it holds',
    ],
    ['pinfold volume mkfs /dev/loop0', 'on a block device, over all of it'],
  ])
    .argument('<image>', 'file or block device')
    .option(
      '--size <size>',
      'size of a new file, in whole blocks of 4K',
      size(VOLUME_BYTES_MIN, VOLUME_BYTES_MAX, BLOCK_BYTES),
    )
    .option(
      '--inode-count <n>',
      'how many files there can be (default: one for each 8 KiB)',
      integer(16, INODES_MAX),
    )
    .option('--no-journal', 'without a journal: a crash needs fsck')
    .option('--inline-data', 'small files live in their inode')
    .option('--checksums', 'a checksum for each block of data')
    .option('--cow', 'data is never written over: copy on write')
    .option('--preallocate', 'take all space from the host now')
    .option('--force', 'overwrite what the file holds');
  return command.action((image: string) => {
    const { json, ...options } = optionsOf(command, SHAPE);
    const disk = openTarget(image, options);
    try {
      const sb = mkfs(disk, {
        journal: options.journal,
        inlineData: options.inlineData,
        checksums: options.checksums,
        cow: options.cow,
        ...(options.inodeCount === undefined ? {} : { inodes: options.inodeCount }),
      });
      const sizeBytes = sb.blocks * BLOCK_BYTES;
      const features = Object.entries(FEATURE).flatMap(([name, bit]) =>
        sb.features & bit ? [name] : [],
      );
      const made = {
        image,
        sizeBytes,
        blocks: sb.blocks,
        blockBytes: BLOCK_BYTES,
        inodes: sb.inodes,
        journalBytes: sb.journalBlocks * BLOCK_BYTES,
        features,
      };
      if (json) {
        printJson(made);
      } else {
        const extras = features.length === 0 ? '' : `, with ${features.join(', ')}`;
        print(
          `${image}: a volume of ${humanSize(sizeBytes)} for up to ${sb.inodes - 2} files${extras}`,
        );
      }
    } finally {
      disk.close();
    }
  });
}

interface Target {
  readonly size?: number | undefined;
  readonly force: boolean;
  readonly preallocate: boolean;
}

function openTarget(image: string, { size: wanted, force, preallocate }: Target): Disk {
  const there = statSync(image, { throwIfNoEntry: false });
  const isNew = there === undefined || (there.isFile() && there.size === 0);
  if (isNew && wanted === undefined) {
    throw usageError(
      `${image} is ${there === undefined ? 'missing' : 'empty'}: give it a --size, such as --size 1G`,
    );
  }
  const disk = openDisk(image, { createBytes: wanted ?? 0, preallocate });
  try {
    if (isNew) return disk;
    if (!force) refuseData(image, disk);
    if (wanted === undefined || wanted === disk.sizeBytes) return disk;
    if (!there.isFile() || !force) {
      const advice = there.isFile() ? ', or add --force' : '';
      throw new CliError(
        'EEXIST',
        `${image} has ${formatSize(disk.sizeBytes)}, not ${formatSize(wanted)}: leave --size out${advice}`,
      );
    }
    truncateFile(disk.fd, 0);
    truncateFile(disk.fd, wanted);
    disk.close();
    return openDisk(image, { preallocate });
  } catch (error) {
    disk.close();
    throw error;
  }
}

/** @throws CliError EEXIST if the beginning or the end holds anything but zeroes */
function refuseData(image: string, { fd, sizeBytes }: Disk): void {
  const bytes = new Uint8Array(Math.min(LOOK_BYTES, sizeBytes));
  preadInto(fd, bytes, 0);
  if (bytes.length >= 4 && new DataView(bytes.buffer).getUint32(0, true) === SUPER_MAGIC) {
    throw new CliError(
      'EEXIST',
      `${image} holds a volume already: --force makes a new one over it`,
    );
  }
  let holdsData = bytes.some((byte) => byte !== 0);
  preadInto(fd, bytes, sizeBytes - bytes.length);
  holdsData ||= bytes.some((byte) => byte !== 0);
  if (!holdsData) return;
  throw new CliError(
    'EEXIST',
    `${image} holds data that is no volume of Pinfold: --force overwrites it`,
  );
}

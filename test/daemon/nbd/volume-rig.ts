// A daemon with a volume of the engine, files of which are exports.

import { join } from 'node:path';
import { connect } from '../../../clients/node/index.js';
import { type ConfigInput, parseConfig } from '../../../daemon/config.js';
import { startDaemon } from '../../../daemon/lifecycle.js';
import { openDisk } from '../../../engine/block/disk.js';
import { fsck } from '../../../engine/fs/fsck.js';
import { mkfs } from '../../../engine/fs/mkfs.js';
import { type Test, temporaryFolder } from '../../support/test-daemon.js';

export const MIB = 2 ** 20;

/** A configuration for a new volume `v` of 64 MiB, with a file of `size` as the export `vm`. */
export function volumeConfig(t: Test, more: Partial<ConfigInput> = {}) {
  const folder = temporaryFolder(t);
  const image = join(folder, 'volume.img');
  const disk = openDisk(image, { createBytes: 64 * MIB });
  mkfs(disk);
  disk.close();
  const [ipc, socket] = [join(folder, 'ipc'), join(folder, 'nbd')];
  const config = {
    socket: ipc,
    nbd: { socket },
    volumes: [{ name: 'v', path: image, memory: '8M' }],
    exports: [{ name: 'vm', volume: 'v', file: '/vm.raw', size: '16M' }],
    logLevel: 'silent' as const,
    ...more,
  };
  const uri = (name: string): string => `nbd+unix:///${name}?socket=${socket}`;
  return { folder, image, config, ipc, socket, uri };
}

/** In this process, with a client of the daemon, and its volume. */
export async function startVolume(t: Test, more: Partial<ConfigInput> = {}) {
  const made = volumeConfig(t, more);
  const daemon = await startDaemon(parseConfig(made.config, 'test'));
  const client = await connect(made.ipc, { reconnect: false });
  t.teardown(async () => {
    await client.close();
    await daemon.close();
  });
  return {
    ...made,
    daemon,
    client,
    volume: await client.volume('v'),
  };
}

/** What fsck finds in the image of a volume that nobody has mounted. */
export function damageOf(image: string): readonly unknown[] {
  const disk = openDisk(image);
  try {
    return fsck(disk, { repair: false }).damages;
  } finally {
    disk.close();
  }
}

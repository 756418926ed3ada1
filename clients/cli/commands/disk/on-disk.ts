// Work on a disk of a daemon, that SIGINT and SIGTERM withdraw.

import type { Client, Disk } from '../../../node/index.js';
import { unknownName, withClient } from '../../daemon/connect.js';
import { interruptible } from '../../frame/interrupt.js';

/** @throws CliError ENODEV naming the disks that there are, EINTR; what `work` throws */
export async function onDisk<T>(
  socket: string,
  name: string,
  work: (disk: Disk, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  return await interruptible(async ({ signal }) => {
    return await withClient(socket, async (client) => {
      const disk = await openDisk(client, name);
      try {
        return await work(disk, signal);
      } catch (error) {
        // What the daemon says to a withdrawn call is less than which signal it was.
        signal.throwIfAborted();
        throw error;
      }
    });
  });
}

async function openDisk(client: Client, name: string): Promise<Disk> {
  const { disks } = await client.list();
  const names = disks.map((disk) => disk.name);
  if (!names.includes(name)) throw unknownName('disk', name, names);
  return await client.disk(name);
}

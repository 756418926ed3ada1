// Starting and stopping a daemon.

import { readFileSync } from 'node:fs';
import { destination, type Logger, pino } from 'pino';
import { z } from 'zod';
import { type Config, diskCacheOf, type VolumeConfig } from './config.js';
import { FileDisk } from './file-disk.js';
import { exportGate, FileExport } from './file-export.js';
import { Server } from './ipc/server.js';
import { claimSocketPath } from './ipc/socket-path.js';
import type { MachineService } from './machine-service.js';
import { MemoryDisk } from './memory-disk.js';
import { NbdServer } from './nbd/server.js';
import { Region } from './region.js';
import { findServed } from './served.js';
import { ServedDisk } from './served-disk.js';
import { openVolumeService } from './volume-service.js';

export interface StartOptions {
  /** Default: a logger to stderr at config.logLevel. */
  readonly log?: Logger;
  /** Mounts a volume. Default: openVolumeService. */
  readonly openVolume?: (config: VolumeConfig, log: Logger) => Promise<MachineService>;
  /** Called with a defect of ours. Default: thrown, which ends the process. */
  readonly fatal?: (error: unknown) => void;
}

export interface Daemon {
  /** Null if it serves NBD clients only. */
  readonly socketPath: string | null;
  /** The port of nbd.tcp, or null. */
  readonly nbdPort: number | null;
  readonly log: Logger;
  /** Counters since the start, as `statistics` tells clients. */
  statistics(): Record<string, number>;
  /** Resolves when the one client has left that nbd.stdio serves; never without. */
  readonly left: Promise<void>;
  /** Drains requests, says goodbye to clients, syncs and unmounts. Calling it again waits for the same end. */
  close(): Promise<void>;
}

/**
 * Serves what `config` says until close().
 * @throws PinfoldError EADDRINUSE 'lock held by pid N' for the socket, EBUSY for a backing file; NativeError. Nothing is
 *   left open then.
 */
export async function startDaemon(config: Config, options: StartOptions = {}): Promise<Daemon> {
  const log = options.log ?? createLogger(config.logLevel);
  const fatal =
    options.fatal ??
    ((error: unknown): void => {
      log.fatal({ err: error }, 'defect of the daemon');
      process.nextTick(() => {
        throw error;
      });
    });
  const cleanup: (() => Promise<void> | void)[] = [];
  const closeAll = async (): Promise<void> => {
    const errors: unknown[] = [];
    for (const close of cleanup.splice(0).reverse()) {
      try {
        await close();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  };
  const { socket } = config;
  try {
    if (socket !== undefined) {
      const claim = await claimSocketPath(socket);
      cleanup.push(() => claim.release());
    }
    const served = await openServed(config, log, options, cleanup);
    const nbd = await startDisksThread(config, served, { log, fatal }, cleanup);
    await addFaults(config, served.disks);
    const allowedUids = config.allowedUids ?? [process.getuid?.() ?? 0];
    const release = packageVersion();
    const server = new Server({ limits: config.limits, allowedUids, release, served, log, fatal });
    for (const [volume, service] of served.volumes) {
      service.listen({
        finding: (finding) => server.broadcast({ event: 'finding', volume, finding }),
        panic: (message) => {
          log.error({ volume }, `panic: ${message}`);
          server.broadcast({ event: 'panic', volume, message });
        },
      });
    }
    if (socket !== undefined) {
      await server.listen(socket);
      cleanup.push(async () => await server.close());
    }
    log.info(
      { socket: socket ?? null, disks: config.disks.length, regions: config.regions.length },
      'serving',
    );
    let closing: Promise<void> | null = null;
    return {
      socketPath: socket ?? null,
      left: nbd?.left ?? new Promise(() => undefined),
      nbdPort: nbd?.port ?? null,
      log,
      statistics: () => ({
        ...server.counters,
        ...served.statistics(),
        clients: server.clientCount,
      }),
      close: async () => {
        closing ??= closeAll();
        await closing;
      },
    };
  } catch (error) {
    await closeAll().catch((cause: unknown) => log.error({ err: cause }, 'while giving up'));
    throw error;
  }
}

/** Logs to stderr, at once: what was said before a crash is there. */
export function createLogger(level: string): Logger {
  return pino({ name: 'pinfold', level }, destination({ dest: 2, sync: true }));
}

async function openServed(
  config: Config,
  log: Logger,
  options: StartOptions,
  cleanup: (() => Promise<void> | void)[],
) {
  const disks = new Map<string, ServedDisk>();
  for (const each of config.disks) {
    const { name, size, path, readOnly } = each;
    const plain =
      path === undefined
        ? new MemoryDisk(name, size ?? 0, readOnly)
        : FileDisk.open(name, path, size ?? null, readOnly);
    const disk = new ServedDisk(plain, diskCacheOf(each));
    disks.set(name, disk);
    cleanup.push(async () => await disk.close());
  }
  const regions = new Map<string, Region>();
  for (const { name, size } of config.regions) {
    const region = new Region(name, size);
    regions.set(name, region);
    cleanup.push(() => region.close());
  }
  const volumes = new Map<string, MachineService>();
  for (const volume of config.volumes) {
    const service = await (options.openVolume ?? openVolumeService)(volume, log);
    volumes.set(volume.name, service);
    cleanup.push(async () => await service.close());
  }
  const exports = await openExports(config, volumes, cleanup);
  const statistics = (): Record<string, number> => ({});
  return { disks, regions, volumes, exports, statistics };
}

async function openExports(
  config: Config,
  volumes: ReadonlyMap<string, MachineService>,
  cleanup: (() => Promise<void> | void)[],
): Promise<Map<string, FileExport>> {
  const exports = new Map<string, FileExport>();
  const gates = new Map(config.volumes.map(({ name, memory }) => [name, exportGate(memory)]));
  for (const each of config.exports) {
    const volume = findServed('volume', volumes, each.volume);
    const exported = await FileExport.open(each, volume, findServed('volume', gates, each.volume));
    exports.set(each.name, exported);
    cleanup.push(async () => await exported.close());
  }
  return exports;
}

/** The thread is there as soon as there is a disk: any may get a cache or faults. */
async function startDisksThread(
  { nbd }: Config,
  served: {
    disks: ReadonlyMap<string, ServedDisk>;
    exports: ReadonlyMap<string, FileExport>;
    statistics: () => Record<string, number>;
  },
  { log, fatal }: { readonly log: Logger; readonly fatal: (error: unknown) => void },
  cleanup: (() => Promise<void> | void)[],
): Promise<NbdServer | null> {
  const disks = [...served.disks.values()];
  if (nbd === undefined && disks.length === 0) return null;
  const server = await NbdServer.start(nbd, disks, [...served.exports.values()], fatal, log);
  cleanup.push(async () => await server.close());
  for (const disk of disks) disk.thread = server;
  served.statistics = () => server.statistics();
  return server;
}

/** @throws PinfoldError EINVAL for a fault that could never act on its disk */
async function addFaults(config: Config, disks: ReadonlyMap<string, ServedDisk>): Promise<void> {
  for (const { name, faults } of config.disks) {
    const disk = disks.get(name);
    for (const fault of faults) await disk?.faults.add(fault, null);
  }
}

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return z.object({ version: z.string() }).parse(JSON.parse(text)).version;
}

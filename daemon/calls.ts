// What each method of protocol/methods.ts does.

import type { Counters } from './counters.js';
import { parseFault } from './faults/spec.js';
import type { Handles } from './ipc/handles.js';
import { parsePayload } from './ipc/payload.js';
import {
  OpenedDisk,
  OpenedFile,
  OpenedMapping,
  OpenedPin,
  OpenedRegion,
  OpenedVolume,
} from './opened.js';
import { PinfoldError } from './protocol/errors.js';
import { SECTOR_BYTES } from './protocol/limits.js';
import { METHODS, type Method } from './protocol/methods.js';
import type { Region } from './region.js';
import { findServed, type Served } from './served.js';

/** The client that calls. */
export interface Caller {
  readonly id: number;
  readonly name: string;
  readonly handles: Handles;
}

export interface CallHost {
  readonly served: Served;
  readonly counters: Counters;
  readonly clientCount: number;
  issueToken(caller: Caller, region: Region): string;
}

type Handler = (caller: Caller, params: unknown, signal: AbortSignal) => Promise<unknown>;

/** All methods by name. */
export class Calls {
  readonly #handlers = new Map<string, Handler>();

  constructor(private readonly host: CallHost) {
    this.#registerDaemon();
    this.#registerDevices();
    this.#registerFaults();
    this.#registerRecordings();
    this.#registerVolumes();
    this.#registerNames();
    this.#registerFiles();
  }

  /** @throws PinfoldError ENOSYS, EINVAL for wrong parameters, and whatever the method throws */
  async run(
    caller: Caller,
    method: string,
    params: unknown,
    signal: AbortSignal,
  ): Promise<unknown> {
    const handler = this.#handlers.get(method);
    if (handler === undefined) {
      throw new PinfoldError('ENOSYS', `the method ${method} is unknown to this daemon`);
    }
    return await handler(caller, params, signal);
  }

  #on<Params, Result>(
    method: Method<Params, Result>,
    run: (caller: Caller, params: Params, signal: AbortSignal) => Promise<Result>,
  ): void {
    this.#handlers.set(method.name, async (caller, params, signal) => {
      return await run(caller, parsePayload(method.params, params, method.name), signal);
    });
  }

  #registerDaemon(): void {
    const { served, counters } = this.host;
    this.#on(METHODS.list, () =>
      Promise.resolve({
        disks: [...served.disks.values()].map(({ name, sizeBytes, backing, cache, faults }) => ({
          name,
          sizeBytes,
          backing,
          cache: cache === null ? null : ('volatile' as const),
          faults: [...faults.texts],
        })),
        regions: [...served.regions.values()].map(({ name, sizeBytes }) => ({ name, sizeBytes })),
        volumes: [...served.volumes].map(([name, { sizeBytes, backing, profile }]) => ({
          name,
          sizeBytes,
          backing,
          profile,
        })),
        exports: [...served.exports.values()].map(
          ({ name, sizeBytes, volumeName: volume, path: file, readOnly }) => ({
            name,
            sizeBytes,
            volume,
            file,
            readOnly,
          }),
        ),
      }),
    );
    this.#on(METHODS.statistics, () =>
      Promise.resolve({
        ...counters,
        ...served.statistics?.(),
        clients: this.host.clientCount,
      }),
    );
    this.#on(METHODS.release, async ({ handles }, { handle }) => {
      await handles.release(handle);
      return {};
    });
  }

  #registerDevices(): void {
    const { served } = this.host;
    this.#on(METHODS.diskOpen, async ({ handles }, { name }) => {
      const disk = findServed('disk', served.disks, name);
      const { handle } = await handles.open('disk', 0, () => Promise.resolve(new OpenedDisk(disk)));
      return { handle, sizeBytes: disk.sizeBytes, sectorBytes: SECTOR_BYTES };
    });
    this.#on(METHODS.diskCut, async (caller, { handle, state }) => {
      return await diskOf(caller, handle).disk.cut(state);
    });
    this.#on(METHODS.regionOpen, async (caller, { name }) => {
      const region = findServed('region', served.regions, name);
      const { handle } = await caller.handles.open('region', 0, () =>
        Promise.resolve(new OpenedRegion(region)),
      );
      const token = this.host.issueToken(caller, region);
      return { handle, sizeBytes: region.sizeBytes, token };
    });
  }

  #registerFaults(): void {
    const faultsOf = (name: string) => findServed('disk', this.host.served.disks, name).faults;
    this.#on(METHODS.diskFaultAdd, async (_, { name, fault, before }) => {
      return await faultsOf(name).add(parseFault(fault, `the fault for disk ${name}`), before);
    });
    this.#on(METHODS.diskFaultList, async (_, { name }) => ({
      layers: await faultsOf(name).list(),
    }));
    this.#on(METHODS.diskFaultClear, async (_, { name, id }) => ({
      cleared: await faultsOf(name).clear(id),
    }));
    this.#on(METHODS.diskFaultWait, async (_, { name, id, times }, signal) => ({
      fired: await faultsOf(name).wait(id, times, signal),
    }));
  }

  #registerRecordings(): void {
    const recordingOf = (name: string) =>
      findServed('disk', this.host.served.disks, name).recording;
    this.#on(METHODS.diskRecordStart, async (_, { name, ...options }) => {
      return await recordingOf(name).start(options);
    });
    this.#on(METHODS.diskRecordStop, async (_, { name }) => await recordingOf(name).stop());
    this.#on(METHODS.diskRecordStatus, async (_, { name }) => ({
      recording: await recordingOf(name).status(),
    }));
    this.#on(METHODS.diskRecordMark, async (_, { name, text }) => {
      await recordingOf(name).mark(text);
      return {};
    });
  }

  #registerVolumes(): void {
    this.#on(METHODS.volumeOpen, async (caller, { name }) => {
      const service = findServed('volume', this.host.served.volumes, name);
      const { handle } = await caller.handles.open(
        'volume',
        0,
        async () => new OpenedVolume(name, service, await service.newSession(caller.name)),
      );
      const { sizeBytes, pageBytes, profile } = service;
      return { handle, sizeBytes, pageBytes, profile };
    });
    this.#on(METHODS.volumeSync, async (caller, { handle }, signal) => {
      await volumeOf(caller, handle).session.sync(signal);
      return {};
    });
    this.#on(METHODS.volumeStatfs, async (caller, { handle }, signal) => {
      return await volumeOf(caller, handle).service.statfs(signal);
    });
    this.#on(METHODS.volumeWriteback, async (caller, { handle, action }, signal) => {
      await volumeOf(caller, handle).service.writeback(action, signal);
      return {};
    });
    this.#on(METHODS.volumeStatistics, (caller, { handle }) =>
      Promise.resolve(volumeOf(caller, handle).service.statistics()),
    );
    this.#on(METHODS.volumeFindings, (caller, { handle }) =>
      Promise.resolve(volumeOf(caller, handle).service.findings()),
    );
  }

  #registerNames(): void {
    this.#on(METHODS.volumeStat, async (caller, { handle, path }, signal) => {
      return await volumeOf(caller, handle).session.stat(path, signal);
    });
    this.#on(METHODS.volumeLstat, async (caller, { handle, path }, signal) => {
      return await volumeOf(caller, handle).session.lstat(path, signal);
    });
    this.#on(METHODS.volumeReadlink, async (caller, { handle, path }, signal) => {
      return { target: await volumeOf(caller, handle).session.readlink(path, signal) };
    });
    this.#on(METHODS.volumeSymlink, async (caller, { handle, target, path }, signal) => {
      await volumeOf(caller, handle).session.symlink(target, path, signal);
      return {};
    });
    this.#on(METHODS.volumeSetattr, async (caller, { handle, path, ...attributes }, signal) => {
      await volumeOf(caller, handle).session.setattr(path, attributes, signal);
      return {};
    });
    this.#on(METHODS.volumeReaddir, async (caller, { handle, path, cursor }, signal) => {
      return await volumeOf(caller, handle).session.readdir(path, cursor, signal);
    });
    this.#on(METHODS.volumeMkdir, async (caller, { handle, path, mode }, signal) => {
      await volumeOf(caller, handle).session.mkdir(path, mode, signal);
      return {};
    });
    this.#on(METHODS.volumeUnlink, async (caller, { handle, path }, signal) => {
      await volumeOf(caller, handle).session.unlink(path, signal);
      return {};
    });
    this.#on(METHODS.volumeRmdir, async (caller, { handle, path }, signal) => {
      await volumeOf(caller, handle).session.rmdir(path, signal);
      return {};
    });
    this.#on(METHODS.volumeRename, async (caller, { handle, from, to }, signal) => {
      await volumeOf(caller, handle).session.rename(from, to, signal);
      return {};
    });
  }

  #registerFiles(): void {
    this.#on(METHODS.fileOpen, async (caller, { handle: volume, path, ...options }, signal) => {
      const { session } = volumeOf(caller, volume);
      const { handle, opened } = await caller.handles.open('file', 0, async () => {
        const file = await session.open(path, options, signal);
        return new OpenedFile(path, volume, file, options.writable);
      });
      const { sizeBytes } = await opened.file.stat(signal);
      return { handle, sizeBytes };
    });
    this.#on(METHODS.fileStat, async (caller, { handle }, signal) => {
      return await fileOf(caller, handle).file.stat(signal);
    });
    this.#on(METHODS.fileTruncate, async (caller, { handle, sizeBytes }, signal) => {
      const opened = fileOf(caller, handle);
      opened.checkWrite();
      await opened.file.truncate(sizeBytes, signal);
      return {};
    });
    this.#on(METHODS.fileMap, async (caller, params, signal) => {
      const { offsetBytes, lengthBytes, writable } = params;
      const opened = fileOf(caller, params.handle);
      if (writable) opened.checkWrite();
      const { handle } = await caller.handles.open('mapping', 0, async () => {
        const mapping = await opened.file.map(offsetBytes, lengthBytes, writable, signal);
        return new OpenedMapping(opened.label, opened.volume, lengthBytes, mapping, writable);
      });
      return { handle };
    });
    this.#on(METHODS.mappingPin, async (caller, params, signal) => {
      const { offsetBytes, lengthBytes, write, longterm } = params;
      const mapping = mappingOf(caller, params.handle);
      mapping.checkRead(offsetBytes, lengthBytes);
      const { handle, opened } = await caller.handles.open('pin', lengthBytes, async () => {
        const options = { write, longterm };
        const pin = await mapping.mapping.pin(offsetBytes, lengthBytes, options, signal);
        return new OpenedPin(mapping.label, mapping.volume, lengthBytes, pin, write);
      });
      return { handle, pages: opened.pin.pages };
    });
    this.#on(METHODS.pinRelease, async (caller, { handle, dirty }) => {
      const opened = caller.handles.get(handle);
      if (!(opened instanceof OpenedPin)) throw wrongKind(handle, opened.label, 'pin');
      caller.handles.detach(handle);
      await opened.pin.unpin(dirty);
      return {};
    });
  }
}

function diskOf(caller: Caller, handle: number): OpenedDisk {
  const opened = caller.handles.get(handle);
  if (opened instanceof OpenedDisk) return opened;
  throw wrongKind(handle, opened.label, 'disk');
}

function volumeOf(caller: Caller, handle: number): OpenedVolume {
  const opened = caller.handles.get(handle);
  if (opened instanceof OpenedVolume) return opened;
  throw wrongKind(handle, opened.label, 'volume');
}

function fileOf(caller: Caller, handle: number): OpenedFile {
  const opened = caller.handles.get(handle);
  if (opened instanceof OpenedFile) return opened;
  throw wrongKind(handle, opened.label, 'file');
}

function mappingOf(caller: Caller, handle: number): OpenedMapping {
  const opened = caller.handles.get(handle);
  if (opened instanceof OpenedMapping) return opened;
  throw wrongKind(handle, opened.label, 'mapping');
}

function wrongKind(handle: number, label: string, expected: string): PinfoldError {
  return new PinfoldError('EBADF', `handle ${handle} is the ${label}, expected a ${expected}`);
}

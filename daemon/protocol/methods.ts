// The control messages: handshake, errors, events, and every method that a client can call, with its parameters
// and its result. Both sides check what they receive against these schemas.

import { z } from 'zod';
import { ERROR_CODES } from './errors.js';
import {
  CUT_STATE_CHARACTERS_MAX,
  ERROR_MESSAGE_CHARACTERS_MAX,
  FAULT_CHARACTERS_MAX,
  FAULT_LIST_MAX,
  FINDINGS_MAX,
  MARK_CHARACTERS_MAX,
  NAME_BYTES_MAX,
  PATH_BYTES_MAX,
  READDIR_ENTRIES_MAX,
} from './limits.js';

const handle = z.int().min(1).max(0xffffffff);
const bytes = z.int().min(0);
const count = z.int().min(0);
/** Names of devices and volumes: what can stand in a flag and in a file name. */
export const nameSchema = z
  .string()
  .max(NAME_BYTES_MAX)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, {
    error:
      'expected letters, digits, dots, dashes and underscores, beginning with a letter or digit',
  });
const path = z
  .string()
  .min(1)
  .max(PATH_BYTES_MAX)
  .refine((text) => !text.includes('\0'), { error: 'expected a path without NUL' });
const counters = z.record(z.string(), z.number());
const none = z.strictObject({});

export const helloSchema = z.object({
  versionMin: z.int().min(1).max(255),
  versionMax: z.int().min(1).max(255),
  /** Shown in the daemon's log and statistics. */
  name: z.string().min(1).max(NAME_BYTES_MAX),
});
export type Hello = z.infer<typeof helloSchema>;

export const welcomeSchema = z.object({
  version: z.int().min(1).max(255),
  /** Of the daemon's package. */
  release: z.string(),
  daemonPid: z.int(),
  features: z.array(z.string()),
  limits: z.object({
    requestsInFlight: count,
    bytesInFlight: bytes,
    dataBytes: bytes,
    discardBytes: bytes,
  }),
});
export type Welcome = z.infer<typeof welcomeSchema>;

export const attachSchema = z.object({ token: z.string().min(1).max(64) });

export const errorSchema = z.object({
  code: z.enum(ERROR_CODES),
  message: z.string().max(ERROR_MESSAGE_CHARACTERS_MAX),
});

export const findingSchema = z.object({
  kind: z.string(),
  hazard: z.string().nullable(),
  task: z.string(),
  message: z.string(),
});
export type FindingMessage = z.infer<typeof findingSchema>;

export const eventSchema = z.discriminatedUnion('event', [
  z.object({ event: z.literal('finding'), volume: z.string(), finding: findingSchema }),
  z.object({ event: z.literal('panic'), volume: z.string(), message: z.string() }),
]);
export type EventMessage = z.infer<typeof eventSchema>;

/** The payload of a CALL frame, before the parameters are checked against the method. */
export const callSchema = z.object({ method: z.string().max(64), params: z.unknown() });

export const statSchema = z.object({
  inode: z.int(),
  kind: z.enum(['file', 'directory', 'symlink']),
  mode: z.int(),
  links: count,
  sizeBytes: bytes,
  /** Milliseconds since 1970. */
  modifiedMs: z.number(),
});
export type Stat = z.infer<typeof statSchema>;

const entrySchema = z.object({
  name: z.string(),
  inode: z.int(),
  kind: z.enum(['file', 'directory', 'symlink']),
});
export type DirectoryEntry = z.infer<typeof entrySchema>;

export const cutSchema = z.object({
  /** Replays the image where the same requests were made: with its seed. */
  state: z.string(),
  /** Writes that were not durable for sure. */
  writes: count,
  /** Units that might have held more than one content, and those of them that lost their newest. */
  openUnits: count,
  lostUnits: count,
  /** How many images there might have been: exactly up to 15 digits, then as `1e57`; null: not counted. */
  images: z.string().nullable(),
  /** NBD connections that died. */
  connections: count,
});
export type Cut = z.infer<typeof cutSchema>;

export const faultLayerSchema = z.object({
  /** Within its disk; never used again. */
  id: count,
  /** `error,errno=EIO,op=write,seed=7`: with all that makes the same faults again. */
  fault: z.string(),
  /** It breaks what a disk promises, so that no client can be right. */
  outside: z.boolean(),
  /** Requests that it could have acted on, and how often it has. */
  seen: count,
  fired: count,
  /** The last firings in words, the oldest first. */
  last: z.array(z.string()),
});
export type FaultLayer = z.infer<typeof faultLayerSchema>;

/** `error,errno=EIO,op=write`, or an object with `kind` and these keys; docs/disk-faults.md has them all. */
const faultSchema = z.union([
  z.string().max(FAULT_CHARACTERS_MAX),
  z.record(
    z.string().max(NAME_BYTES_MAX),
    z.union([z.string(), z.number(), z.boolean(), z.array(z.string()).max(FAULT_LIST_MAX)]),
  ),
]);
export type Fault = z.infer<typeof faultSchema>;

export const recordingSummarySchema = z.object({
  events: count,
  lengthBytes: bytes,
  /** Why it ended before it was stopped, in words: no space, mostly. */
  failure: z.string().nullable(),
});
export type RecordingSummary = z.infer<typeof recordingSummarySchema>;

/** The recording that runs, or the last one. */
export const recordingStatusSchema = recordingSummarySchema.extend({
  path: z.string(),
  /** False once it was stopped, or has ended by itself. */
  running: z.boolean(),
});
export type RecordingStatus = z.infer<typeof recordingStatusSchema>;

/** A method by its name on the wire. */
export interface Method<Params, Result> {
  readonly name: string;
  readonly params: z.ZodType<Params>;
  readonly result: z.ZodType<Result>;
}

function method<Params, Result>(
  name: string,
  params: z.ZodType<Params>,
  result: z.ZodType<Result>,
): Method<Params, Result> {
  return { name, params, result };
}

export const METHODS = {
  /** What the daemon serves. */
  list: method(
    'list',
    none,
    z.object({
      disks: z.array(
        z.object({
          name: z.string(),
          sizeBytes: bytes,
          backing: z.string(),
          cache: z.literal('volatile').nullable(),
          /** Its fault layers, in their order. */
          faults: z.array(z.string()),
        }),
      ),
      regions: z.array(z.object({ name: z.string(), sizeBytes: bytes })),
      volumes: z.array(
        z.object({ name: z.string(), sizeBytes: bytes, backing: z.string(), profile: z.string() }),
      ),
      /** Files of volumes, for NBD clients only. */
      exports: z.array(
        z.object({
          name: z.string(),
          sizeBytes: bytes,
          volume: z.string(),
          file: z.string(),
          readOnly: z.boolean(),
        }),
      ),
    }),
  ),
  /** Counters of the daemon since it started. */
  statistics: method('statistics', none, counters),
  /** Ends the use of any handle: closes a device or file, unmaps a mapping, gives a pin back as dirty. */
  release: method('release', z.strictObject({ handle }), none),

  diskOpen: method(
    'disk.open',
    z.strictObject({ name: nameSchema }),
    z.object({ handle, sizeBytes: bytes, sectorBytes: bytes }),
  ),
  /** Cuts the power of a disk with a volatile cache; see docs/power-cuts.md. */
  diskCut: method(
    'disk.cut',
    z.strictObject({ handle, state: z.string().max(CUT_STATE_CHARACTERS_MAX) }),
    cutSchema,
  ),
  /** Asked right before the layer `before`, or last. */
  diskFaultAdd: method(
    'disk.fault.add',
    z.strictObject({ name: nameSchema, fault: faultSchema, before: count.nullable() }),
    z.object({ id: count, fault: z.string() }),
  ),
  /** In the order in which they are asked. */
  diskFaultList: method(
    'disk.fault.list',
    z.strictObject({ name: nameSchema }),
    z.object({ layers: z.array(faultLayerSchema) }),
  ),
  /** One layer, or all of them; what they hold back is answered. */
  diskFaultClear: method(
    'disk.fault.clear',
    z.strictObject({ name: nameSchema, id: count.nullable() }),
    z.object({ cleared: count }),
  ),
  /** Ends when the layer has fired so many times since it came. */
  diskFaultWait: method(
    'disk.fault.wait',
    z.strictObject({ name: nameSchema, id: count, times: count.min(1) }),
    z.object({ fired: count }),
  ),
  /** Records what happens to a disk in a new file of the daemon's machine; see docs/crash-explorer.md. */
  diskRecordStart: method(
    'disk.record.start',
    z.strictObject({
      name: nameSchema,
      path,
      /** Null: as the disk has it. */
      unitBytes: z.union([z.literal(512), z.literal(4096)]).nullable(),
      /** A trimmed unit may read as garbage after a power cut, drawn from the seed. */
      garbage: z.boolean(),
      seed: z.int().min(0).max(0xffffffff),
    }),
    z.object({ unitBytes: bytes }),
  ),
  diskRecordStop: method(
    'disk.record.stop',
    z.strictObject({ name: nameSchema }),
    recordingSummarySchema,
  ),
  /** Null: it was never recorded. */
  diskRecordStatus: method(
    'disk.record.status',
    z.strictObject({ name: nameSchema }),
    z.object({ recording: recordingStatusSchema.nullable() }),
  ),
  /** A word of the client in the recording: "transaction 7 committed". */
  diskRecordMark: method(
    'disk.record.mark',
    z.strictObject({ name: nameSchema, text: z.string().min(1).max(MARK_CHARACTERS_MAX) }),
    none,
  ),
  /** The token is for an ATTACH frame on a connection of its own, which receives the descriptor. */
  regionOpen: method(
    'region.open',
    z.strictObject({ name: nameSchema }),
    z.object({ handle, sizeBytes: bytes, token: z.string() }),
  ),

  volumeOpen: method(
    'volume.open',
    z.strictObject({ name: nameSchema }),
    z.object({ handle, sizeBytes: bytes, pageBytes: bytes, profile: z.string() }),
  ),
  volumeStat: method('volume.stat', z.strictObject({ handle, path }), statSchema),
  /** As volume.stat, but of a symbolic link itself. */
  volumeLstat: method('volume.lstat', z.strictObject({ handle, path }), statSchema),
  volumeReadlink: method(
    'volume.readlink',
    z.strictObject({ handle, path }),
    z.object({ target: z.string() }),
  ),
  volumeSymlink: method('volume.symlink', z.strictObject({ handle, target: path, path }), none),
  /** Permission bits and modification time of what a path leads to, or of the link itself. */
  volumeSetattr: method(
    'volume.setattr',
    z.strictObject({
      handle,
      path,
      follow: z.boolean(),
      mode: z.int().min(0).max(0o7777).nullable(),
      modifiedMs: z.int().nullable(),
    }),
    none,
  ),
  /** One page of a directory: go on from `cursor` until it is null. */
  volumeReaddir: method(
    'volume.readdir',
    z.strictObject({ handle, path, cursor: count }),
    z.object({
      entries: z.array(entrySchema).max(READDIR_ENTRIES_MAX),
      cursor: count.nullable(),
    }),
  ),
  volumeMkdir: method(
    'volume.mkdir',
    z.strictObject({ handle, path, mode: z.int().min(0).max(0o7777) }),
    none,
  ),
  volumeUnlink: method('volume.unlink', z.strictObject({ handle, path }), none),
  volumeRmdir: method('volume.rmdir', z.strictObject({ handle, path }), none),
  volumeRename: method('volume.rename', z.strictObject({ handle, from: path, to: path }), none),
  /** Makes everything written so far durable. */
  volumeSync: method('volume.sync', z.strictObject({ handle }), none),
  volumeStatfs: method(
    'volume.statfs',
    z.strictObject({ handle }),
    z.object({
      blockBytes: bytes,
      blocks: count,
      blocksFree: count,
      inodes: count,
      inodesFree: count,
    }),
  ),
  /** `flush` cleans dirty pages now (WB_SYNC_NONE); `pause` and `resume` stop and start the flusher. */
  volumeWriteback: method(
    'volume.writeback',
    z.strictObject({ handle, action: z.enum(['flush', 'pause', 'resume']) }),
    none,
  ),
  volumeStatistics: method('volume.statistics', z.strictObject({ handle }), counters),
  volumeFindings: method(
    'volume.findings',
    z.strictObject({ handle }),
    z.object({ count, kept: z.array(findingSchema).max(FINDINGS_MAX) }),
  ),

  fileOpen: method(
    'file.open',
    z.strictObject({
      handle,
      path,
      create: z.boolean(),
      exclusive: z.boolean(),
      truncate: z.boolean(),
      writable: z.boolean(),
      direct: z.boolean(),
      mode: z.int().min(0).max(0o7777),
    }),
    z.object({ handle, sizeBytes: bytes }),
  ),
  fileStat: method('file.stat', z.strictObject({ handle }), statSchema),
  fileTruncate: method('file.truncate', z.strictObject({ handle, sizeBytes: bytes }), none),
  /** `offsetBytes` and `lengthBytes` are multiples of the page size. */
  fileMap: method(
    'file.map',
    z.strictObject({
      handle,
      offsetBytes: bytes,
      lengthBytes: bytes.min(1),
      writable: z.boolean(),
    }),
    z.object({ handle }),
  ),

  mappingPin: method(
    'mapping.pin',
    z.strictObject({
      handle,
      offsetBytes: bytes,
      lengthBytes: bytes.min(1),
      /** FOLL_WRITE: the device is going to store into the pages. */
      write: z.boolean(),
      /** FOLL_LONGTERM: held for as long as the client likes. */
      longterm: z.boolean(),
    }),
    z.object({ handle, pages: count }),
  ),
  /** `dirty`: the device wrote, so the pages are marked dirty (unpin_user_pages_dirty_lock). */
  pinRelease: method('pin.release', z.strictObject({ handle, dirty: z.boolean() }), none),
} as const;

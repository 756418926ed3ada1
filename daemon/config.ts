// The daemon's configuration: its schema, with errors that name the key, the value and what is allowed.

import { z } from 'zod';
import type { FaultSpec } from '../engine/block/faults/index.js';
import type { DiskCache } from './disk.js';
import { parseFault } from './faults/spec.js';
import { describeIssues } from './issues.js';
import { parseTcpAddress } from './nbd/address.js';
import { FAULT_LAYERS_MAX } from './nbd/limits.js';
import { PinfoldError } from './protocol/errors.js';
import { DEFAULT_LIMITS, NAME_BYTES_MAX, PAGE_BYTES } from './protocol/limits.js';
import { nameSchema } from './protocol/methods.js';
import { formatSize, parseSize } from './size.js';

const SIZE_BYTES_MAX = 2 ** 40;
/** Of a disk with a volatile cache: what changes as a whole, and how much it holds, unless said otherwise. */
const UNIT_BYTES = 512;
const VERSION_BYTES = 64 * 2 ** 20;
const ATOMIC_BYTES_MAX = 32 * 2 ** 20;
const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'silent'] as const;

function integer(min: number, max: number) {
  const error = `expected a whole number from ${min} to ${max}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
}

/** A size in bytes, as a number or as text with a unit. */
function size(min: number, max: number, unit: number) {
  const error =
    `expected a size from ${formatSize(min)} to ${formatSize(max)}` +
    (unit === 1 ? '' : ` that is a multiple of ${formatSize(unit)}`);
  return z
    .union([z.number(), z.string()], { error })
    .transform((value) => (typeof value === 'number' ? value : parseSize(value)))
    .pipe(
      z
        .number({ error })
        .refine((n) => Number.isSafeInteger(n) && n >= min && n <= max && n % unit === 0, {
          error,
        }),
    );
}

const deviceSize = size(PAGE_BYTES, SIZE_BYTES_MAX, PAGE_BYTES);
const path = z.string({ error: 'expected a path' }).min(1, { error: 'expected a path' });
const name = nameSchema.min(1, { error: `expected a name of 1 to ${NAME_BYTES_MAX} characters` });

const flag = z.boolean({ error: 'expected true or false' });

const faultSchema = z.unknown().transform((fault, context): FaultSpec => {
  try {
    return parseFault(fault, 'it');
  } catch (error) {
    if (!(error instanceof PinfoldError)) throw error;
    context.addIssue({ code: 'custom', message: error.message.slice('EINVAL: it: '.length) });
    return z.NEVER;
  }
});

export const diskSchema = z
  .strictObject({
    name,
    size: deviceSize.optional(),
    path: path.optional(),
    readOnly: flag.optional(),
    /** Writes are durable after FLUSH or FUA only, and the power can be cut: docs/power-cuts.md. */
    cache: z.literal('volatile', { error: "expected 'volatile', or nothing" }).optional(),
    unit: size(512, PAGE_BYTES, 512)
      .refine((bytes) => bytes === 512 || bytes === PAGE_BYTES, { error: 'expected 512 or 4096' })
      .optional(),
    atomic: size(512, ATOMIC_BYTES_MAX, 512).optional(),
    versions: size(2 ** 20, 2 ** 34, PAGE_BYTES).optional(),
    /** Its fault layers, in the order in which they are asked. */
    faults: z
      .array(faultSchema, { error: 'expected a list of faults' })
      .max(FAULT_LAYERS_MAX)
      .default([]),
  })
  .refine(
    ({ cache, unit, atomic, versions }) =>
      cache !== undefined || (unit ?? atomic ?? versions) === undefined,
    {
      path: ['cache'],
      error: "expected 'volatile' where unit, atomic or versions is given",
    },
  )
  .refine(({ cache, readOnly }) => cache === undefined || readOnly !== true, {
    path: ['cache'],
    error: 'expected for disks that can be written only',
  })
  .refine(({ unit, atomic }) => (atomic ?? 0) % (unit ?? UNIT_BYTES) === 0, {
    path: ['atomic'],
    error: 'expected a multiple of unit',
  })
  .refine((disk) => disk.size !== undefined || disk.path !== undefined, {
    path: ['size'],
    error: 'expected for a disk in memory (one with a path takes the size of its file)',
  });
export const regionSchema = z.strictObject({ name, size: deviceSize });
export const volumeSchema = z.strictObject({
  name,
  path,
  /** Rules in force: a profile of engine/profile. */
  profile: z.string().min(1).default('best-known'),
  /** Page frames of its machine. */
  memory: size(2 ** 20, 2 ** 36, PAGE_BYTES).default(64 * 2 ** 20),
  /** Watch the order of its locks: findings, at some cost. */
  lockdep: z.boolean({ error: 'expected true or false' }).default(false),
});

/** A file of a volume that NBD clients can use as a disk. */
export const exportSchema = z.strictObject({
  name,
  /** Name of a volume of this configuration. */
  volume: name,
  /** Path in the volume. */
  file: path,
  /** The file is made with that size if it is missing or empty. */
  size: size(1, SIZE_BYTES_MAX, 1).optional(),
  readOnly: flag.optional(),
});

const limitsSchema = z
  .strictObject({
    clients: integer(1, 4096).default(DEFAULT_LIMITS.clients),
    requestsInFlight: integer(1, 65536).default(DEFAULT_LIMITS.requestsInFlight),
    bytesInFlight: size(2 ** 20, 2 ** 32, 1).default(DEFAULT_LIMITS.bytesInFlight),
    devices: integer(1, 65536).default(DEFAULT_LIMITS.devices),
    files: integer(1, 65536).default(DEFAULT_LIMITS.files),
    mappings: integer(1, 65536).default(DEFAULT_LIMITS.mappings),
    pins: integer(1, 1048576).default(DEFAULT_LIMITS.pins),
    pinnedBytes: size(PAGE_BYTES, 2 ** 40, 1).default(DEFAULT_LIMITS.pinnedBytes),
  })
  .prefault({});

const tlsSchema = z
  .strictObject({
    /** Whether NBD clients must, or may, use TLS. */
    mode: z
      .enum(['required', 'allowed'], { error: 'expected required or allowed' })
      .default('required'),
    /** A folder with server-cert.pem and server-key.pem, and ca-cert.pem for verifyPeer. */
    certificates: path.optional(),
    /** Clients need a certificate, too. */
    verifyPeer: flag.default(false),
    /** A file with lines USER:HEX, instead of certificates. */
    pskFile: path.optional(),
  })
  .refine((tls) => (tls.certificates === undefined) !== (tls.pskFile === undefined), {
    error: 'expected either certificates (a folder) or pskFile (a file)',
  })
  .refine((tls) => !tls.verifyPeer || tls.certificates !== undefined, {
    path: ['verifyPeer'],
    error: 'expected only with certificates: a pre-shared key proves who the client is already',
  });

const nbdSchema = z
  .strictObject({
    socket: path.optional(),
    /** HOST:PORT, of this machine unless TLS is required. */
    tcp: z.string().optional(),
    /** Take over the sockets that LISTEN_FDS names. */
    activated: flag.default(false),
    /** Serve one client on standard input and output, and end with it. */
    stdio: flag.default(false),
    tls: tlsSchema.optional(),
  })
  .refine(
    ({ stdio, socket, tcp, activated }) =>
      !stdio || (socket === undefined && tcp === undefined && !activated),
    { path: ['stdio'], error: 'expected without socket, tcp and activated: it serves one client' },
  );

export const configSchema = z.strictObject({
  /** Where the daemon's own clients connect; none with standard input or inherited sockets for NBD, unless given. */
  socket: path.optional(),
  allowedUids: z.array(integer(0, 4294967294)).min(1).optional(),
  /** Where disks and exports are served over NBD; the first disk, or else the first export, is the default one. */
  nbd: nbdSchema.optional(),
  disks: z.array(diskSchema).default([]),
  regions: z.array(regionSchema).default([]),
  volumes: z.array(volumeSchema).default([]),
  exports: z.array(exportSchema).default([]),
  /** All memory disks, caches, regions and page frames together. */
  memoryBytesMax: size(2 ** 20, 2 ** 44, 1).default(64 * 2 ** 30),
  limits: limitsSchema,
  logLevel: z
    .enum(LOG_LEVELS, { error: `expected one of ${LOG_LEVELS.join(', ')}` })
    .default('info'),
});

/** What a file or flags say. */
export type ConfigInput = z.input<typeof configSchema>;
/** Complete and checked. */
export type Config = z.output<typeof configSchema>;
export type DiskConfig = z.output<typeof diskSchema>;
export type VolumeConfig = z.output<typeof volumeSchema>;
export type ExportConfig = z.output<typeof exportSchema>;

/** The cache of a disk, with what was left out filled in; null if it has none. */
export function diskCacheOf({ cache, unit, atomic, versions }: DiskConfig): DiskCache | null {
  if (cache === undefined) return null;
  return {
    unitBytes: unit ?? UNIT_BYTES,
    atomicBytes: atomic ?? 0,
    versionBytes: versions ?? VERSION_BYTES,
  };
}

/**
 * @param origin where the input came from, for messages: a file's path, `command line`
 * @throws PinfoldError EINVAL naming each wrong key, its value and what is allowed; ENOMEM if the devices need more
 *   memory than memoryBytesMax; EEXIST for a name that is used twice; ENODEV for an export of an unknown volume
 */
export function parseConfig(input: unknown, origin: string): Config {
  const parsed = configSchema.safeParse(input);
  if (!parsed.success) {
    throw new PinfoldError(
      'EINVAL',
      `${origin}: ${describeIssues(parsed.error.issues, input, 'the configuration')}`,
    );
  }
  const config = parsed.data;
  if (config.socket === undefined && config.nbd?.stdio !== true && config.nbd?.activated !== true) {
    throw new PinfoldError('EINVAL', `${origin}: socket is missing: expected a path`);
  }
  if (config.nbd?.tcp !== undefined) {
    parseTcpAddress(config.nbd.tcp, config.nbd.tls?.mode === 'required');
  }
  checkNames(config, origin);
  checkExports(config, origin);
  checkMemory(config, origin);
  return config;
}

function checkNames(config: Config, origin: string): void {
  for (const kind of ['disks', 'regions', 'volumes', 'exports'] as const) {
    const names = config[kind].map((device) => device.name);
    const twice = names.find((each, i) => names.indexOf(each) !== i);
    if (twice === undefined) continue;
    throw new PinfoldError('EEXIST', `${origin}: ${kind} has the name ${twice} twice`);
  }
}

function checkExports({ exports, disks, volumes, nbd }: Config, origin: string): void {
  if (exports.length > 0 && nbd === undefined) {
    throw new PinfoldError(
      'EINVAL',
      `${origin}: exports are there for NBD clients, and nbd says nowhere to listen: give nbd.socket (--nbd-socket)`,
    );
  }
  for (const { name, volume } of exports) {
    if (disks.some((disk) => disk.name === name)) {
      throw new PinfoldError('EEXIST', `${origin}: a disk and an export are both named ${name}`);
    }
    if (volumes.some((each) => each.name === volume)) continue;
    throw new PinfoldError(
      'ENODEV',
      `${origin}: the export ${name} is of volume ${volume}, and no volume is named so`,
    );
  }
}

function checkMemory(config: Config, origin: string): void {
  const sizes = [
    ...config.disks.filter((disk) => disk.path === undefined).map((disk) => disk.size ?? 0),
    ...config.disks.map((disk) => diskCacheOf(disk)?.versionBytes ?? 0),
    ...config.regions.map((region) => region.size),
    ...config.volumes.map((volume) => volume.memory),
  ];
  const total = sizes.reduce((sum, bytes) => sum + bytes, 0);
  if (total <= config.memoryBytesMax) return;
  throw new PinfoldError(
    'ENOMEM',
    `${origin}: memory disks, caches, regions and page frames need ${formatSize(total)} together, ` +
      `memoryBytesMax is ${formatSize(config.memoryBytesMax)}: lower their sizes or raise it`,
  );
}

// Where the configuration comes from: a JSON file, and flags that add to it or override it.

import { readFileSync } from 'node:fs';
import { type Config, type ConfigInput, configSchema, parseConfig } from './config.js';
import { describeIssues } from './issues.js';
import { socketsAreInherited } from './nbd/address.js';
import { PinfoldError } from './protocol/errors.js';

/** The flags of `pinfold serve`; each device flag as it was given: `NAME,size=1G,path=FILE`. */
export interface ServeFlags {
  readonly config?: string;
  readonly socket?: string;
  readonly disk?: readonly string[];
  /** `NAME,kind,key=value,...`. */
  readonly fault?: readonly string[];
  readonly region?: readonly string[];
  readonly volume?: readonly string[];
  readonly export?: readonly string[];
  readonly nbdSocket?: string;
  readonly nbdTcp?: string;
  readonly nbdActivated?: boolean;
  readonly stdio?: boolean;
  readonly nbdTls?: 'required' | 'allowed';
  readonly nbdTlsCertificates?: string;
  readonly nbdTlsVerifyPeer?: boolean;
  readonly nbdTlsPsk?: string;
  readonly logLevel?: string;
}

type DeviceFlag = Readonly<Record<string, string | boolean>>;

/** What can be read-only, with `,ro`. */
const READ_ONLY_KINDS: readonly string[] = ['disk', 'export'];

const DEVICE_OPTIONS = {
  disk: ['size', 'path', 'cache', 'unit', 'atomic', 'versions'],
  region: ['size'],
  volume: ['path', 'profile', 'memory'],
  export: ['volume', 'file', 'size'],
} as const;

/**
 * @param defaultSocket where the daemon listens if nothing else is said; not used where it belongs to one client or to
 *   who started it (standard input, inherited sockets): several such daemons may run at one time
 * @throws PinfoldError EINVAL, ENOENT, ENOMEM, EEXIST; see parseConfig
 */
export function loadConfig(flags: ServeFlags, defaultSocket: string): Config {
  const file = flags.config === undefined ? {} : readConfigFile(flags.config);
  const { nbd } = nbdOf(file, flags);
  const shared = nbd?.stdio !== true && nbd?.activated !== true;
  const merged = {
    ...(shared ? { socket: defaultSocket } : {}),
    ...file,
    ...(flags.socket === undefined ? {} : { socket: flags.socket }),
    ...(flags.logLevel === undefined ? {} : { logLevel: flags.logLevel }),
    ...(nbd === undefined ? {} : { nbd }),
    disks: withFaults(
      [...(file.disks ?? []), ...parseDeviceFlags('disk', flags.disk)],
      flags.fault,
    ),
    regions: [...(file.regions ?? []), ...parseDeviceFlags('region', flags.region)],
    volumes: [...(file.volumes ?? []), ...parseDeviceFlags('volume', flags.volume)],
    exports: [...(file.exports ?? []), ...parseDeviceFlags('export', flags.export)],
  };
  return parseConfig(merged, 'configuration');
}

/** Adds each `NAME,kind,...` to the disk of that name. */
function withFaults(
  disks: readonly Readonly<Record<string, unknown>>[],
  flags: readonly string[] = [],
): Readonly<Record<string, unknown>>[] {
  const split = flags.map((flag) => {
    const [name = '', ...fault] = flag.split(',');
    if (disks.some((disk) => disk['name'] === name)) return { name, fault: fault.join(',') };
    throw new PinfoldError('EINVAL', `--fault ${flag}: no disk is named ${name}`);
  });
  return disks.map((disk) => {
    const more = split.filter(({ name }) => name === disk['name']).map(({ fault }) => fault);
    const before: unknown = disk['faults'] ?? [];
    return more.length === 0 ? disk : { ...disk, faults: [before, more].flat() };
  });
}

function nbdOf({ nbd }: Partial<ConfigInput>, flags: ServeFlags): Pick<ConfigInput, 'nbd'> {
  const { nbdSocket, nbdTcp, nbdActivated, stdio } = flags;
  const given = {
    ...nbd,
    ...(nbdSocket === undefined ? {} : { socket: nbdSocket }),
    ...(nbdTcp === undefined ? {} : { tcp: nbdTcp }),
    ...(nbdActivated === true ? { activated: true } : {}),
    ...(stdio === true ? { stdio: true } : {}),
  };
  const nowhere = given.socket === undefined && given.tcp === undefined && given.stdio !== true;
  if (nowhere && socketsAreInherited(process.env)) given.activated = true;
  const tls = tlsOf(nbd?.tls, flags);
  if (tls !== undefined) given.tls = tls;
  return Object.keys(given).length === 0 ? {} : { nbd: given };
}

type TlsInput = NonNullable<ConfigInput['nbd']>['tls'];

function tlsOf(file: TlsInput, flags: ServeFlags): TlsInput {
  const { nbdTls, nbdTlsCertificates, nbdTlsVerifyPeer, nbdTlsPsk } = flags;
  const given = {
    ...file,
    ...(nbdTls === undefined ? {} : { mode: nbdTls }),
    ...(nbdTlsCertificates === undefined ? {} : { certificates: nbdTlsCertificates }),
    ...(nbdTlsVerifyPeer === true ? { verifyPeer: true } : {}),
    ...(nbdTlsPsk === undefined ? {} : { pskFile: nbdTlsPsk }),
  };
  return Object.keys(given).length === 0 ? undefined : given;
}

/** @throws PinfoldError ENOENT, EINVAL that names the file and the key */
export function readConfigFile(path: string): Partial<ConfigInput> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new PinfoldError('ENOENT', `the configuration file ${path} cannot be read`, { cause });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : String(cause);
    throw new PinfoldError('EINVAL', `the configuration file ${path} is no JSON: ${detail}`, {
      cause,
    });
  }
  // Checked here so that errors name the file; kept as it is, since flags are merged before defaults are filled in.
  const parsed = configSchema.partial().safeParse(value);
  if (!parsed.success) {
    throw new PinfoldError(
      'EINVAL',
      `${path}: ${describeIssues(parsed.error.issues, value, 'the configuration')}`,
    );
  }
  return isInput(value) ? value : {};
}

/** Its parse succeeded. */
function isInput(value: unknown): value is Partial<ConfigInput> {
  return configSchema.partial().safeParse(value).success;
}

/** `--disk scratch,size=1G,path=FILE,ro` as { name, size, path, readOnly }. */
function parseDeviceFlags(
  kind: keyof typeof DEVICE_OPTIONS,
  flags: readonly string[] = [],
): DeviceFlag[] {
  const canBeReadOnly = READ_ONLY_KINDS.includes(kind);
  return flags.map((flag) => {
    const [name = '', ...options] = flag.split(',');
    const device: Record<string, string | boolean> = { name };
    for (const option of options) {
      if (option === 'ro' && canBeReadOnly) {
        device['readOnly'] = true;
        continue;
      }
      const equals = option.indexOf('=');
      const key = equals < 0 ? option : option.slice(0, equals);
      const known: readonly string[] = DEVICE_OPTIONS[kind];
      if (equals < 0 || !known.includes(key)) {
        const expected = [...known.map((each) => `${each}=...`), ...(canBeReadOnly ? ['ro'] : [])];
        throw new PinfoldError(
          'EINVAL',
          `--${kind} ${flag}: ${option} is no option, expected ${expected.join(', ')}`,
        );
      }
      device[key] = option.slice(equals + 1);
    }
    return device;
  });
}

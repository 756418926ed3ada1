// Where the configuration comes from: a JSON file, and flags that add to it or override it.

import { readFileSync } from 'node:fs';
import { type Config, type ConfigInput, configSchema, parseConfig } from './config.js';
import { describeIssues } from './issues.js';
import { PinfoldError } from './protocol/errors.js';

/** The flags of `pinfold serve`; each device flag as it was given: `NAME,size=1G,path=FILE`. */
export interface ServeFlags {
  readonly config?: string;
  readonly socket?: string;
  readonly disk?: readonly string[];
  readonly region?: readonly string[];
  readonly volume?: readonly string[];
  readonly export?: readonly string[];
  readonly nbdSocket?: string;
  readonly nbdTcp?: string;
  readonly nbdActivated?: boolean;
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

/** @throws PinfoldError EINVAL, ENOENT, ENOMEM, EEXIST; see parseConfig */
export function loadConfig(flags: ServeFlags, defaultSocket: string): Config {
  const file = flags.config === undefined ? {} : readConfigFile(flags.config);
  const merged = {
    socket: defaultSocket,
    ...file,
    ...(flags.socket === undefined ? {} : { socket: flags.socket }),
    ...(flags.logLevel === undefined ? {} : { logLevel: flags.logLevel }),
    ...nbdOf(file, flags),
    disks: [...(file.disks ?? []), ...parseDeviceFlags('disk', flags.disk)],
    regions: [...(file.regions ?? []), ...parseDeviceFlags('region', flags.region)],
    volumes: [...(file.volumes ?? []), ...parseDeviceFlags('volume', flags.volume)],
    exports: [...(file.exports ?? []), ...parseDeviceFlags('export', flags.export)],
  };
  return parseConfig(merged, 'configuration');
}

function nbdOf({ nbd }: Partial<ConfigInput>, flags: ServeFlags): Pick<ConfigInput, 'nbd'> {
  const { nbdSocket, nbdTcp, nbdActivated } = flags;
  const given = {
    ...nbd,
    ...(nbdSocket === undefined ? {} : { socket: nbdSocket }),
    ...(nbdTcp === undefined ? {} : { tcp: nbdTcp }),
    ...(nbdActivated === true ? { activated: true } : {}),
  };
  return Object.keys(given).length === 0 ? {} : { nbd: given };
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
  return flags.map((flag) => {
    const [name = '', ...options] = flag.split(',');
    const device: Record<string, string | boolean> = { name };
    for (const option of options) {
      if (option === 'ro' && READ_ONLY_KINDS.includes(kind)) {
        device['readOnly'] = true;
        continue;
      }
      const equals = option.indexOf('=');
      const key = equals < 0 ? option : option.slice(0, equals);
      const known: readonly string[] = DEVICE_OPTIONS[kind];
      if (equals < 0 || !known.includes(key)) {
        throw new PinfoldError(
          'EINVAL',
          `--${kind} ${flag}: ${option} is no option, expected ${known.map((each) => `${each}=...`).join(', ')}`,
        );
      }
      device[key] = option.slice(equals + 1);
    }
    return device;
  });
}

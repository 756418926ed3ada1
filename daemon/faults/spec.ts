// What a fault layer is described by, in JSON or as `kind,key=value,...`: its schema, its text, and what is wrong with it.

import { randomInt } from 'node:crypto';
import { z } from 'zod';
import {
  DELAY_US_MAX,
  type DelaySpec,
  DISTRIBUTIONS,
  FAULT_OPS,
  type FaultErrno,
  type FaultSpec,
  KEPT_PARTS,
  p99Default,
  p99Max,
} from '../../engine/block/faults/index.js';
import { describeIssues } from '../issues.js';
import { PinfoldError } from '../protocol/errors.js';
import { formatSize } from '../size.js';
import {
  flag,
  formatRange,
  formatTime,
  oneOf,
  operations,
  ranges,
  share,
  size,
  time,
  whole,
} from './fields.js';

const SEED_MAX = 2 ** 32 - 1;
const PER_SECOND_MAX = 2 ** 40;
const UNIT_BYTES_MAX = 2 ** 20;
const ERRNOS: readonly FaultErrno[] = [
  'EIO',
  'ENOSPC',
  'EPERM',
  'ENOMEM',
  'EINVAL',
  'EOVERFLOW',
  'ENOTSUP',
  'ESHUTDOWN',
];
const TIMES = ['wall', 'virtual'] as const;

const seed = whole(0, SEED_MAX).default(() => randomInt(SEED_MAX + 1));
const when = {
  range: ranges,
  rate: share.nullable().default(null),
  nth: whole(1, 1e9).nullable().default(null),
  once: flag.default(false),
  seed,
};
const units = { range: ranges, rate: share, seed };
const kind = <const Kind extends string>(name: Kind) => ({ kind: z.literal(name) });

const delay = z.strictObject({
  ...kind('delay'),
  op: operations(FAULT_OPS),
  mean: time(DELAY_US_MAX),
  p99: time(DELAY_US_MAX).optional(),
  distribution: oneOf(DISTRIBUTIONS).optional(),
  time: oneOf(TIMES).default('wall'),
  ...when,
});

const SCHEMAS = [
  z.strictObject({
    ...kind('error'),
    errno: oneOf(ERRNOS).default('EIO'),
    op: operations(FAULT_OPS),
    ...when,
  }),
  delay,
  z.strictObject({
    ...kind('rate-limit'),
    op: operations(FAULT_OPS, ['read', 'write']),
    bytes: size(1024, PER_SECOND_MAX).nullable().default(null),
    requests: whole(1, 1e9).nullable().default(null),
    burst: time(DELAY_US_MAX).default(0),
    time: oneOf(TIMES).default('wall'),
    range: ranges,
  }),
  z.strictObject({ ...kind('bit-rot'), ...units }),
  z.strictObject({ ...kind('stuck-bits'), value: whole(0, 1).nullable().default(null), ...units }),
  z.strictObject({ ...kind('latent-error'), ...units }),
  z.strictObject({
    ...kind('misdirected-write'),
    op: operations(['write', 'zero'], ['write']),
    shift: size(1, PER_SECOND_MAX).nullable().default(null),
    unit: size(512, UNIT_BYTES_MAX, true).default(512),
    ...when,
  }),
  z.strictObject({
    ...kind('torn-write'),
    op: operations(['write']),
    keep: oneOf(KEPT_PARTS).default('first'),
    unit: size(64, UNIT_BYTES_MAX, true).default(512),
    ...when,
  }),
  z.strictObject({
    ...kind('lying-flush'),
    op: operations(['flush', 'write', 'zero', 'trim']),
    ...when,
  }),
  z.strictObject({
    ...kind('full-device'),
    op: operations(['write', 'zero']),
    free: size(0, PER_SECOND_MAX).default(0),
    ...when,
  }),
] as const;

/** The keys of each kind. */
export const FAULT_KEYS: ReadonlyMap<string, readonly string[]> = new Map(
  SCHEMAS.map(({ shape }) => [
    shape.kind.value,
    Object.keys(shape).filter((key) => key !== 'kind'),
  ]),
);

const fieldsSchema = z.discriminatedUnion('kind', SCHEMAS, {
  error: `expected one of ${[...FAULT_KEYS.keys()].join(', ')}`,
});
type Fields = z.output<typeof fieldsSchema>;

/**
 * @param input `error,errno=EIO,op=write,rate=0.01`, or an object with these keys
 * @param origin for messages: `--fault disk0,error`, `disks.0.faults.1`
 * @throws PinfoldError EINVAL that names each wrong key, its value and what is allowed
 */
export function parseFault(input: unknown, origin: string): FaultSpec {
  const given = typeof input === 'string' ? fieldsOfText(input, origin) : input;
  const parsed = fieldsSchema.safeParse(given);
  if (!parsed.success) {
    const problem = describeIssues(parsed.error.issues, given, 'the fault');
    throw new PinfoldError('EINVAL', `${origin}: ${problem}${allowedKeys(given, parsed.error)}`);
  }
  return resolve(parsed.data, origin);
}

/** The same fault as text, which parseFault() reads; what is as usual is left out, the seed never. */
export function formatFault(spec: FaultSpec): string {
  const parts: string[] = [spec.kind];
  const put = (key: string, value: string | number | null): void => {
    if (value !== null) parts.push(`${key}=${value}`);
  };
  switch (spec.kind) {
    case 'error':
      put('errno', spec.errno);
      break;
    case 'delay':
      put('mean', formatTime(spec.meanUs));
      put('distribution', spec.distribution);
      if (spec.distribution !== 'constant') put('p99', formatTime(spec.p99Us));
      put('time', spec.time);
      break;
    case 'rate-limit':
      put('bytes', spec.bytes === null ? null : formatSize(spec.bytes));
      put('requests', spec.requests);
      if (spec.burstUs > 0) put('burst', formatTime(spec.burstUs));
      put('time', spec.time);
      break;
    case 'misdirected-write':
      put('shift', spec.shiftBytes === null ? null : formatSize(spec.shiftBytes));
      put('unit', formatSize(spec.unitBytes));
      break;
    case 'torn-write':
      put('keep', spec.keep);
      put('unit', formatSize(spec.unitBytes));
      break;
    case 'stuck-bits':
      put('value', spec.value);
      break;
    case 'full-device':
      put('free', formatSize(spec.freeBytes));
      break;
    case 'bit-rot':
    case 'latent-error':
    case 'lying-flush':
  }
  if ('op' in spec && !isUsual(spec)) for (const op of spec.op) put('op', op);
  for (const range of spec.range) put('range', formatRange(range));
  if ('rate' in spec) put('rate', spec.rate);
  if ('nth' in spec) put('nth', spec.nth);
  if ('once' in spec && spec.once) parts.push('once');
  if ('seed' in spec) put('seed', spec.seed);
  return parts.join(',');
}

/** @throws PinfoldError EINVAL if the fault could never act on a disk of that size */
export function checkFaultFits(spec: FaultSpec, disk: string, sizeBytes: number): void {
  const beyond = spec.range.find(({ from }) => from >= sizeBytes);
  if (beyond === undefined) return;
  throw new PinfoldError(
    'EINVAL',
    `the range ${formatRange(beyond)} lies past the end of ${disk}, which has ${sizeBytes} bytes`,
  );
}

function isUsual(spec: Extract<FaultSpec, { op: unknown }>): boolean {
  const schema = SCHEMAS.find((each) => each.shape.kind.value === spec.kind);
  const usual =
    schema !== undefined && 'op' in schema.shape ? schema.shape.op.parse(undefined) : [];
  return usual.join() === spec.op.join();
}

/** `kind,key=value,flag`; a key that comes again makes a list. */
function fieldsOfText(text: string, origin: string): Record<string, unknown> {
  const [kindName = '', ...options] = text.split(',');
  const fields = new Map<string, string | true | string[]>([['kind', kindName]]);
  for (const option of options) {
    const equals = option.indexOf('=');
    const key = equals < 0 ? option : option.slice(0, equals);
    const before = fields.get(key);
    if (equals < 0) {
      if (key !== 'once') {
        throw new PinfoldError('EINVAL', `${origin}: ${option} has no value, expected ${key}=...`);
      }
      fields.set(key, true);
    } else if (before === undefined) {
      fields.set(key, option.slice(equals + 1));
    } else {
      const list = Array.isArray(before) ? before : [String(before)];
      fields.set(key, [...list, option.slice(equals + 1)]);
    }
  }
  return Object.fromEntries(fields);
}

/** After a key that is none. */
function allowedKeys(given: unknown, { issues }: z.ZodError): string {
  if (!issues.some(({ code }) => code === 'unrecognized_keys')) return '';
  const named = z.object({ kind: z.string() }).safeParse(given);
  return `; expected ${FAULT_KEYS.get(named.data?.kind ?? '')?.join(', ') ?? ''}`;
}

/** What no single key can tell. */
function resolve(fields: Fields, origin: string): FaultSpec {
  if ('nth' in fields && fields.nth !== null && fields.rate !== null) {
    throw new PinfoldError(
      'EINVAL',
      `${origin}: nth and rate exclude each other, give one of them`,
    );
  }
  switch (fields.kind) {
    case 'delay':
      return resolveDelay(fields, origin);
    case 'rate-limit': {
      const { burst: burstUs, ...rest } = fields;
      if (rest.bytes === null && rest.requests === null) {
        throw new PinfoldError(
          'EINVAL',
          `${origin}: expected bytes=SIZE or requests=NUMBER, each a second, or both`,
        );
      }
      return { ...rest, burstUs };
    }
    case 'stuck-bits':
      return { ...fields, value: fields.value === null ? null : fields.value === 0 ? 0 : 1 };
    case 'misdirected-write': {
      const { shift: shiftBytes, unit: unitBytes, ...rest } = fields;
      return { ...rest, shiftBytes, unitBytes };
    }
    case 'torn-write': {
      const { unit: unitBytes, ...rest } = fields;
      return { ...rest, unitBytes };
    }
    case 'full-device': {
      const { free: freeBytes, ...rest } = fields;
      return { ...rest, freeBytes };
    }
    case 'error':
    case 'bit-rot':
    case 'latent-error':
    case 'lying-flush':
      return fields;
  }
}

function resolveDelay(fields: z.output<typeof delay>, origin: string): DelaySpec {
  const { mean: meanUs, p99, distribution: named, ...rest } = fields;
  const distribution = named ?? (p99 === undefined ? 'constant' : 'lognormal');
  const p99Us = p99 ?? Math.round(p99Default(distribution, meanUs));
  const mostUs = Math.round(p99Max(distribution) * meanUs);
  if (p99Us < meanUs || p99Us > mostUs) {
    throw new PinfoldError(
      'EINVAL',
      `${origin}: p99 is ${formatTime(p99Us)}: with a mean of ${formatTime(meanUs)} ` +
        `a ${distribution} distribution has one from ${formatTime(meanUs)} to ${formatTime(mostUs)}`,
    );
  }
  return { ...rest, distribution, meanUs, p99Us };
}

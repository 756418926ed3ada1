// The fields of a fault as people write them, in JSON or on the command line, and what they mean: sizes, times, shares,
// ranges, operations. Text is as good as a number.

import { z } from 'zod';
import type { ByteRange, FaultOp } from '../../engine/block/faults/index.js';
import { formatSize, parseSize } from '../size.js';

/** Ranges of one layer. */
const RANGES_MAX = 64;
const TIME_UNITS = { s: 1e6, ms: 1e3, us: 1 } as const;

function numberOf(value: string | number): number {
  if (typeof value === 'number') return value;
  return /^\d+(?:\.\d+)?(?:e-?\d+)?$/.test(value) ? Number(value) : Number.NaN;
}

/** A value that passes, or one sentence on what is expected. */
function field<T>(convert: (value: string | number) => T | null, error: string) {
  return z.union([z.number(), z.string()], { error }).transform((value, context): T => {
    const converted = convert(value);
    if (converted !== null) return converted;
    context.addIssue({ code: 'custom', message: error });
    return z.NEVER;
  });
}

export function whole(min: number, max: number) {
  return field((value) => {
    const number = numberOf(value);
    return Number.isInteger(number) && number >= min && number <= max ? number : null;
  }, `expected a whole number from ${min} to ${max}`);
}

/** A probability. */
export const share = field((value) => {
  const number = numberOf(value);
  return number >= 0 && number <= 1 ? number : null;
}, 'expected a share from 0 to 1, such as 0.01');

export function size(min: number, max: number, powerOfTwo = false) {
  return field(
    (value) => {
      const bytes = typeof value === 'number' ? value : parseSize(value);
      if (bytes === null || !Number.isSafeInteger(bytes) || bytes < min || bytes > max) return null;
      return powerOfTwo && !Number.isInteger(Math.log2(bytes)) ? null : bytes;
    },
    `expected a ${powerOfTwo ? 'power of two' : 'size'} from ${formatSize(min)} to ${formatSize(max)}`,
  );
}

/** Microseconds of `250us`, `10ms`, `1.5s`. */
export function time(maxUs: number) {
  return field(
    (value) => {
      const match = /^(\d+(?:\.\d+)?)(us|ms|s)$/.exec(String(value));
      const unit = z.enum(['us', 'ms', 's']).safeParse(match?.at(2));
      if (match === null || !unit.success) return null;
      const us = Math.round(Number(match.at(1)) * TIME_UNITS[unit.data]);
      return us <= maxUs ? us : null;
    },
    `expected a time such as 250us, 10ms or 1.5s, up to ${formatTime(maxUs)}`,
  );
}

export function formatTime(us: number): string {
  if (us >= 1e6 && us % 1e6 === 0) return `${us / 1e6}s`;
  return us >= 1e3 && us % 1e3 === 0 ? `${us / 1e3}ms` : `${us}us`;
}

export function oneOf<const Word extends string>(words: readonly Word[]) {
  return z.enum(words, { error: `expected one of ${words.join(', ')}` });
}

export const flag = z.boolean({ error: 'expected true or false; as text, name it alone' });

/** One operation, or a list of them. */
export function operations<const Op extends FaultOp>(
  allowed: readonly Op[],
  otherwise: readonly Op[] = allowed,
) {
  const error = `expected ${allowed.join(', ')}, or several of them`;
  const op = z.enum(allowed, { error });
  return z
    .union([op.transform((one) => [one]), z.array(op, { error }).min(1, { error })], { error })
    .default([...otherwise]);
}

const RANGE_ERROR = `expected FROM-TO, such as 1M-2M, or 1M- up to the end; up to ${RANGES_MAX} of them`;

/** `1M-2M`: bytes from 1M on, 2M not included. */
function parseRange(text: string): ByteRange | null {
  const [first = '', second = '', ...more] = text.split('-');
  const from = parseSize(first);
  const until = second === '' ? Number.MAX_SAFE_INTEGER : parseSize(second);
  return more.length > 0 || !text.includes('-') || from === null || until === null || from >= until
    ? null
    : { from, until };
}

export function formatRange({ from, until }: ByteRange): string {
  return `${formatSize(from)}-${until === Number.MAX_SAFE_INTEGER ? '' : formatSize(until)}`;
}

/** One range, or a list of them; none: everywhere. */
export const ranges = z
  .union([z.string().transform((one) => [one]), z.array(z.string())], { error: RANGE_ERROR })
  .transform((texts, context): ByteRange[] => {
    const parsed = texts.map(parseRange);
    const good = parsed.filter((range) => range !== null);
    if (good.length === parsed.length && good.length <= RANGES_MAX) return good;
    context.addIssue({ code: 'custom', message: RANGE_ERROR });
    return z.NEVER;
  })
  .default([]);

// Strict parsing of what is written on the command line. Messages name the allowed range.

import { InvalidArgumentError } from 'commander';

const UNITS: Readonly<Record<string, number | undefined>> = {
  '': 1,
  K: 2 ** 10,
  M: 2 ** 20,
  G: 2 ** 30,
  T: 2 ** 40,
};

const SIZE_RULE =
  'a whole number of bytes, or one with K, M, G or T (powers of 1024), such as 512M';

/** Bytes of `512`, `4K`, `512M`, `1G`, `2T`; null for anything else. */
export function sizeOf(text: string): number | null {
  const match = /^(\d{1,15})([KMGT]?)$/.exec(text);
  if (match === null) return null;
  const bytes = Number(match[1]) * (UNITS[match[2]] ?? 1);
  return Number.isSafeInteger(bytes) ? bytes : null;
}

/** A parser for sizes from `least` to `most`, in multiples of `step` bytes. */
export function size(least: number, most: number, step = 1): (text: string) => number {
  return (text) => {
    const bytes = sizeOf(text);
    if (bytes === null) throw new InvalidArgumentError(`Give ${SIZE_RULE}.`);
    if (bytes < least || bytes > most) {
      throw new InvalidArgumentError(`Allowed are ${formatSize(least)} to ${formatSize(most)}.`);
    }
    if (bytes % step !== 0)
      throw new InvalidArgumentError(`Give a multiple of ${formatSize(step)}.`);
    return bytes;
  };
}

/** A parser for whole numbers from `least` to `most`. */
export function integer(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= least && value <= most)) {
      throw new InvalidArgumentError(`Allowed are whole numbers from ${least} to ${most}.`);
    }
    return value;
  };
}

/** A parser for seconds, with up to three decimals, from `least` to `most`. */
export function seconds(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,9}(?:\.\d{1,3})?$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= least && value <= most)) {
      throw new InvalidArgumentError(`Allowed are ${least} to ${most} seconds.`);
    }
    return value;
  };
}

/** A parser for one of a few words. */
export function oneOf(words: readonly string[]): (text: string) => string {
  return (text) => {
    if (words.includes(text)) return text;
    throw new InvalidArgumentError(`Allowed are ${words.join(', ')}.`);
  };
}

/** A size as it would be written on the command line, exactly. */
export function formatSize(bytes: number): string {
  for (const unit of ['T', 'G', 'M', 'K']) {
    const factor = UNITS[unit] ?? 1;
    if (bytes >= factor && bytes % factor === 0) return `${bytes / factor}${unit}`;
  }
  return String(bytes);
}

/** A size for people: `1.5 GiB`. */
export function humanSize(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${value.toFixed(digits)} ${units.at(unit) ?? 'B'}`;
}

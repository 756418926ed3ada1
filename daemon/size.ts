// Sizes as people write them: 4096, 64K, 1G, 1.5GiB.

const UNITS: Readonly<Record<string, number | undefined>> = {
  '': 1,
  K: 2 ** 10,
  M: 2 ** 20,
  G: 2 ** 30,
  T: 2 ** 40,
};

/** Bytes, or null if the text is no size. Units are powers of 1024. */
export function parseSize(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?$/i.exec(text.trim());
  const unit = UNITS[(match?.at(2) ?? '').toUpperCase()];
  if (match === null || unit === undefined) return null;
  const bytes = Number(match.at(1)) * unit;
  return Number.isSafeInteger(bytes) ? bytes : null;
}

/** 1073741824 as 1G, 1000 as 1000. */
export function formatSize(bytes: number): string {
  for (const [name, unit] of Object.entries(UNITS).reverse()) {
    if (unit !== undefined && bytes >= unit && bytes % unit === 0) return `${bytes / unit}${name}`;
  }
  return String(bytes);
}

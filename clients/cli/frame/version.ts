// The version of the package that this command belongs to.

import { readFileSync } from 'node:fs';
import { z } from 'zod';

const manifest = z.object({ version: z.string() });

export function packageVersion(): string {
  const url = new URL('../../../../package.json', import.meta.url);
  return manifest.parse(JSON.parse(readFileSync(url, 'utf8'))).version;
}

// Checks a control payload against its schema, and says in one sentence what is wrong with it.

import type { z } from 'zod';
import { PinfoldError } from '../protocol/errors.js';

/** @throws PinfoldError EINVAL that names the first wrong field */
export function parsePayload<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues.at(0);
  const where = issue === undefined ? '' : issue.path.join('.');
  const problem = issue?.message ?? 'is malformed';
  throw new PinfoldError('EINVAL', `${what}: ${where === '' ? '' : `${where}: `}${problem}`);
}

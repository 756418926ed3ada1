// What is wrong with an input that a schema has refused, for the people who wrote it.

import type { z } from 'zod';

/**
 * One sentence per problem: key, value, what is expected.
 * @param whole what is wrong if no key of it is, such as `the configuration`
 */
export function describeIssues(
  issues: readonly z.core.$ZodIssue[],
  input: unknown,
  whole: string,
): string {
  return issues
    .map((issue) => {
      if (issue.code === 'unrecognized_keys') {
        const prefix = issue.path.length === 0 ? '' : `${issue.path.join('.')}.`;
        return issue.keys.map((key) => `${prefix}${key} is no option`).join('; ');
      }
      const value = valueAt(input, issue.path);
      const key = issue.path.join('.') || whole;
      const shown = value === undefined ? 'missing' : JSON.stringify(value).slice(0, 100);
      return `${key} is ${shown}: ${issue.message}`;
    })
    .join('; ');
}

function valueAt(input: unknown, keys: readonly PropertyKey[]): unknown {
  let value = input;
  for (const key of keys) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = Reflect.get(value, key);
  }
  return value;
}

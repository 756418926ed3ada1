// The results of `writeback-vs-pin` as data, profile by profile: docs/figures/writeback-vs-pin.json,
// which `pinfold lab compare` reads.

import type { Costs } from '../lab/costs.js';
import type { BenchResult } from './measure.js';

/** A line per cell, so that a difference between two measurements can be read. */
export function formatCosts(results: readonly BenchResult[]): string {
  const profiles = costsOf(results).map(({ profile, unpinned, cells }) => {
    const lines = cells.map((cell) => `      ${JSON.stringify(cell)}`);
    const head = `    "profile": ${JSON.stringify(profile)},\n    "unpinned": ${String(unpinned)},`;
    return `  {\n${head}\n    "cells": [\n${lines.join(',\n')}\n    ]\n  }`;
  });
  return `[\n${profiles.join(',\n')}\n]\n`;
}

function costsOf(results: readonly BenchResult[]): Costs {
  const of = (profile: string): BenchResult[] =>
    results.filter((result) => result.name.startsWith(`writeback-vs-pin@${profile},`));
  const profiles = new Set(
    results.flatMap(({ name }) => /^writeback-vs-pin@([^,]+),/.exec(name)?.[1] ?? []),
  );
  return [...profiles].map((profile) => ({
    profile,
    unpinned: Math.round(of(profile).find(isUnpinned)?.value ?? 0),
    cells: of(profile)
      .filter((result) => !isUnpinned(result))
      .map(({ ratio, details }) => ({
        sharePercent: details['sharePercent'] ?? 0,
        holdMs: details['holdMs'] ?? 0,
        ratio: Number((ratio ?? 0).toFixed(2)),
        pinned: Math.round(details['pinnedPagesPerSecond'] ?? 0),
      })),
  }));
}

function isUnpinned({ details }: BenchResult): boolean {
  return details['sharePercent'] === 0;
}

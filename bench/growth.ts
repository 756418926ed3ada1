// Bench `growth`: the first five benches at 64 MiB, 1 GiB and 8 GiB. Cost must follow the work that is
// done, not the size of the device, so each figure relative to its limit at that size stays flat.

import { benchDma } from './dma.js';
import { type BenchOptions, type BenchResult, median } from './measure.js';
import { benchPin2Cpu, benchPinAgainstBare } from './pin.js';
import { GROWTH_BYTES, sizeName } from './rig.js';
import { benchWritebackOf } from './writeback.js';

const REACH = 1.2;

/** All sizes, and a result per bench that says how flat it is. */
export async function benchGrowth(options: BenchOptions): Promise<BenchResult[]> {
  const results: BenchResult[] = [];
  for (const bytes of GROWTH_BYTES) {
    const suffix = `@${sizeName(bytes)}`;
    results.push(benchPinAgainstBare(options, bytes, `pin${suffix}`));
    results.push(await benchPin2Cpu(options, bytes, `pin-2cpu${suffix}`));
    results.push(benchDma(options, bytes, `dma${suffix}`));
  }
  const sizes = GROWTH_BYTES.map((bytes) => ({ bytes, suffix: `@${sizeName(bytes)}` }));
  results.push(...(await benchWritebackOf(options, sizes)));
  const flatness = ['pin', 'pin-2cpu', 'dma', 'writeback', 'fault'].map((name) =>
    flat(name, results),
  );
  return [...results, ...flatness];
}

/** Largest over smallest figure of one bench over the sizes. */
function flat(name: string, results: readonly BenchResult[]): BenchResult {
  const sizes = results.filter((result) => result.name.startsWith(`${name}@`));
  // `fault` has no limit to be measured against: its time itself has to stay flat.
  const figures = sizes.map((result) => result.ratio ?? result.value);
  const value = Math.max(...figures) / Math.min(...figures);
  return {
    name: `growth-${name}`,
    value,
    unit: 'largest/smallest',
    against: { what: 'flat', value: 1 },
    ratio: value,
    reach: `<= ${String(REACH)}`,
    reached: value <= REACH,
    runs: figures.map((figure) => ({ value: figure, against: median(figures) })),
    details: Object.fromEntries(sizes.map((result, i) => [result.name, figures[i]])),
  };
}

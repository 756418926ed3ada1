// What the rules of a profile cost, as far as it was measured: the bench `writeback-vs-pin` writes
// docs/figures/writeback-vs-pin.json.

import { z } from 'zod';
import { Errno } from '../engine/sched/errors.js';

const COSTS = z.array(
  z.object({
    profile: z.string(),
    /** Pages written a second with nothing pinned. */
    unpinned: z.number(),
    cells: z.array(
      z.object({
        /** Per cent of the file's pages that are pinned at one time. */
        sharePercent: z.number(),
        /** How long a pin is held. */
        holdMs: z.number(),
        /** Throughput of writeback relative to the same with nothing pinned. */
        ratio: z.number(),
        /** Pages pinned a second. */
        pinned: z.number(),
      }),
    ),
  }),
);

/** Measured costs, profile by profile. */
export type Costs = z.infer<typeof COSTS>;

/** @throws Errno EINVAL if the text holds no costs */
export function parseCosts(text: string, where: string): Costs {
  try {
    return COSTS.parse(JSON.parse(text));
  } catch (cause) {
    throw new Errno('EINVAL', `${where} holds no costs of writeback-vs-pin`, { cause });
  }
}

// The skip path of 5.18 and its second-order bug: a page that is dropped stays on the account of
// dirty pages.

import type { Finding } from '../../engine/finding.js';
import type { Machine } from '../../engine/machine.js';
import { GLOBAL } from '../../engine/memory/layout.js';
import { PG } from '../../engine/mm/folio.js';
import { type Hazard, LAB_PAGE_BYTES } from '../hazard.js';
import type { Program } from '../program.js';
import { h0a } from './h0-a.js';

/** As H0-a, with an eye on nr_dirty. */
export const LEAKED_DIRTY_ACCOUNTING: Hazard = {
  id: 'leaked-dirty-accounting',
  title: 'a dirty page that ext4 drops stays on the account of dirty pages for ever',
  source: 'kernel.md section 3; cc5095747edf (2022) and Zhu Jia (2026)',
  story:
    'Since 5.18 ext4 no longer stops the machine when it finds a dirty page without buffers: it ' +
    'warns, clears the page’s dirty flag, and goes on. It clears the flag and nothing else. The ' +
    'page is still counted in nr_dirty, and its entry in the page cache still carries the mark ' +
    'DIRTY. Each time, the machine believes in one more dirty page that no writeback will ever ' +
    'find; in the end there are so many that every writer is held back until they are written.',
  mayGoWrong: ['leak', 'warn'],
  notApplicable: (profile) =>
    profile.dirtyWithoutBuffers === 'warn-drop'
      ? null
      : `a dirty page without buffers is not dropped: ${profile.dirtyWithoutBuffers}`,
  program: (_profile, pageBytes) => leakedDirtyAccounting(pageBytes),
};

/** @param pageBytes LAB_PAGE_BYTES in the lab */
export function leakedDirtyAccounting(pageBytes = LAB_PAGE_BYTES): Program {
  return h0a(pageBytes, 'leaked-dirty-accounting', leaked);
}

/** At rest nr_dirty counts the dirty pages. */
function leaked(m: Machine): Finding[] {
  const { flags, mapping, global } = m.state;
  const dirty = flags.filter((value, pfn) => mapping[pfn] !== 0 && (value & PG.dirty) !== 0).length;
  const counted = global[GLOBAL.nrDirty];
  if (counted === dirty) return [];
  return [
    {
      kind: 'leak',
      hazard: 'leaked-dirty-accounting',
      task: 'flusher and kswapd',
      message: `nr_dirty is ${String(counted)}, and ${String(dirty)} pages are dirty`,
    },
  ];
}

// The kernels: what each version changed in the rules, oldest first. What is not listed stays as it
// was in the version before.

import type { Profile, Rules } from './profile.js';

/** One change of the rules, and how well it is known. */
export interface Landed {
  readonly what: string;
  /** Commit, thread or file that says so. */
  readonly source: string;
  /** False: the version is from memory or inferred, not read anywhere. */
  readonly verified: boolean;
}

export interface Kernel {
  readonly version: string;
  readonly summary: string;
  readonly landed: readonly Landed[];
  readonly changes: Partial<Rules>;
}

/** The first version that has a profile: the one of the corruption of December 2006. */
const FIRST: Rules = {
  hasDax: false,
  hasInlineData: false,
  hasProcessVm: false,
  mkwriteReturnsLocked: false,
  mkwritePreparesDirty: false,
  stablePages: 'never',
  mkcleanOrder: 'clear-first',
  pinnedSyncNone: 'proceed',
  pinnedSyncAll: 'proceed',
  pinnedStaysDirty: false,
  pinnedKeepsReservation: false,
  pinnedTest: 'after-mkclean',
  dirtyWithoutBuffers: 'bug',
  dropLeaksAccounting: false,
  reclaimStripsPinned: true,
  reclaimWritesPages: true,
  invalidatesPinned: true,
  pinnedPageReplacement: 'proceed',
  dmaReference: 'get',
  directIoReference: 'get',
  directIoBounces: false,
  longtermFilePin: 'allow',
  gupWaitsForWriteback: false,
  shortPinHolds: 'nothing',
  unpinDirtiesThroughMkwrite: false,
  plainGupMayRetry: false,
  longtermDaxPin: 'allow',
  vmspliceDax: 'allow',
  daxTruncate: 'ignore',
  daxIdleCount: 'one',
  daxEviction: 'ignore',
  pinKeeps: 'page',
  deviceRemoval: 'ignore',
  inlineConversion: 'none',
  inlineRechecks: false,
  inlineGrowth: 'at-writeback',
};

const seen = (what: string, source: string): Landed => ({ what, source, verified: true });
const guessed = (what: string, source: string): Landed => ({ what, source, verified: false });

/** Oldest first. */
export const KERNELS: readonly Kernel[] = [
  {
    version: '2.6.19',
    summary: 'mappings are write-protected at writeback, but after the dirty flag was cleared',
    landed: [
      guessed('page_mkwrite and the dirty tracking of shared mappings', 'H3-d, from memory'),
    ],
    changes: {},
  },
  {
    version: '2.6.28',
    summary: 'cleaning re-marks the page before it tests and clears the flag',
    landed: [guessed('mkclean, mark dirty again, test and clear', 'H3-d; 2.6.20 from memory')],
    changes: { mkcleanOrder: 'protect-first' },
  },
  {
    version: '2.6.30',
    summary: 'page_mkwrite may return with the page locked',
    landed: [
      guessed('close page_mkwrite races (April 2009)', '20090414071152.GC23528, from memory'),
    ],
    changes: { mkwriteReturnsLocked: true },
  },
  {
    version: '4.11',
    summary: 'DAX, inline data and process_vm_writev exist; stable pages only where needed',
    landed: [
      guessed('process_vm_writev', '3.2, from memory'),
      guessed(
        'stable pages, then only where the backing store needs them',
        '3.0 and 3.9, from memory',
      ),
      guessed('ext4 inline data', '3.8, from memory'),
      guessed('fsdax', '4.0, from memory'),
    ],
    changes: {
      hasDax: true,
      hasInlineData: true,
      hasProcessVm: true,
      stablePages: 'if-needed',
    },
  },
  {
    version: '4.17',
    summary:
      'mapped inline files are converted in page_mkwrite; long-term pins of fsdax are refused',
    landed: [
      seen('inline data are converted in page_mkwrite', '7b4cc9787fe3 (4.12)'),
      seen('get_user_pages_longterm refuses fsdax', '2bb6d2837083 (4.15 cycle)'),
    ],
    changes: { inlineConversion: 'mkwrite', longtermDaxPin: 'refuse-vma' },
  },
  {
    version: '4.18',
    summary: 'truncate and punch of a DAX file wait for busy pages',
    landed: [
      seen('dax_layout_busy_page, in xfs', 'merge "libnvdimm for 4.18"'),
      guessed('the same in ext4', '4.19, inferred from a comment of generic/503'),
    ],
    changes: { daxTruncate: 'wait' },
  },
  {
    version: '5.2',
    summary: 'the put_user_page series is posted: pins are plain references that nobody can tell',
    landed: [guessed('put_user_page placeholders', 'the 2019 series; target 5.2 not rechecked')],
    changes: {},
  },
  {
    version: '5.7',
    summary: 'FOLL_PIN: pins of RDMA and process_vm_writev are counted',
    landed: [
      guessed(
        'FOLL_PIN API and tracking',
        'eddb1c228f79 (5.6) and 3faa52c03f44 (5.7), from memory',
      ),
    ],
    changes: { dmaReference: 'pin' },
  },
  {
    version: '5.15',
    summary: 'one invalidate_lock for all file systems, in place of a lock of each',
    landed: [seen('mapping->invalidate_lock', '730633f0b7f9, pull "hole_punch_for_v5.15-rc1"')],
    changes: {},
  },
  {
    version: '5.17',
    summary: 'the last in which a dirty page without buffers is a BUG of ext4',
    landed: [],
    changes: {},
  },
  {
    version: '5.18',
    summary: 'ext4 warns of a dirty page without buffers, and drops it',
    landed: [guessed('warn, clear dirty, skip', 'cc5095747edf; 5.18 inferred')],
    changes: { dirtyWithoutBuffers: 'warn-drop', dropLeaksAccounting: true },
  },
  {
    version: '6.4',
    summary: 'reclaim leaves pinned folios alone after the unmap',
    landed: [
      seen('shrink_folio_list tests maybe_dma_pinned', 'd824ec2a1546, 6.4 merge list'),
      guessed('ext4 has no ->writepage any more', 'about 6.3, from memory'),
    ],
    changes: { reclaimStripsPinned: false, reclaimWritesPages: false },
  },
  {
    version: '6.5',
    summary: 'long-term writable pins of file pages are refused; direct I/O pins its buffers',
    landed: [
      guessed('refuse FOLL_PIN|LONGTERM|WRITE', '8ac268436e6d, a6e79df92e4a; 6.5 from memory'),
      guessed('iov_iter_extract_pages', '6.3 to 6.5, from memory; in 6.12'),
    ],
    changes: { longtermFilePin: 'refuse', directIoReference: 'pin' },
  },
  {
    version: '6.12',
    summary: 'read directly; writeback itself still ignores pins',
    landed: [
      guessed('inline data: write_end looks again', 'in 6.12.117; upstream version not traced'),
    ],
    changes: { inlineRechecks: true },
  },
  {
    version: '6.15',
    summary: 'DAX pages are idle at 0 references, and eviction waits for busy ones',
    landed: [
      seen('0-based references', '38607c62b34b, "stable # v6.15+"'),
      seen('dax_break_layout_final', '0e2f80afcfa6, "stable # v6.15+"'),
      seen('gup refuses LONGTERM on any fsdax folio', "Popple's series and push lists"),
    ],
    changes: { daxIdleCount: 'zero', daxEviction: 'break-final', longtermDaxPin: 'refuse-folio' },
  },
  {
    version: '7.0',
    summary: 'direct I/O bounces its buffer where stable pages are required',
    landed: [
      seen(
        'iomap and xfs bounce',
        'c9d114846b38, 3373503df025: for-7.0/block-stable-pages-20260206',
      ),
    ],
    changes: { directIoBounces: true },
  },
];

/** The kernels as profiles `linux-VERSION`, oldest first. */
export function kernelProfiles(): Profile[] {
  let rules = FIRST;
  return KERNELS.map(({ version, summary, changes }) => {
    rules = { ...rules, ...changes };
    return { ...rules, name: `linux-${version}`, description: `Linux ${version}: ${summary}.` };
  });
}

// What engine functions are called in a diagram. An effect ("marks page 1 dirty") is told under the
// innermost function that has a name here; a function that is missing stands for itself.

/** These are nothing by themselves: whoever called them is meant. */
const PLUMBING = [
  'addFolio',
  'allocPage',
  'allocPageOrReclaim',
  'allocSlowly',
  'attachBuffers',
  'cacheDelete',
  'cacheInsert',
  'cancelDirty',
  'clearMark',
  'copyFrame',
  'copyWords',
  'dropNewFolio',
  'findFolio',
  'freeFrozen',
  'freeUnused',
  'getFolio',
  'grabFolio',
  'lastPut',
  'loadBytes',
  'loadWords',
  'lockFolio',
  'markDirty',
  'maybePinned',
  'prepareLocked',
  'prepareWrite',
  'putFolio',
  'removeFolio',
  'setMark',
  'spinLock',
  'spinUnlock',
  'stepAdd',
  'stepLoad',
  'storeBytes',
  'storeWords',
  'takeFolio',
  'takeFrame',
  'takeRead',
  'takeSpinLock',
  'tryGet',
  'tryLockFolio',
  'undoGet',
  'unlockFolio',
  'unlockNewFolio',
  'upRead',
  'upWrite',
  'downRead',
  'downWrite',
  'mutexLock',
  'mutexUnlock',
  'tryMutexLock',
  'waitFolio',
  'waitRead',
  'waitSpinLock',
  'wake',
  'zeroTail',
] as const;

/**
 * How a line speaks of a function: `mkclean` stands before the effects, `(fast GUP)` behind them, and
 * an empty text says that the effects need no name. Null: plumbing.
 */
const TITLES: ReadonlyMap<string, string | null> = new Map<string, string | null>([
  ...PLUMBING.map((name): [string, null] => [name, null]),

  // Getting and pinning
  ['gupFast', '(fast GUP)'],
  ['followPage', '(slow GUP)'],
  ['gupSlow', '(slow GUP)'],
  ['unpinUserPages', ''],
  ['dirtyPinned', ''],
  ['dirtyWithNotice', ''],
  ['waitForPins', ''],

  // Faults and mappings
  ['storeUser', ''],
  ['loadUser', ''],
  ['faultIn', 'fault'],
  ['handleFault', 'fault'],
  ['mappedFolio', 'fault'],
  ['lockedFileFolio', 'fault'],
  ['anonymousFault', 'fault'],
  ['writeFault', 'fault'],
  ['installPte', 'fault'],
  ['pageMkwrite', 'page_mkwrite'],
  ['beforeMkwrite', 'page_mkwrite'],
  ['mkclean', 'mkclean'],
  ['mkcleanOne', 'mkclean'],
  ['flushTlb', ''],
  ['zapPte', 'unmap'],
  ['zapRange', 'unmap'],
  ['unmapFolio', 'unmap'],
  ['unmapRange', 'unmap'],
  ['mmap', 'mmap'],
  ['takeVma', 'mmap'],
  ['munmap', 'munmap'],

  // Writeback
  ['prepareWriteback', ''],
  ['clearDirtyForIo', ''],
  ['applyAction', ''],
  ['allocBounce', 'bounce'],
  ['startWriteback', ''],
  ['endWriteback', ''],
  ['endWritebackOf', ''],
  ['waitOnWriteback', ''],
  ['checksumWords', ''],
  ['checksumFrame', ''],
  ['withoutBuffers', ''],
  ['writeOne', 'submit'],
  ['writepages', 'writepages'],
  ['detachBuffers', 'release_folio'],

  // Reclaim and truncate
  ['reclaimFolio', 'reclaim'],
  ['reclaimLocked', 'reclaim'],
  ['removeMapping', 'remove_mapping'],
  ['pageout', 'pageout'],
  ['shrink', 'reclaim'],
  ['releaseFolio', 'release_folio'],
  ['truncateFolio', 'truncate'],
  ['truncatePages', 'truncate'],
  ['invalidateRange', 'invalidate'],
  ['invalidateOne', 'invalidate'],
  ['invalidateFolio', 'invalidate_folio'],
  ['readFolio', 'read_folio'],
  ['breakLease', 'break lease'],
  ['endBreak', ''],
  ['takeLease', ''],
  ['giveLease', ''],

  // Persistent memory, and the end of an inode
  ['daxFault', 'fault'],
  ['grabEntry', 'fault'],
  ['insertEntry', 'fault'],
  ['insertPfn', 'fault'],
  ['unlockEntry', ''],
  ['unlockedSlot', ''],
  ['busyFrame', 'busy page?'],
  ['isBusy', 'busy page?'],
  ['waitPageIdle', ''],
  ['breakLayout', 'break layout'],
  ['deleteEntries', 'delete DAX entries'],
  ['waitUnpinned', ''],
  ['igrab', 'igrab'],
  ['iputFinal', 'iput_final'],
  ['beginFreeing', 'I_FREEING'],
  ['keepsBusy', 'dax_inode_busy'],
  ['frameOf', 'allocate'],
  ['freeBlock', 'free'],
  ['writeWord', 'write(2)'],
  ['countUser', ''],
  ['removeDevice', 'remove'],

  // Devices and calls
  ['transfer', 'DMA'],
  ['readThroughPin', ''],
  ['deviceStore', ''],
  ['deviceLoad', ''],
  ['deviceStoreChain', ''],
  ['directReadInto', ''],
  ['directWriteFrom', ''],
  ['completeRead', ''],
  ['processVmWritev', 'process_vm_writev'],
  ['rdmaWrite', ''],
  ['rdmaRead', ''],
]);

/** A function and what it is called; functions with one title are told as one. */
export interface TitledFunction {
  readonly name: string;
  readonly title: string;
}

/** The function under whose name an effect is told; `functions` as in an Event. */
export function titledFunction(functions: readonly string[]): TitledFunction {
  // The actor's own function is named by its column.
  for (let i = functions.length - 1; i > 0; i--) {
    const name = functions[i];
    const title = TITLES.get(name);
    if (title === undefined) return { name, title: snakeCase(name) };
    if (title !== null) return { name, title };
  }
  return { name: functions.at(0) ?? '', title: '' };
}

/** As Linux writes it. */
function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** Effects under the name of their function: `mkclean: write-protects ...`, `pins page 1 (fast GUP)`. */
export function withTitle(title: string, effects: string): string {
  if (title === '') return effects;
  return title.startsWith('(') ? `${effects} ${title}` : `${title}: ${effects}`;
}

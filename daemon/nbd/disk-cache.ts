// The volatile cache of a disk: made by the daemon, opened by each thread that serves the disk.

import { SLOT_BYTES } from '../../engine/block/cache-slots.js';
import { CacheState } from '../../engine/block/cache-state.js';
import { type CacheShape, slotMemory, VolatileCache } from '../../engine/block/volatile-cache.js';
import type { Memory } from '../../native/index.js';
import type { DiskCache } from '../disk.js';
import { CONNECTIONS_MAX, PEER_THREADS } from './limits.js';
import type { CacheData, DiskData } from './messages.js';
import { PINNED_PAGES_MAX } from './volatile-storage.js';

/**
 * @param file of the disk; null: it is in memory
 * @returns what threads open it by, and the memory to be closed when all of them have ended
 * @throws NativeError ENOMEM, EMFILE
 */
export function createCache(
  sizeBytes: number,
  cache: DiskCache,
  file: number | null,
): { data: CacheData; memory: Memory } {
  const shape = shapeOf(sizeBytes, cache, file);
  const memory = slotMemory(shape, file !== null);
  const state = new CacheState(null);
  // It asks for the arrays that all threads share.
  new VolatileCache(shape, file, memory, state);
  const { fd, lengthBytes, segmentBytes, segments } = memory;
  const slots = { fd, lengthBytes, segmentBytes, segments: [...segments] };
  return { data: { ...cache, slots, state: state.arrays }, memory };
}

/**
 * @param file of the disk, as this thread has it; null: it is in memory
 * @param thread its number in Loads
 * @returns null for a disk without a cache
 */
export function openCache(
  { cache, sizeBytes }: DiskData,
  file: number | null,
  thread: number,
): VolatileCache | null {
  if (cache === null) return null;
  const shape = shapeOf(sizeBytes, cache, file);
  return new VolatileCache(shape, file, cache.slots, new CacheState(cache.state), thread);
}

function shapeOf(sizeBytes: number, cache: DiskCache, file: number | null): CacheShape {
  const { unitBytes, atomicBytes, versionBytes } = cache;
  const versionPages = versionBytes / SLOT_BYTES;
  const pinnedPages = (CONNECTIONS_MAX + 1) * PINNED_PAGES_MAX;
  // A file is served by the disks' thread alone.
  const threads = file === null ? 1 + PEER_THREADS : 1;
  return { sizeBytes, unitBytes, atomicBytes, versionPages, pinnedPages, threads };
}

// The only door to the native addon: mapped memory, I/O straight between a descriptor and that memory, sockets that pass
// descriptors, and a few calls about threads. It knows nothing about the engine.
export { Arena, crc32c, HUGE_PAGE_BYTES, type Prompt } from './arena.js';
export { NativeError } from './errors.js';
export {
  closeDescriptor,
  dup,
  type FallocateMode,
  type FileStatus,
  fallocate,
  fdatasync,
  fileStatus,
  type LockResult,
  lockFile,
  nextData,
  nextHole,
  type OpenFlags,
  openFile,
  preadInto,
  pwriteFrom,
  startWriteback,
  truncateFile,
} from './files.js';
export {
  createMemory,
  type MapMemoryOptions,
  type Mapping,
  Memory,
  type MemoryOptions,
  mapFile,
  mapMemory,
} from './memory.js';
export {
  connectUnix,
  type PeerCredentials,
  peerCredentials,
  type Received,
  receiveDescriptors,
  sendDescriptors,
} from './sockets.js';
export {
  acceptStream,
  clearEvent,
  GONE,
  INTEREST,
  listeningPort,
  listenTcp,
  listenUnix,
  PLACE,
  Poller,
  READY,
  socketPair,
  TRIPLE_NUMBERS,
  WakeEvent,
  WOULD_BLOCK,
  waitWhileUnread,
} from './stream.js';
export { pinThread, setTimerSlack, threadId } from './threads.js';

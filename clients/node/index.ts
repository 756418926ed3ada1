// The Node client of Pinfold: connect to a daemon, use its disks, regions and volumes.

export {
  AbortError,
  ERROR_CODES,
  type ErrorCode,
  PinfoldError,
} from '../../daemon/protocol/errors.js';
export type {
  Cut,
  DirectoryEntry,
  Fault,
  FaultLayer,
  FindingMessage,
  Stat,
} from '../../daemon/protocol/methods.js';
export {
  type Client,
  type ConnectOptions,
  connect,
  type ReconnectOptions,
} from './client.js';
export type {
  AddedFault,
  AddFaultOptions,
  CutOptions,
  Disk,
  WaitForFaultOptions,
  WriteOptions,
} from './disk.js';
export type { File, Mapping, Pin, PinOptions } from './file.js';
export type { CallOptions } from './owner.js';
export type { Region } from './region.js';
export type { OpenOptions, SetattrOptions, Volume } from './volume.js';

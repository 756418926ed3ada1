// What a fault layer is made from: one shape per kind, all values checked before (bytes, microseconds).

/** What a disk is asked for. */
export const FAULT_OPS = ['read', 'write', 'zero', 'trim', 'flush', 'cache'] as const;
export type FaultOp = (typeof FAULT_OPS)[number];

/** The errors that NBD can tell, by the names that it has for them, with their numbers. */
export const ERRNO = {
  EPERM: 1,
  EIO: 5,
  ENOMEM: 12,
  EINVAL: 22,
  ENOSPC: 28,
  EOVERFLOW: 75,
  ENOTSUP: 95,
  ESHUTDOWN: 108,
} as const;
export type FaultErrno = keyof typeof ERRNO;

/** Bytes of a disk, `until` not included. */
export interface ByteRange {
  readonly from: number;
  readonly until: number;
}

/** Every layer has a mask: the ranges in which it may do anything; none means everywhere. */
interface MaskedSpec {
  readonly range: readonly ByteRange[];
}

/** Which of the requests that it sees a layer acts on: all unless `rate` or `nth` says otherwise. */
export interface TriggerSpec extends MaskedSpec {
  readonly seed: number;
  readonly op: readonly FaultOp[];
  /** The share of requests, 0 to 1. */
  readonly rate: number | null;
  /** Every nth request. */
  readonly nth: number | null;
  /** At most one. */
  readonly once: boolean;
}

/** A share of all units of 512 bytes, 0 to 1. */
interface UnitSpec extends MaskedSpec {
  readonly seed: number;
  readonly rate: number;
}

export interface ErrorSpec extends TriggerSpec {
  readonly kind: 'error';
  readonly errno: FaultErrno;
}

export const DISTRIBUTIONS = ['constant', 'uniform', 'exponential', 'lognormal'] as const;
export type Distribution = (typeof DISTRIBUTIONS)[number];

export interface DelaySpec extends TriggerSpec {
  readonly kind: 'delay';
  readonly distribution: Distribution;
  readonly meanUs: number;
  /** Between the mean and p99Max() times the mean. */
  readonly p99Us: number;
  readonly time: 'wall' | 'virtual';
}

export interface RateLimitSpec extends MaskedSpec {
  readonly kind: 'rate-limit';
  readonly op: readonly FaultOp[];
  /** Per second; null where there is no limit. */
  readonly bytes: number | null;
  readonly requests: number | null;
  /** How much unused time may be saved up. */
  readonly burstUs: number;
  readonly time: 'wall' | 'virtual';
}

/** Each unit that is read loses a bit with the probability `rate`. */
export interface BitRotSpec extends UnitSpec {
  readonly kind: 'bit-rot';
}

/** That share of units has a bit that always reads the same. */
export interface StuckBitsSpec extends UnitSpec {
  readonly kind: 'stuck-bits';
  /** What they are stuck at; null: some at 0 and some at 1. */
  readonly value: 0 | 1 | null;
}

/** That share of units can't be read until it is written. */
export interface LatentErrorSpec extends UnitSpec {
  readonly kind: 'latent-error';
}

export interface MisdirectedWriteSpec extends TriggerSpec {
  readonly kind: 'misdirected-write';
  readonly unitBytes: number;
  /** How far away it lands, modulo the size of the disk; null: anywhere within `range`. */
  readonly shiftBytes: number | null;
}

export const KEPT_PARTS = ['first', 'last', 'random', 'none'] as const;
export type KeptPart = (typeof KEPT_PARTS)[number];

export interface TornWriteSpec extends TriggerSpec {
  readonly kind: 'torn-write';
  /** Sub-units of a write are stored whole or not at all. */
  readonly unitBytes: number;
  readonly keep: KeptPart;
}

/** `op` is 'flush', and 'write', 'zero', 'trim' for such requests with FUA. */
export interface LyingFlushSpec extends TriggerSpec {
  readonly kind: 'lying-flush';
}

export interface FullDeviceSpec extends TriggerSpec {
  readonly kind: 'full-device';
  /** So much may still be written to units that were not written since the layer came. */
  readonly freeBytes: number;
}

export type FaultSpec =
  | ErrorSpec
  | DelaySpec
  | RateLimitSpec
  | BitRotSpec
  | StuckBitsSpec
  | LatentErrorSpec
  | MisdirectedWriteSpec
  | TornWriteSpec
  | LyingFlushSpec
  | FullDeviceSpec;

export type FaultKind = FaultSpec['kind'];

/** These keep what a disk promises. The others lose what was acknowledged or durable: no client can be right (B9). */
const WITHIN_SPECIFICATION: readonly FaultKind[] = ['error', 'delay', 'rate-limit', 'full-device'];

export function isOutside({ kind }: FaultSpec): boolean {
  return !WITHIN_SPECIFICATION.includes(kind);
}

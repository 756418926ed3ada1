// What a fuzzing client sends: options and requests that are well-formed more often than not, made from numbers that
// fast-check picks and shrinks. The smaller a number, the simpler what comes of it.

import fc from 'fast-check';
import {
  BYTES,
  COMMAND,
  COMMAND_FLAG,
  MAGIC,
  OPTION,
  putUint16,
  putUint32,
} from '../../../../daemon/nbd/protocol.js';
import { goData, optionBytes, queries } from '../raw-client.js';

export const SIZE = 320 * 1024;
/**
 * `cached` and `cached-file` have volatile caches with little memory. `late` answers later than asked, and is another
 * storage now and then.
 */
export const EXPORTS = ['memory', 'file', 'locked', 'cached', 'cached-file', 'late'] as const;

export interface FuzzCase {
  /** How the transmission phase is entered: style, context, export, flags. */
  readonly entry: number;
  /** Options before, each a number. */
  readonly options: readonly number[];
  /** Requests, two numbers each. */
  readonly requests: readonly (readonly [number, number])[];
  /** What is done to the bytes: 0 is nothing. */
  readonly damage: readonly [number, number];
  /** Bytes sent at a time. */
  readonly segments: readonly number[];
  /** Whether the client reads only when it can't send. */
  readonly lazy: boolean;
}

const word = (max = 0xffffffff): fc.Arbitrary<number> => fc.integer({ min: 0, max });

export const fuzzCases: fc.Arbitrary<FuzzCase> = fc.record(
  {
    entry: word(),
    options: fc.array(word(), { maxLength: 3 }),
    requests: fc.array(fc.tuple(word(), word()), { maxLength: 10 }),
    damage: fc.tuple(word(), word()),
    segments: fc.array(word(0xffff), { maxLength: 6 }),
    lazy: fc.boolean(),
  },
  { noNullPrototype: true },
);

/** Takes decisions out of a number, lowest digits first. */
class Choices {
  constructor(private left: number) {}

  below(count: number): number {
    const choice = this.left % count;
    this.left = Math.floor(this.left / count);
    return choice;
  }

  of<T>(first: T, ...others: readonly T[]): T {
    return others[this.below(others.length + 1) - 1] ?? first;
  }
}

/** 64-bit numbers as halves. */
type Wide = readonly [number, number];
const ODD_OFFSETS: readonly Wide[] = [
  [0, SIZE - 1],
  [0, SIZE - 512],
  [0, SIZE - 4096],
  [0, SIZE],
  [0, SIZE + 1],
  [0, 65536],
  [0, 65535],
  [0, 0x7fffffff],
  [0, 0xffffffff],
  [1, 0],
  [0x1fffff, 0xffffffff],
  [0x200000, 0],
  [0x7fffffff, 0xffffffff],
  [0x80000000, 0],
  [0xffffffff, 0xffffffff],
];
const LENGTHS = [512, 4096, 1, 0, 511, 513, 1024, 4095, 8192, 16383, 16384, 16385, 65536, 65537];
const LONG_LENGTHS: readonly Wide[] = [
  [0, SIZE],
  [0, SIZE + 1],
  [0, 2 ** 25],
  [0, 2 ** 25 + 1],
  [0, 2 ** 26 + 1],
  [0, 0xffffffff],
  [1, 0],
  [0x100, 0],
  [0x7fffffff, 0xffffffff],
  [0xffffffff, 0xffffffff],
];
const PATTERN = Buffer.from(
  Array.from({ length: SIZE + 65536 }, (_, i) => (i * 2654435761) >>> 24 || 1),
);

/** All that the client sends, before it is damaged. */
export function clientBytes({ entry, options, requests }: FuzzCase): Buffer {
  const choices = new Choices(entry);
  const style = choices.below(3);
  const name = choices.of<string>('memory', 'file', 'cached', 'late', 'cached-file', 'locked', '');
  const context = choices.below(4) > 0;
  const byName = choices.below(8) === 7;
  const flags = choices.of(3, 3, 3, 1, 3, 0, 2, 3, 3, 3, 3, 7, 3, 0x80000000);
  const parts = [uint32(flags)];
  for (const each of options) parts.push(option(each));
  if (style === 1) parts.push(optionBytes(OPTION.STRUCTURED_REPLY));
  if (style === 2) parts.push(optionBytes(OPTION.EXTENDED_HEADERS));
  if (style > 0 && context)
    parts.push(optionBytes(OPTION.SET_META_CONTEXT, queries(name, 'base:allocation')));
  if (byName && style < 2) parts.push(optionBytes(OPTION.EXPORT_NAME, Buffer.from(name)));
  else parts.push(optionBytes(OPTION.GO, goData(name)));
  for (const [i, [what, where]] of requests.entries())
    parts.push(request(what, where, i, style === 2));
  return Buffer.concat(parts);
}

/** Flips, cuts, inserts, repeats or drops bytes, or leaves them alone. */
export function damaged(bytes: Buffer, [what, where]: readonly [number, number]): Buffer {
  const choices = new Choices(what);
  const kind = choices.below(12);
  const from = Math.floor((where / 2 ** 32) * bytes.length);
  const length = choices.below(40) + 1;
  const [before, after] = [bytes.subarray(0, from), bytes.subarray(from)];
  switch (kind) {
    case 6:
      return before;
    case 7: {
      const flipped = Buffer.from(bytes);
      flipped[from] = (flipped[from] ?? 0) ^ (1 << choices.below(8));
      return flipped;
    }
    case 8:
      return Buffer.concat([before, PATTERN.subarray(from, from + length), after]);
    case 9:
      return Buffer.concat([before, after.subarray(length)]);
    case 10:
      return Buffer.concat([before, bytes.subarray(Math.max(from - length, 0), from), after]);
    case 11:
      return Buffer.concat([bytes, PATTERN.subarray(from, from + length)]);
    default:
      return bytes;
  }
}

/** A request without payload; lengths and offsets as halves. */
export function requestBytes(
  type: number,
  flags: number,
  cookie: number,
  offset: Wide,
  length: Wide,
  extended: boolean,
): Buffer {
  const head = Buffer.alloc(extended ? BYTES.EXTENDED_REQUEST : BYTES.REQUEST);
  putUint32(head, 0, extended ? MAGIC.EXTENDED_REQUEST : MAGIC.REQUEST);
  putUint16(head, 4, flags);
  putUint16(head, 6, type);
  putUint32(head, 8, 0xc00c1e);
  putUint32(head, 12, cookie);
  putUint32(head, 16, offset[0]);
  putUint32(head, 20, offset[1]);
  if (extended) putUint32(head, 24, length[0]);
  putUint32(head, extended ? 28 : 24, length[1]);
  return head;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  putUint32(bytes, 0, value);
  return bytes;
}

function option(value: number): Buffer {
  const choices = new Choices(value);
  const number = choices.of<number>(
    OPTION.LIST,
    OPTION.INFO,
    OPTION.STRUCTURED_REPLY,
    OPTION.LIST_META_CONTEXT,
    OPTION.SET_META_CONTEXT,
    OPTION.INFO,
    OPTION.EXTENDED_HEADERS,
    OPTION.STARTTLS,
    OPTION.INFO,
    OPTION.LIST_META_CONTEXT,
    OPTION.SET_META_CONTEXT,
    4,
    77,
    0xffffffff,
    OPTION.ABORT,
    OPTION.EXPORT_NAME,
  );
  const name = choices.of<string>('memory', '', 'file', 'nothing', 'x'.repeat(5000), '\u00ff');
  const spoil = choices.below(8);
  let data: Buffer = Buffer.alloc(0);
  if (number === OPTION.INFO) {
    data = goData(name, [0, 1, 2, 3, 9].slice(0, choices.below(6)));
  } else if (number === OPTION.LIST_META_CONTEXT || number === OPTION.SET_META_CONTEXT) {
    const asked = ['base:allocation', 'base:', '', 'qemu:x', 'base:allocation', 'y'.repeat(4097)];
    const first = choices.below(asked.length);
    data = queries(name, ...asked.slice(first, first + choices.below(4)));
  } else if (number === OPTION.EXPORT_NAME) {
    data = Buffer.from(name);
  }
  const at = choices.below(data.length + 1);
  if (spoil === 5) data = Buffer.concat([data, PATTERN.subarray(at, at + 3)]);
  if (spoil === 6) data = data.subarray(0, at);
  if (spoil === 7 && data.length > 0) data = flipped(data, at % data.length);
  const length = choices.below(64) === 63 ? choices.of(65536, 65537, 0xffffffff) : data.length;
  return optionBytes(number, data, length);
}

function flipped(data: Buffer, at: number): Buffer {
  const copy = Buffer.from(data);
  copy[at] = (copy[at] ?? 0) ^ 0xff;
  return copy;
}

const FLAGS: readonly number[] = [
  0,
  COMMAND_FLAG.FUA,
  COMMAND_FLAG.NO_HOLE,
  COMMAND_FLAG.DF,
  COMMAND_FLAG.REQ_ONE,
  COMMAND_FLAG.FAST_ZERO,
  COMMAND_FLAG.NO_HOLE | COMMAND_FLAG.FAST_ZERO,
  COMMAND_FLAG.PAYLOAD_LEN,
  0x8000,
];

function request(what: number, where: number, number: number, extended: boolean): Buffer {
  const choices = new Choices(what);
  const place = new Choices(where);
  const { READ, WRITE, WRITE_ZEROES, TRIM, BLOCK_STATUS, FLUSH, CACHE } = COMMAND;
  const type = choices.of<number>(
    READ,
    WRITE,
    WRITE,
    READ,
    WRITE_ZEROES,
    TRIM,
    BLOCK_STATUS,
    FLUSH,
    WRITE,
    READ,
    CACHE,
    BLOCK_STATUS,
    choices.of<number>(8, COMMAND.DISC, 0xffff, 9),
  );
  let flags = choices.below(3) === 0 ? (FLAGS[choices.below(FLAGS.length)] ?? 0) : 0;
  // Writes of extended headers say so, almost always.
  if (extended && type === WRITE && choices.below(16) < 15) flags |= COMMAND_FLAG.PAYLOAD_LEN;
  const carries = extended ? (flags & COMMAND_FLAG.PAYLOAD_LEN) !== 0 : type === WRITE;
  const many = choices.below(carries ? 64 : 12);
  const listed = place.below(LENGTHS.length);
  let length: Wide = [0, LENGTHS[listed] ?? 0];
  if (many === 11) length = LONG_LENGTHS[listed % LONG_LENGTHS.length] ?? length;
  if (many === 10) length = [0, 300_001];
  const odd = place.below(6) === 5;
  const unaligned = place.below(3) === 2;
  const at = place.below(65536);
  const room = Math.max(SIZE - length[1], 1);
  let offset: Wide = [0, (unaligned ? at * 7 : at * 512) % room];
  if (odd) offset = ODD_OFFSETS[at % ODD_OFFSETS.length] ?? offset;
  if (carries && type === BLOCK_STATUS && many < 60) {
    const filter = statusPayload(choices, length);
    return Buffer.concat([
      requestBytes(type, flags, number, offset, [0, filter.length], extended),
      filter,
    ]);
  }
  const head = requestBytes(type, flags, number, offset, length, extended);
  if (!carries) return head;
  // What is too long to be sent here begins, and stays unfinished.
  const sent = length[0] === 0 && length[1] <= SIZE + 1 ? length[1] : 1000;
  return Buffer.concat([head, PATTERN.subarray(at % 65536, (at % 65536) + sent)]);
}

/** | effect length 8 | context 4 | ... | */
function statusPayload(choices: Choices, effect: Wide): Buffer {
  const ids = choices.of<readonly number[]>([1], [1], [], [0], [1, 1], [1, 2], Array(1100).fill(1));
  const length = 8 + 4 * ids.length;
  const payload = Buffer.alloc(length);
  putUint32(payload, 0, effect[0]);
  putUint32(payload, 4, effect[1]);
  for (const [i, id] of ids.entries()) putUint32(payload, 8 + 4 * i, id);
  return payload.subarray(0, length - choices.of(0, 0, 0, 0, 3, 8));
}

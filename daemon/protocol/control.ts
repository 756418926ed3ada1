// Control payloads: one MessagePack value, packed by msgpackr, checked before it is unpacked.
//
// The check walks the bytes without building anything: it refuses lengths that the bytes can't hold
// (a five-byte array header could otherwise ask for gigabytes), deep nesting, and extension types.

import { Packr, Unpackr } from 'msgpackr';
import { PinfoldError } from './errors.js';
import { CONTROL_DEPTH_MAX } from './limits.js';

const packr = new Packr({ useRecords: false });
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number' });

/** Packs a value of numbers, strings, booleans, null, arrays and plain objects. */
export function packControl(value: unknown): Uint8Array {
  return packr.pack(value);
}

/** @throws PinfoldError EBADMSG if the bytes are not one well-formed value */
export function unpackControl(bytes: Uint8Array): unknown {
  checkWellFormed(bytes);
  try {
    const value: unknown = unpackr.unpack(bytes);
    return value;
  } catch (cause) {
    throw new PinfoldError('EBADMSG', 'the control payload cannot be unpacked', { cause });
  }
}

/** Bytes that follow the type byte: its length field, by type byte from 0xc4 on; see the MessagePack specification. */
const FIXED_BYTES: Readonly<Record<number, number | undefined>> = {
  192: 0, // nil
  194: 0, // false
  195: 0, // true
  202: 4, // float 32
  203: 8, // float 64
  204: 1, // uint 8 to 64
  205: 2,
  206: 4,
  207: 8,
  208: 1, // int 8 to 64
  209: 2,
  210: 4,
  211: 8,
};
/** Types whose length field, of so many bytes, counts bytes that follow. */
const COUNTED_BYTES: Readonly<Record<number, number | undefined>> = {
  196: 1, // bin 8 to 32
  197: 2,
  198: 4,
  217: 1, // str 8 to 32
  218: 2,
  219: 4,
};
/** Types whose length field counts values that follow; a map's twice. */
const COUNTED_VALUES: Readonly<Record<number, readonly [field: number, each: number] | undefined>> =
  {
    220: [2, 1], // array 16, 32
    221: [4, 1],
    222: [2, 2], // map 16, 32
    223: [4, 2],
  };

/** Walks over one value after the other; `values` says how many are still to come at each depth. */
function checkWellFormed(bytes: Uint8Array): void {
  const values = [1];
  let at = 0;
  const field = (length: number): number => {
    if (at + length > bytes.byteLength) throw malformed('ends inside a value', at);
    let value = 0;
    for (let i = 0; i < length; i++) value = value * 256 + (bytes[at + i] ?? 0);
    at += length;
    return value;
  };
  while (values.length > 0) {
    const left = values.pop() ?? 0;
    if (left === 0) continue;
    values.push(left - 1);
    const type = field(1);
    let skip = 0;
    let children = 0;
    if (type < 0x80 || type >= 0xe0) skip = 0;
    else if (type < 0x90) children = (type & 0x0f) * 2;
    else if (type < 0xa0) children = type & 0x0f;
    else if (type < 0xc0) skip = type & 0x1f;
    else {
      const counted = COUNTED_BYTES[type];
      const nested = COUNTED_VALUES[type];
      const fixed = FIXED_BYTES[type];
      if (counted !== undefined) skip = field(counted);
      else if (nested !== undefined) children = field(nested[0]) * nested[1];
      else if (fixed !== undefined) skip = fixed;
      else throw malformed(`holds the type 0x${type.toString(16)}, which is not allowed`, at - 1);
    }
    // Each value takes a byte at least, so a count beyond what is left is a lie.
    if (skip + children > bytes.byteLength - at)
      throw malformed('is shorter than it says it is', at);
    at += skip;
    if (children > 0) values.push(children);
    if (values.length > CONTROL_DEPTH_MAX + 1) {
      throw malformed(`is nested deeper than ${CONTROL_DEPTH_MAX} levels`, at);
    }
  }
  if (at !== bytes.byteLength) throw malformed('goes on after its value', at);
}

function malformed(what: string, at: number): PinfoldError {
  return new PinfoldError('EBADMSG', `the control payload ${what} (byte ${at})`);
}

// What the specification says about options: which answers each one may get, and what it changes.

import {
  BYTES,
  getUint16,
  getUint32,
  getUint64,
  INFO,
  OPTION,
  REPLY,
  TRANSMISSION_FLAG,
} from '../../../../daemon/nbd/protocol.js';
import type { ModelDisk } from './model.js';

/** What was negotiated so far. */
export interface Session {
  readonly disks: readonly ModelDisk[];
  /** 0 simple, 1 structured, 2 extended. */
  style: number;
  noZeroes: boolean;
  chosen: ModelDisk | null;
  /** The export whose base:allocation was selected. */
  context: ModelDisk | null;
}

/** One reply before the last one of an option. */
interface Item {
  readonly type: number;
  readonly allows: (data: Buffer) => boolean;
}

export interface Answer {
  readonly option: number;
  /** Types of the last reply that are allowed; empty for EXPORT_NAME, which is answered without any type. */
  readonly finals: readonly number[];
  /** What comes before it, in any order, each exactly once. */
  items: Item[];
}

const NAME_BYTES_MAX = 4096;

/** Applies an option to the session. @returns the answer to await, or 'close' if there is none */
export function optionRules(option: number, data: Buffer, session: Session): Answer | 'close' {
  const fails = (...finals: number[]): Answer => ({ option, finals, items: [] });
  switch (option) {
    case OPTION.EXPORT_NAME:
      return exportName(data, session);
    case OPTION.ABORT:
      return fails(REPLY.ACK);
    case OPTION.LIST:
      if (data.length > 0) return fails(REPLY.ERR_INVALID);
      return { option, finals: [REPLY.ACK], items: session.disks.map(listItem) };
    case OPTION.INFO:
    case OPTION.GO:
      return go(option, data, session);
    case OPTION.STRUCTURED_REPLY:
      if (data.length > 0) return fails(REPLY.ERR_INVALID);
      if (session.style === 2) return fails(REPLY.ERR_EXT_HEADER_REQD);
      session.style = 1;
      return fails(REPLY.ACK);
    case OPTION.EXTENDED_HEADERS:
      if (data.length > 0) return fails(REPLY.ERR_INVALID);
      session.style = 2;
      return fails(REPLY.ACK);
    case OPTION.LIST_META_CONTEXT:
    case OPTION.SET_META_CONTEXT:
      return metaContext(option, data, session);
    case OPTION.STARTTLS:
      return fails(REPLY.ERR_UNSUP, REPLY.ERR_INVALID, 0x80000002);
    default:
      return fails(REPLY.ERR_UNSUP);
  }
}

/** @returns an error text, 0 if more bytes are needed, or how many bytes the next reply to the option has */
export function judgeAnswer(
  answer: Answer,
  got: Buffer,
  session: Session,
): string | 0 | { bytes: number; done: boolean } {
  const { option, finals } = answer;
  if (finals.length === 0) return judgeExport(got, session);
  if (got.length < BYTES.OPTION_REPLY) return 0;
  const type = getUint32(got, 12);
  const bytes = BYTES.OPTION_REPLY + getUint32(got, 16);
  const said = `reply ${type.toString(16)} to option ${getUint32(got, 8)}`;
  if (got.toString('hex', 0, 8) !== '0003e889045565a9') return 'an option reply without its magic';
  if (getUint32(got, 8) !== option) return `${said}, expected one to option ${option}`;
  if (bytes > 65536) return `${said} has ${bytes} bytes`;
  if (got.length < bytes) return 0;
  const data = got.subarray(BYTES.OPTION_REPLY, bytes);
  if (type === REPLY.ACK || type >= 0x80000000) {
    if (!finals.includes(type))
      return `${said}, expected ${finals.map((n) => n.toString(16)).join(' or ')}`;
    if (type === REPLY.ACK && data.length > 0) return `${said} with data`;
    if (type === REPLY.ACK && answer.items.length > 0) return `${said} before all else was told`;
    return { bytes, done: true };
  }
  const at = answer.items.findIndex((item) => item.type === type && item.allows(data));
  if (at < 0) return `${said} with ${data.toString('hex')}, which nobody asked for`;
  answer.items.splice(at, 1);
  return { bytes, done: false };
}

function find(name: Buffer, { disks }: Session): ModelDisk | null {
  if (name.length === 0) return disks.at(0) ?? null;
  return disks.find((disk) => Buffer.from(disk.name).equals(name)) ?? null;
}

function exportName(data: Buffer, session: Session): Answer | 'close' {
  const disk = find(data, session);
  if (disk === null || session.style === 2) return 'close';
  session.chosen = disk;
  return { option: OPTION.EXPORT_NAME, finals: [], items: [] };
}

function judgeExport(got: Buffer, session: Session): string | 0 | { bytes: number; done: boolean } {
  const bytes = session.noZeroes ? 10 : 134;
  if (got.length < bytes) return 0;
  if (!allowsExport(got.subarray(0, 10), session, session.chosen)) return 'a wrong size or flags';
  return got.subarray(10, bytes).every((byte) => byte === 0)
    ? { bytes, done: true }
    : 'no 124 zeroes';
}

/** | size 8 | transmission flags 2 | */
function allowsExport(data: Buffer, { style }: Session, disk: ModelDisk | null): boolean {
  if (disk === null || data.length !== 10 || getUint64(data, 0) !== disk.bytes.length) return false;
  const flags = getUint16(data, 8);
  const has = (flag: number): boolean => (flags & flag) !== 0;
  return (
    has(TRANSMISSION_FLAG.HAS_FLAGS) &&
    has(TRANSMISSION_FLAG.READ_ONLY) === disk.readOnly &&
    has(TRANSMISSION_FLAG.SEND_FLUSH) &&
    has(TRANSMISSION_FLAG.SEND_DF) === style > 0 &&
    has(TRANSMISSION_FLAG.BLOCK_STATUS_PAYLOAD) === (style === 2)
  );
}

function listItem(disk: ModelDisk): Item {
  const name = Buffer.from(disk.name);
  return {
    type: REPLY.SERVER,
    allows: (data) =>
      data.length >= 4 + name.length &&
      getUint32(data, 0) === name.length &&
      data.subarray(4, 4 + name.length).equals(name),
  };
}

/** | length 4 | name | count 2 | info 2 | ... | */
function go(option: number, data: Buffer, session: Session): Answer {
  const fails = (final: number): Answer => ({ option, finals: [final], items: [] });
  if (data.length < 6) return fails(REPLY.ERR_INVALID);
  const nameBytes = getUint32(data, 0);
  if (nameBytes > data.length - 6 || nameBytes > NAME_BYTES_MAX) return fails(REPLY.ERR_INVALID);
  const count = getUint16(data, 4 + nameBytes);
  if (data.length !== 6 + nameBytes + 2 * count) return fails(REPLY.ERR_INVALID);
  const disk = find(data.subarray(4, 4 + nameBytes), session);
  if (disk === null) return fails(REPLY.ERR_UNKNOWN);
  const { style } = session;
  const items = [info(INFO.EXPORT, (rest) => allowsExport(rest, { ...session, style }, disk))];
  const asked = new Set<number>();
  for (let i = 0; i < count; i++) asked.add(getUint16(data, 6 + nameBytes + 2 * i));
  if (asked.has(INFO.NAME)) items.push(info(INFO.NAME, (rest) => rest.toString() === disk.name));
  if (asked.has(INFO.DESCRIPTION)) items.push(info(INFO.DESCRIPTION, () => true));
  if (asked.has(INFO.BLOCK_SIZE)) items.push(info(INFO.BLOCK_SIZE, allowsBlockSizes));
  if (option === OPTION.GO) session.chosen = disk;
  return { option, finals: [REPLY.ACK], items };
}

function info(number: number, allows: (rest: Buffer) => boolean): Item {
  return {
    type: REPLY.INFO,
    allows: (data) => data.length >= 2 && getUint16(data, 0) === number && allows(data.subarray(2)),
  };
}

function allowsBlockSizes(rest: Buffer): boolean {
  const [min, preferred, max] = [getUint32(rest, 0), getUint32(rest, 4), getUint32(rest, 8)];
  return rest.length === 12 && min >= 1 && preferred >= Math.max(min, 512) && max >= 2 ** 20;
}

/** | length 4 | export's name | count 4 | length 4 | query | ... | */
function metaContext(option: number, data: Buffer, session: Session): Answer {
  const fails = (final: number): Answer => ({ option, finals: [final], items: [] });
  const setting = option === OPTION.SET_META_CONTEXT;
  if (setting) session.context = null;
  const parsed = session.style === 0 ? null : parseQueries(data);
  if (parsed === null) return fails(REPLY.ERR_INVALID);
  const disk = find(parsed.name, session);
  if (disk === null) return fails(REPLY.ERR_UNKNOWN);
  const { queries } = parsed;
  const told =
    queries.includes('base:allocation') ||
    (!setting && (queries.length === 0 || queries.includes('base:')));
  if (setting && told) session.context = disk;
  const allows = (rest: Buffer): boolean => rest.toString('latin1', 4) === 'base:allocation';
  return {
    option,
    finals: [REPLY.ACK],
    items: told ? [{ type: REPLY.META_CONTEXT, allows }] : [],
  };
}

function parseQueries(data: Buffer): { name: Buffer; queries: string[] } | null {
  const text = (at: number): Buffer | null => {
    if (at + 4 > data.length) return null;
    const length = getUint32(data, at);
    const fits = length <= data.length - at - 4 && length <= NAME_BYTES_MAX;
    return fits ? data.subarray(at + 4, at + 4 + length) : null;
  };
  const name = text(0);
  if (name === null || 8 + name.length > data.length) return null;
  const count = getUint32(data, 4 + name.length);
  const queries: string[] = [];
  let at = 8 + name.length;
  for (let i = 0; i < count; i++) {
    const query = text(at);
    if (query === null) return null;
    queries.push(query.toString('latin1'));
    at += 4 + query.length;
  }
  return at === data.length ? { name, queries } : null;
}

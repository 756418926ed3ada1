// One block of a directory: entries packed one after the other (layout.ts), and the hash of names.

import { read, write } from '../memory/word.js';
import { Errno } from '../sched/errors.js';
import { damaged } from './core.js';
import { blockCrc } from './dinode.js';
import { BLOCK_WORDS, DB, DIR_MAGIC, DIRENT_WORDS, NAME_BYTES_MAX, S_IF } from './layout.js';

/** What an entry says of the type of its inode. */
export const DIRENT_TYPE = { file: 1, dir: 2, link: 3 } as const;

/** Words for entries in a block. */
export const ENTRY_WORDS_MAX = BLOCK_WORDS - DB.entries;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A name as bytes. @throws Errno EINVAL, ENAMETOOLONG */
export function encodeName(name: string): Uint8Array {
  const bytes = encoder.encode(name);
  if (bytes.length === 0 || name === '.' || name === '..' || /[/\0]/.test(name)) {
    throw new Errno('EINVAL', `"${name}" is no name: 1 to 255 bytes without "/"`);
  }
  if (bytes.length > NAME_BYTES_MAX) {
    throw new Errno('ENAMETOOLONG', `a name has at most ${String(NAME_BYTES_MAX)} bytes`);
  }
  return bytes;
}

/** The hash that says in which block a name is. */
export function hashName(name: Uint8Array, seed: number): number {
  let hash = seed;
  for (const byte of name) hash = Math.imul(hash ^ byte, 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** The type of an inode of this mode, as entries say it. */
export function direntType(mode: number): number {
  switch (mode & S_IF.mask) {
    case S_IF.dir:
      return DIRENT_TYPE.dir;
    case S_IF.link:
      return DIRENT_TYPE.link;
    default:
      return DIRENT_TYPE.file;
  }
}

/** Words that an entry takes. */
export function entryWords(nameBytes: number): number {
  return DIRENT_WORDS + ((nameBytes + 3) >>> 2);
}

/** Makes a zeroed block an empty directory block. Inside a change; seal it afterwards. */
export function initDirBlock(words: Int32Array, at: number, owner: number): void {
  write(words, at + DB.magic, DIR_MAGIC);
  write(words, at + DB.owner, owner);
  write(words, at + DB.usedWords, 0);
}

/** Brings the CRC of a changed block up to date. */
export function sealDirBlock(words: Int32Array, at: number): void {
  write(words, at + DB.crc, blockCrc(words, at));
}

/** @throws Errno EUCLEAN if the block is no sound directory block of `owner` */
export function checkDirBlock(words: Int32Array, at: number, owner: number, block: number): void {
  const used = read(words, at + DB.usedWords);
  const sane =
    read(words, at + DB.magic) === DIR_MAGIC &&
    read(words, at + DB.owner) === owner &&
    used >= 0 &&
    used <= ENTRY_WORDS_MAX &&
    read(words, at + DB.crc) === blockCrc(words, at);
  if (!sane) throw damaged(`directory inode ${String(owner)}: block ${String(block)} is damaged`);
}

/** Words of the entry at `entry`, or 0 if what is there is no entry that ends by `end`. */
export function entryLength(words: Int32Array, entry: number, end: number): number {
  if (entry + DIRENT_WORDS >= end) return 0;
  const nameBytes = words[entry + 2] & 0xffff;
  const length = entryWords(nameBytes);
  return nameBytes > 0 && nameBytes <= NAME_BYTES_MAX && entry + length <= end ? length : 0;
}

/** Where the entry of this name starts in a block, or -1. */
export function findInBlock(words: Int32Array, at: number, hash: number, name: Uint8Array): number {
  const end = at + DB.entries + words[at + DB.usedWords];
  for (let entry = at + DB.entries; entry < end; ) {
    if (words[entry + 1] >>> 0 === hash && nameEquals(words, entry, name)) return entry;
    const length = entryLength(words, entry, end);
    if (length === 0)
      throw damaged(`a directory block has no sound entry at word ${String(entry - at)}`);
    entry += length;
  }
  return -1;
}

/** Appends an entry, for which there is room. */
export function appendEntry(
  words: Int32Array,
  at: number,
  ino: number,
  hash: number,
  type: number,
  name: Uint8Array,
): void {
  const used = words[at + DB.usedWords];
  const entry = at + DB.entries + used;
  write(words, entry, ino);
  write(words, entry + 1, hash | 0);
  write(words, entry + 2, name.length | (type << 16));
  const length = entryWords(name.length);
  words.fill(0, entry + DIRENT_WORDS, entry + length);
  bytesAt(words, entry + DIRENT_WORDS, name.length).set(name);
  write(words, at + DB.usedWords, used + length);
}

/** Takes the entry at `entry` out. */
export function removeEntry(words: Int32Array, at: number, entry: number): void {
  const end = at + DB.entries + words[at + DB.usedWords];
  const length = entryLength(words, entry, end);
  words.copyWithin(entry, entry + length, end);
  words.fill(0, end - length, end);
  write(words, at + DB.usedWords, words[at + DB.usedWords] - length);
}

/** An entry as plain data. */
export interface Dirent {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly ino: number;
  readonly type: number;
  readonly hash: number;
}

/** All entries of a block. @throws Errno EUCLEAN */
export function listBlock(words: Int32Array, at: number): Dirent[] {
  const entries: Dirent[] = [];
  const end = at + DB.entries + words[at + DB.usedWords];
  for (let entry = at + DB.entries; entry < end; ) {
    const length = entryLength(words, entry, end);
    if (length === 0)
      throw damaged(`a directory block has no sound entry at word ${String(entry - at)}`);
    const head = words[entry + 2];
    const bytes = bytesAt(words, entry + DIRENT_WORDS, head & 0xffff).slice();
    entries.push({
      name: decoder.decode(bytes),
      bytes,
      ino: words[entry],
      type: head >>> 16,
      hash: words[entry + 1] >>> 0,
    });
    entry += length;
  }
  return entries;
}

function nameEquals(words: Int32Array, entry: number, name: Uint8Array): boolean {
  if ((words[entry + 2] & 0xffff) !== name.length) return false;
  const bytes = bytesAt(words, entry + DIRENT_WORDS, name.length);
  for (let i = 0; i < name.length; i++) if (bytes[i] !== name[i]) return false;
  return true;
}

function bytesAt(words: Int32Array, at: number, length: number): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset + at * 4, length);
}

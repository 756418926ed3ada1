// The server's side of a fuzzed connection, in this process: connections over socket pairs, whose turns are called one by
// one. What comes back is judged by the reference, and the disks are compared with it.

import { Connection } from '../../../../daemon/nbd/connection.js';
import type { OpenableExport } from '../../../../daemon/nbd/connection-host.js';
import { NbdCounters } from '../../../../daemon/nbd/counters.js';
import { createCache } from '../../../../daemon/nbd/disk-cache.js';
import type { DiskData } from '../../../../daemon/nbd/messages.js';
import { Patience } from '../../../../daemon/nbd/patience.js';
import { COMMAND, ERROR, OPTION } from '../../../../daemon/nbd/protocol.js';
import type { Clock, Storage } from '../../../../daemon/nbd/storage.js';
import { ThreadDisk } from '../../../../daemon/nbd/thread-disk.js';
import { WrittenPages } from '../../../../daemon/written-pages.js';
import {
  Arena,
  closeDescriptor,
  createMemory,
  type Memory,
  PLACE,
  Poller,
  socketPair,
} from '../../../../native/index.js';
import { goData, optionBytes } from '../raw-client.js';
import {
  clientBytes,
  damaged,
  EXPORTS,
  type FuzzCase,
  requestBytes,
  SIZE,
} from './client-bytes.js';
import { LateDisk } from './late-disk.js';
import type { ModelDisk } from './model.js';
import { Reference } from './reference.js';

const UNIT_BYTES = 512;
/** Of the volatile caches: less than the disk has. */
const VERSION_BYTES = 256 * 1024;
const RECEIVE_BYTES = 1024 * 1024;
/** Turns that one connection may take beyond those that its bytes explain. */
const TURNS_MAX = 64;
const TURN_BYTES = 2048;

interface ServedDisk {
  readonly exported: OpenableExport;
  readonly memory: Memory;
  /** To look at it. */
  readonly storage: Storage;
  readonly model: ModelDisk;
}

/** Throws with the reason; the case is what fast-check shows. */
function demand(holds: boolean, reason: string): asserts holds {
  if (!holds) throw new Error(reason);
}

export class FuzzedServer {
  readonly poller = new Poller();
  readonly counters = new NbdCounters();
  readonly patience = new Patience();
  readonly tls = 'none' as const;
  readonly nowMs = 0;
  readonly exports: readonly OpenableExport[];
  readonly #late: LateDisk;
  /** Of the disk that answers later. */
  readonly clock: Clock & { us: number } = {
    virtual: true,
    us: 0,
    nowUs() {
      return this.us;
    },
    advance(toUs) {
      this.us = toUs;
    },
  };
  readonly #disks: readonly ServedDisk[];
  readonly #caches: Memory[] = [];
  readonly #look = Buffer.alloc(SIZE);
  #cases = 0;
  readonly wire = new Arena([new Uint8Array(new SharedArrayBuffer(1))]);
  readonly received = Buffer.alloc(RECEIVE_BYTES);

  constructor() {
    const memories = EXPORTS.map((name) => createMemory(SIZE, { name: `pinfold-fuzz-${name}` }));
    this.#late = new LateDisk('late', memories.at(-1) ?? createMemory(SIZE), this.clock);
    this.#disks = EXPORTS.map((name, i) => {
      const memory = memories[i] ?? createMemory(SIZE);
      const plain = name === 'late' ? null : threadDisk(name, memory, this.#caches);
      const exported = plain ?? this.#late;
      const { readOnly } = exported;
      const storage =
        plain?.open({ fd: -1, isQuiet: true, answered: () => undefined }) ?? this.#late.open();
      return { exported, memory, storage, model: { name, readOnly, bytes: Buffer.alloc(SIZE) } };
    });
    this.exports = this.#disks.map(({ exported }) => exported);
  }

  /** The disk has another storage from now on. */
  replaceStorage(): void {
    this.#late.epoch++;
  }

  close(): void {
    for (const { exported } of this.#disks) if (exported instanceof ThreadDisk) exported.close();
    this.poller.close();
    for (const memory of [...this.#disks.map((disk) => disk.memory), ...this.#caches])
      memory.close();
  }

  /** One client's whole life. @throws Error saying what is wrong, if anything is */
  run(fuzzed: FuzzCase): void {
    const reference = new Reference(this.#disks.map(({ model }) => model));
    const peer = new Peer(this, reference);
    try {
      peer.sends(damaged(clientBytes(fuzzed), fuzzed.damage), fuzzed.segments, fuzzed.lazy);
      this.#settle(peer, reference);
    } catch (error) {
      // What is wrong is known; the next case begins with disks that the reference knows.
      peer.end();
      this.#compare(reference);
      throw error;
    }
    peer.end();
    const wrong = this.#compare(reference);
    demand(wrong === null, wrong ?? '');
    demand(peer.closed, 'the connection outlives its client');
  }

  /** Every request is answered by now; the connection is closed, or serves on. */
  #settle(peer: Peer, reference: Reference): void {
    const late = reference.session.chosen?.name === 'late';
    if (late && reference.ambiguous) return;
    // Answers that are postponed wait for the end of a payload that has begun, and nonsense ends them.
    const missing = reference.missing();
    const waits = late && (reference.inPayload || reference.broken);
    demand(missing === null || waits, missing ?? '');
    demand(
      peer.closed === reference.closes,
      reference.closes ? 'the connection should be closed' : 'the connection is closed',
    );
    if (reference.closes || !reference.atBoundary) return;
    if (!reference.transmits) peer.sends(optionBytes(OPTION.GO, goData('')));
    const extended = reference.session.style === 2;
    peer.sends(requestBytes(COMMAND.READ, 0, 0xffff, [0, 1000], [0, 3000], extended));
    const unanswered = reference.missing();
    demand(unanswered === null, unanswered ?? '');
    demand(!peer.closed, 'closed after a fresh READ');
  }

  /** A write that was cut off may have left whole units; all else is as the reference has it. */
  #compare(reference: Reference): string | null {
    const open = reference.openWrite();
    let wrong: string | null = null;
    const bytes = this.#look;
    this.#cases++;
    for (const [i, { exported, storage, model }] of this.#disks.entries()) {
      // The one that was used, and of the others one after the other.
      if (model !== reference.session.chosen && this.#cases % this.#disks.length !== i) continue;
      if (storage.copy(0, bytes) !== ERROR.NONE) return `${exported.name} can not be read`;
      if (open !== null && open.disk === model) wrong ??= takeUnits(bytes, model.bytes, open);
      if (bytes.equals(model.bytes)) continue;
      const at = bytes.findIndex((byte, i) => byte !== model.bytes[i]);
      wrong ??= `${exported.name} holds ${bytes[at] ?? -1} at ${at}, not ${model.bytes[at] ?? -1}`;
      bytes.copy(model.bytes);
    }
    return wrong;
  }
}

/** @param caches gets the memory of its cache */
function threadDisk(name: string, memory: Memory, caches: Memory[]): ThreadDisk {
  const { fd } = memory;
  const segments = [...memory.segments];
  const source: DiskData['source'] = name.endsWith('file')
    ? { kind: 'file', fd }
    : { kind: 'memory', fd, segments, written: new WrittenPages(SIZE).shared };
  const readOnly = name === 'locked';
  const unitBytes = name === 'cached' ? 512 : 4096;
  const shape = { unitBytes, atomicBytes: 0, versionBytes: VERSION_BYTES };
  const made = name.startsWith('cached')
    ? createCache(SIZE, shape, source.kind === 'file' ? fd : null)
    : null;
  if (made !== null) caches.push(made.memory);
  const cache = made?.data ?? null;
  return new ThreadDisk(
    { name, description: name, sizeBytes: SIZE, readOnly, source, cache },
    null,
    () => undefined,
    () => false,
  );
}

/** Takes over what an unfinished write has left. @returns what is wrong with it */
function takeUnits(
  bytes: Buffer,
  model: Buffer,
  { offset, length, payload }: { offset: number; length: number; payload: Buffer },
): string | null {
  for (let at = offset; at < offset + length; ) {
    const end = Math.min(Math.floor(at / UNIT_BYTES) * UNIT_BYTES + UNIT_BYTES, offset + length);
    const unit = bytes.subarray(at, end);
    const written = payload.subarray(at - offset, end - offset);
    if (!unit.equals(model.subarray(at, end))) {
      if (!unit.equals(written)) return `a torn unit at ${at}`;
      unit.copy(model, at);
    }
    at = end;
  }
  return null;
}

/** One connection: the client's socket, and the server's turns. */
class Peer {
  closed = false;
  #gone = false;
  readonly #fd: number;
  readonly #connection: Connection<OpenableExport>;
  readonly #triple = Float64Array.from([PLACE.BUFFER, 0, 0]);
  #turns = 0;
  #moved = 0;
  #segments = 0;

  constructor(
    private readonly server: FuzzedServer,
    private readonly reference: Reference,
  ) {
    const [serverFd, clientFd] = socketPair();
    this.#fd = clientFd;
    this.#connection = new Connection(serverFd, server);
    this.#turn();
  }

  /** Sends in pieces, with turns of the server in between, until it has nothing more to do. */
  sends(bytes: Buffer, segments: readonly number[] = [], lazy = false): void {
    this.reference.sends(bytes);
    // What is received must not depend on how long the server asks for it.
    this.server.patience.isAllowed = segments.length % 2 === 1;
    let at = 0;
    for (const length of [...segments, bytes.length]) {
      const end = Math.min(at + length, bytes.length);
      this.#segments++;
      for (let full = 0; at < end && !this.closed && full < 2; ) {
        const sent = this.#send(bytes, at, end - at);
        at += sent;
        full = sent === 0 ? full + 1 : 0;
        if (full === 1) this.#turn();
        if (full === 2 && this.#drain() > 0) full = 0;
      }
      this.#turn();
      if (!lazy) this.#serve();
    }
    this.#serve();
    demand(this.closed || at === bytes.length, `only ${at} of ${bytes.length} bytes are taken`);
  }

  /** The client goes away. */
  end(): void {
    closeDescriptor(this.#fd);
    this.#gone = true;
    for (let i = 0; i < TURNS_MAX && !this.closed; i++) this.#turnOnce();
    if (!this.closed) this.#connection.close();
  }

  /** Reads what there is, and lets the server go on, until both have nothing to do. */
  #serve(): void {
    do {
      this.#turn();
      this.server.replaceStorage();
    } while (this.#drain() > 0 || this.#passTime());
  }

  /** Puts the clock forward to what was postponed. @returns false if nothing was */
  #passTime(): boolean {
    const { dueUs } = this.#connection;
    if (this.closed || dueUs === Number.POSITIVE_INFINITY) return false;
    this.server.clock.advance(dueUs);
    return true;
  }

  #turn(): void {
    while (!this.closed && this.#turnOnce() === 'again');
    const explained = (4 * this.#moved) / TURN_BYTES + 8 * this.#segments + TURNS_MAX;
    demand(this.#turns <= explained, `${this.#turns} turns for ${this.#moved} bytes`);
  }

  #turnOnce(): string {
    this.#turns++;
    const turn = this.#connection.turn();
    if (turn !== 'closed') return turn;
    this.closed = true;
    if (!this.#gone) this.#drain();
    this.#connection.close();
    return turn;
  }

  #send(bytes: Buffer, at: number, length: number): number {
    this.#triple[1] = at;
    this.#triple[2] = length;
    const sent = Math.max(this.server.wire.send(this.#fd, bytes, this.#triple, 0, 1, 0), 0);
    this.#moved += sent;
    return sent;
  }

  /** @returns how much came */
  #drain(): number {
    const { wire, received } = this.server;
    let all = 0;
    while (true) {
      const got = wire.receive(this.#fd, 0, 0, 1, received, 0, received.length, 0);
      if (got <= 0) break;
      all += got;
      const wrong = this.reference.receives(received.subarray(0, got));
      const late = this.reference.session.chosen?.name === 'late';
      demand(wrong === null || (late && this.reference.ambiguous), wrong ?? '');
    }
    this.#moved += all;
    return all;
  }
}

// A peer of the disks' thread: it serves connections to disks in memory, which that thread gives to it and may recall.

import { workerData } from 'node:worker_threads';
import { clearEvent, WakeEvent } from '../../native/index.js';
import { Connection } from './connection.js';
import { COUNTER, NbdCounters } from './counters.js';
import { WAIT_MS } from './limits.js';
import { Loads } from './loads.js';
import { type PeerData, peerDataSchema } from './messages.js';
import { PeerDisk } from './peer-disk.js';
import { type FromPeer, type Moved, toPeerSchema } from './peer-messages.js';
import { messagesOn } from './port-messages.js';
import { ServingThread } from './serving-thread.js';

interface Recall {
  readonly disk: PeerDisk;
  readonly id: number;
}

class PeerThread extends ServingThread<Connection<PeerDisk>> {
  readonly exports: readonly PeerDisk[];
  readonly tls = 'none';
  readonly #data: PeerData;
  /** Those that wait for the end of a WRITE. */
  #recalls: readonly Recall[] = [];

  constructor(data: PeerData) {
    super(new NbdCounters(data.counters), new Loads(data.loads), data.wakeFd);
    this.#data = data;
    this.exports = data.disks.map((disk) => new PeerDisk(disk, data.thread));
  }

  run(): void {
    while (!this.stopping) {
      this.round(WAIT_MS);
      if (this.#recalls.length > 0) this.#answerRecalls();
    }
    this.finish();
  }

  protected override receiveMessages(): void {
    const { port, wakeFd } = this.#data;
    clearEvent(wakeFd);
    for (const message of messagesOn(port)) {
      const word = toPeerSchema.parse(message);
      if (word === 'stop') this.stopping = true;
      else if ('moved' in word) this.#take(word.moved);
      else if ('cut' in word) this.#cut(word.cut, word.id);
      else this.#recall(word.recall, word.id);
    }
  }

  #take({ fd, disk, hasContext, style, received }: Moved): void {
    const chosen = this.exports.find(({ name }) => name === disk);
    if (chosen === undefined) throw new RangeError(`no disk of a peer is named ${disk}`);
    // It would not have been given otherwise.
    chosen.isRecalled = false;
    const beginning = { kind: 'moved', chosen, hasContext, style, received } as const;
    this.connections.set(fd, new Connection(fd, this, beginning));
    this.turn(fd);
  }

  #recall(name: string, id: number): void {
    const disk = this.exports.find((each) => each.name === name);
    if (disk === undefined) {
      this.#tell({ recalled: id, quiet: true }); // it has never been plain
      return;
    }
    disk.isRecalled = true;
    for (const [fd, connection] of [...this.connections]) {
      if (connection.exported === disk) this.turn(fd);
    }
    this.#tell({ recalled: id, quiet: false });
    this.#recalls = [...this.#recalls, { disk, id }];
    this.#answerRecalls();
  }

  #cut(name: string, id: number): void {
    let connections = 0;
    for (const [fd, connection] of [...this.connections]) {
      if (connection.exported?.name !== name) continue;
      this.close(fd, connection);
      connections++;
    }
    this.#tell({ cut: id, connections });
  }

  /** Connections that stay have replies to send first: that concerns nobody else. */
  #answerRecalls(): void {
    const writing = new Set<PeerDisk | null>();
    for (const { exported, stalledSinceMs } of this.connections.values()) {
      if (stalledSinceMs < Number.POSITIVE_INFINITY) writing.add(exported);
    }
    for (const { disk, id } of this.#recalls) {
      if (!writing.has(disk)) this.#tell({ recalled: id, quiet: true });
    }
    this.#recalls = this.#recalls.filter(({ disk }) => writing.has(disk));
  }

  protected override moveOn(fd: number, connection: Connection<PeerDisk>): void {
    if (this.stopping) {
      this.close(fd, connection);
      return;
    }
    const moved = connection.leave();
    this.forget(fd);
    this.poller.remove(fd);
    this.loads.add(this.#data.thread, -1);
    this.#tell({ moved });
  }

  #tell(word: FromPeer): void {
    this.#data.port.postMessage(word);
    WakeEvent.signal(this.#data.disksWakeFd);
  }

  protected override closed(): void {
    this.loads.add(this.#data.thread, -1);
    this.counters.add(COUNTER.nbdConnections, -1);
  }

  protected override beforeSleep(): void {
    // all is told at once
  }

  protected override heard(): boolean {
    return false;
  }

  protected override turned(): void {
    // nobody here is a stranger
  }

  protected override mayEnd(): boolean {
    return true;
  }
}

new PeerThread(peerDataSchema.parse(workerData)).run();

// One CPU or device of a stress against a daemon: a client with an address space of its own.

import { connect, type File, type Mapping, PinfoldError, type Volume } from '../node/index.js';
import type { Operation } from './board.js';
import { closeClaim, openClaim, type Spot } from './job.js';
import { HOT_PAGES, REGISTERED_PAGES } from './limits.js';
import { explain, judge, newClaim } from './oracle.js';
import { type FilePlan, writerName } from './plan.js';
import { Random } from './random.js';
import type { SocketRun } from './socket-run.js';
import { CELL_BYTES, CELL_WORDS, newCell, PAGE_BYTES, readCell, writeStamp } from './stamp.js';
import { EVENT } from './tables.js';

/** Pages of one pin. */
const PIN_PAGES = 4;
/** Rounds of stores that a device makes to a long pin. */
const LONG_ROUNDS = 20;

interface Opened {
  readonly plan: FilePlan;
  readonly file: File;
  readonly mapping: Mapping;
}

export class SocketWorker {
  private readonly random: Random;
  private readonly name: string;
  private readonly words = new Int32Array(CELL_WORDS);
  private readonly bytes = new Uint8Array(this.words.buffer);
  private opened: Opened[] = [];

  constructor(
    private readonly run: SocketRun,
    private readonly writer: number,
  ) {
    this.random = new Random(run.seed, 1, writer);
    this.name = writerName(run.plan, writer);
  }

  /** Works until the board says stop. */
  async work(socket: string): Promise<void> {
    const { run, writer } = this;
    const client = await connect(socket, { name: `stress ${this.name}`, reconnect: false });
    try {
      const volume = await client.volume(run.volumeName);
      this.opened = await this.open(volume);
      while (!run.board.stopping) {
        if (writer < run.plan.cpus) await this.cpuTurn(volume);
        else await this.deviceTurn();
      }
      for (const { mapping, file } of this.opened) {
        await mapping.unmap();
        await file.close();
      }
    } finally {
      await client.close();
    }
  }

  private async open(volume: Volume): Promise<Opened[]> {
    const opened: Opened[] = [];
    for (const plan of this.run.files) {
      const file = await volume.open(`${this.run.folder}/${plan.name}`);
      opened.push({ plan, file, mapping: await file.map(0, plan.pages * PAGE_BYTES) });
    }
    return opened;
  }

  private async cpuTurn(volume: Volume): Promise<void> {
    const one = this.any();
    const page = this.page(one.plan);
    const choice = this.random.below(100);
    if (choice < 40) await this.store(one, page, 'mmap-store');
    else if (choice < 60) await this.store(one, page, 'write');
    else if (choice < 90) await this.load(one, page);
    else if (choice < 94) await this.counted('fsync', () => one.file.fsync());
    else if (choice < 97) await this.counted('writeback', () => volume.writeback('flush'));
    else await this.cut(one, page, this.random.oneIn(4));
  }

  /** Stores the writer's own cell through the mapping, or writes it. */
  private async store(one: Opened, page: number, how: 'mmap-store' | 'write'): Promise<void> {
    const { tables } = this.run;
    const spot = { file: one.plan, page };
    const cuts = tables.cutsBefore(one.plan, page);
    const sequence = this.stamp(spot);
    const offset = page * PAGE_BYTES + this.writer * CELL_BYTES;
    const stored = await this.tolerant(spot, cuts, () =>
      how === 'write' ? one.file.pwrite(offset, this.bytes) : one.mapping.store(offset, this.bytes),
    );
    if (!stored) return;
    tables.answer(one.plan, page, this.writer, sequence, cuts);
    tables.note(one.plan, page, how === 'write' ? EVENT.write : EVENT.store);
    this.run.board.add(this.writer, how);
    this.run.board.add(this.writer, 'storeBytes', CELL_BYTES);
  }

  /** Loads anybody's cell: it must be legal just now. */
  private async load(one: Opened, page: number): Promise<void> {
    const { tables, plan, board } = this.run;
    const spot = { file: one.plan, page };
    const writer = this.random.below(plan.writers);
    const cuts = tables.cutsBefore(one.plan, page);
    const claim = newClaim();
    openClaim(tables, spot, writer, claim);
    const words = new Int32Array(CELL_WORDS);
    const loaded = await this.tolerant(spot, cuts, async () => {
      const offset = page * PAGE_BYTES + writer * CELL_BYTES;
      new Uint8Array(words.buffer).set(await one.mapping.load(offset, CELL_BYTES));
    });
    if (!loaded) return;
    closeClaim(tables, spot, writer, claim);
    const cell = newCell();
    readCell(words, 0, cell);
    board.add(this.writer, 'mmap-load');
    board.add(this.writer, 'cellsRead');
    const kind = judge(cell, { writer, file: one.plan.number, page }, claim);
    if (kind === null) return;
    const what = `${one.plan.name} page ${page}: cell of writer ${writer}: ${explain(cell, claim)}`;
    this.run.found(kind, null, this.name, `${what}; ${tables.story(one.plan, page)}`);
  }

  /** Truncates the file at a page and makes it whole again, or punches the page. */
  private async cut(one: Opened, page: number, short: boolean): Promise<void> {
    const { tables } = this.run;
    const last = short ? one.plan.pages - 1 : page;
    tables.countCuts(one.plan, page, last, false);
    const done = await this.tolerant({ file: one.plan, page }, 0, async () => {
      if (short) {
        await one.file.truncate(page * PAGE_BYTES);
        await one.file.truncate(one.plan.pages * PAGE_BYTES);
      } else {
        await one.file.punch(page * PAGE_BYTES, PAGE_BYTES);
      }
    });
    if (!done) return;
    tables.countCuts(one.plan, page, last, true);
    this.run.board.add(this.writer, short ? 'truncate' : 'punch');
  }

  /** Pins some pages, stores into each, and unpins: that answers a short pin. */
  private async deviceTurn(): Promise<void> {
    const { tables, board } = this.run;
    const one = this.any();
    const longterm = this.random.oneIn(20);
    const page = longterm
      ? this.random.below(REGISTERED_PAGES - PIN_PAGES)
      : REGISTERED_PAGES + this.random.below(one.plan.pages - REGISTERED_PAGES - PIN_PAGES);
    const cuts = Array.from({ length: PIN_PAGES }, (_, i) => tables.cutsBefore(one.plan, page + i));
    const pin = await this.pin(one, page, longterm);
    if (pin === null) return;
    board.add(this.writer, longterm ? 'long-pin' : 'short-pin');
    board.add(this.writer, 'pagesPinned', pin.pages);
    const answers: (() => void)[] = [];
    for (let round = 0; round < (longterm ? LONG_ROUNDS : 1); round++) {
      for (let i = 0; i < pin.pages; i++) {
        const spot = { file: one.plan, page: page + i };
        tables.note(one.plan, page + i, longterm ? EVENT.longPin : EVENT.shortPin);
        const accountable = !tables.cutSince(one.plan, page + i, cuts[i]);
        const sequence = this.stamp(spot);
        await pin.dmaWrite(i * PAGE_BYTES + this.writer * CELL_BYTES, this.bytes);
        tables.note(one.plan, page + i, EVENT.dma);
        board.add(this.writer, 'dma-write');
        board.add(this.writer, 'dmaBytes', CELL_BYTES);
        const answer = (): void => {
          tables.answer(one.plan, page + i, this.writer, sequence, cuts[i]);
        };
        if (!accountable) continue;
        if (longterm) answer();
        else answers.push(answer);
      }
    }
    await pin.unpin();
    for (const answer of answers) answer();
    if (longterm) board.add(this.writer, 'long-unpin');
  }

  private async pin(one: Opened, page: number, longterm: boolean) {
    try {
      return await one.mapping.pin(page * PAGE_BYTES, PIN_PAGES * PAGE_BYTES, { longterm });
    } catch (error) {
      if (!(error instanceof PinfoldError) || this.run.panicked) throw error;
      const file = one.plan;
      const cut = Array.from({ length: PIN_PAGES }, (_, i) => page + i).some((index) =>
        this.isBeingCut({ file, page: index }),
      );
      if (longterm && (error.code === 'EFAULT' || error.code === 'EAGAIN')) {
        this.run.board.add(this.writer, 'long-pin-refused');
      } else if (cut || error.code === 'EIO' || error.code === 'EFAULT') {
        this.run.board.add(this.writer, 'sigbus');
      } else {
        this.spurious(error, { file, page });
      }
      return null;
    }
  }

  /** Runs an access of a page; past the end of a file that is being cut it may fail (SIGBUS). */
  private async tolerant(spot: Spot, cuts: number, access: () => Promise<void>): Promise<boolean> {
    try {
      await access();
      return true;
    } catch (error) {
      if (!(error instanceof PinfoldError) || this.run.panicked) throw error;
      if (error.code === 'EIO' && this.run.tables.cutSince(spot.file, spot.page, cuts)) {
        this.run.board.add(this.writer, 'sigbus');
      } else {
        this.spurious(error, spot);
      }
      return false;
    }
  }

  private isBeingCut({ file, page }: Spot): boolean {
    const { tables } = this.run;
    return tables.cutSince(file, page, tables.cutsBefore(file, page));
  }

  private spurious(error: PinfoldError, { file, page }: Spot): void {
    this.run.found(
      'spurious-error',
      null,
      this.name,
      `${file.name} page ${page}: ${error.message}`,
    );
  }

  private async counted(operation: Operation, call: () => Promise<void>): Promise<void> {
    await call();
    this.run.board.add(this.writer, operation);
  }

  private stamp({ file, page }: Spot): number {
    const sequence = this.run.tables.begin(file, page, this.writer);
    writeStamp(this.words, 0, this.writer, sequence, file.number, page);
    return sequence;
  }

  private any(): Opened {
    return this.opened[this.random.below(this.opened.length)];
  }

  private page(file: FilePlan): number {
    const hot = REGISTERED_PAGES + HOT_PAGES;
    return this.random.below(this.random.oneIn(2) ? hot : file.pages);
  }
}

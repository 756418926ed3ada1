// Which pages of a disk in memory may hold data, in shared memory of its own: a byte per page. What was never written is
// then neither looked up in the host nor read, which would give it memory.
//
// Any thread may note and forget at any time. Who writes notes it afterwards; a discard
// forgets first. So a page that holds
// data is noted at the end, whichever way the two meet.

const PAGE_BYTES = 4096;
const WRITTEN = 1;

export class WrittenPages {
  /** A byte per page, 1 if it is noted. */
  readonly pages: Uint8Array;

  /** @param shared another thread's WrittenPages.shared, for the same disk */
  constructor(
    private readonly sizeBytes: number,
    readonly shared = new SharedArrayBuffer(Math.ceil(sizeBytes / PAGE_BYTES)),
  ) {
    this.pages = new Uint8Array(shared);
  }

  /** These bytes have been written. */
  note(offset: number, length: number): void {
    const end = offset + length;
    if (length > 0) {
      this.pages.fill(WRITTEN, Math.floor(offset / PAGE_BYTES), Math.ceil(end / PAGE_BYTES));
    }
  }

  /**
   * Discards these bytes. Pages of which only a part is discarded stay noted.
   * @param action gives their memory back. @throws what it throws: then all of them are noted
   */
  discard(offset: number, length: number, action: () => void): void {
    this.#forget(offset, length);
    try {
      action();
    } catch (error) {
      this.note(offset, length);
      throw error;
    }
  }

  #forget(offset: number, length: number): void {
    const end = offset + length;
    const last = end === this.sizeBytes ? this.pages.length : Math.floor(end / PAGE_BYTES);
    const first = Math.ceil(offset / PAGE_BYTES);
    if (first < last) this.pages.fill(0, first, last);
  }

  has(offset: number): boolean {
    return this.pages[Math.floor(offset / PAGE_BYTES)] === WRITTEN;
  }

  /** Whether whole pages are all noted. */
  hasAll(offset: number, length: number): boolean {
    const first = offset / PAGE_BYTES;
    return !this.pages.subarray(first, first + length / PAGE_BYTES).includes(0);
  }

  /**
   * From an offset on, as far as the pages after its own are like that, and to the end at most. Its own page is, by has():
   * asked once, since the answer may change at any time.
   */
  runEnd(offset: number, end: number, written: boolean): number {
    const pages = this.pages;
    const last = Math.ceil(end / PAGE_BYTES);
    let page = Math.floor(offset / PAGE_BYTES) + 1;
    while (page < last && (pages[page] === WRITTEN) === written) page++;
    return Math.min(page * PAGE_BYTES, end);
  }
}

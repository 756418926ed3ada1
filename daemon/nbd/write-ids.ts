// Numbers of the writes that one request has made: a list that is emptied for every request.

export class WriteIds {
  count = 0;
  /** Kept when the list is emptied: to make an array shorter costs V8 more than a request. */
  private readonly ids: number[] = [];

  add(id: number): void {
    this.ids[this.count++] = id;
  }

  /** @param nth below `count` */
  at(nth: number): number {
    return this.ids[nth] ?? 0;
  }

  clear(): void {
    this.count = 0;
  }

  /** A copy. */
  list(): number[] {
    return this.ids.slice(0, this.count);
  }
}

// The parts of an exported program.

/** One actor as C: the body of a function without arguments. */
export interface CActor {
  readonly name: string;
  readonly body: string;
}

/** What an exported program is made of besides the harness. */
export interface CProgram {
  /** What the machine and the file system have to be, for the usage text. */
  readonly needs: string;
  /** File-scope declarations, if any. */
  readonly declarations?: string;
  /** Before each round: the body of a function. */
  readonly setUp: string;
  readonly actors: readonly CActor[];
  /** After each round: calls saw() for what went wrong. */
  readonly check: string;
}

// The matrix: every hazard under every profile, each search made once for all profiles that answer
// alike what it asked.

import type { Profile } from '../../engine/profile/profile.js';
import { Errno } from '../../engine/sched/errors.js';
import { answersAlike } from './asked.js';
import { type Cell, cellOf, type Searched } from './cell.js';

/** A hazard and a profile that are to be searched, and does so: in this thread or in another. */
export type Search = (hazard: string, profile: Profile) => Promise<Searched>;

export interface MatrixOptions {
  readonly hazards: readonly string[];
  readonly profiles: readonly Profile[];
  /** Searches at one time. */
  readonly jobs: number;
  readonly search: Search;
  /** Searches of an earlier run that was stopped. */
  readonly known?: readonly Searched[];
  readonly onSearched?: (searched: Searched) => void;
  readonly onProgress?: (done: number, total: number, note: string) => void;
  readonly signal?: AbortSignal;
}

/**
 * Fills the matrix, hazard by hazard.
 * @throws the signal's reason, or Errno EIO that lists the searches that broke
 */
export async function fillMatrix(options: MatrixOptions): Promise<Cell[]> {
  const filling = new Filling(options);
  await Promise.all(Array.from({ length: options.jobs }, () => filling.work()));
  return filling.cells();
}

interface Job {
  readonly hazard: string;
  readonly profile: Profile;
}

class Filling {
  private readonly found: Searched[];
  private readonly running = new Set<Job>();
  private readonly broken: { readonly job: Job; readonly reason: string }[] = [];
  private readonly idle: (() => void)[] = [];

  constructor(private readonly options: MatrixOptions) {
    this.found = [...(options.known ?? [])];
  }

  /** Searches until nothing is left to begin. */
  async work(): Promise<void> {
    const { signal, search, onSearched } = this.options;
    for (;;) {
      signal?.throwIfAborted();
      const job = this.next();
      this.tell(job);
      if (job === null) {
        if (this.running.size === 0) return;
        await new Promise<void>((resolve) => this.idle.push(resolve));
        continue;
      }
      this.running.add(job);
      try {
        const searched = await search(job.hazard, job.profile);
        this.found.push(searched);
        onSearched?.(searched);
      } catch (error) {
        signal?.throwIfAborted();
        this.broken.push({ job, reason: error instanceof Error ? error.message : String(error) });
      } finally {
        this.running.delete(job);
        for (const wake of this.idle.splice(0)) wake();
      }
    }
  }

  /** All cells, in the order of the hazards and profiles, whoever searched them and when. */
  cells(): Cell[] {
    if (this.broken.length > 0) {
      const list = this.broken.map(
        ({ job, reason }) => `${job.hazard} under ${job.profile.name}: ${reason}`,
      );
      throw new Errno('EIO', `${list.length} searches broke: ${list.join('; ')}`);
    }
    return this.options.hazards.flatMap((hazard) => this.row(hazard));
  }

  private row(hazard: string): Cell[] {
    const found = this.of(hazard);
    const first: { readonly searched: Searched; readonly profile: string }[] = [];
    return this.options.profiles.map((profile) => {
      // Among profiles that answer alike the first one is named, whichever was searched.
      const alike = first.find(({ searched }) => answersAlike(profile, searched.asked));
      if (alike !== undefined) {
        return cellOf({ ...alike.searched, profile: alike.profile }, profile.name);
      }
      const searched = found.find(({ asked }) => answersAlike(profile, asked));
      if (searched === undefined) throw new Errno('EIO', `${hazard} under ${profile.name} is open`);
      first.push({ searched, profile: profile.name });
      return cellOf({ ...searched, profile: profile.name }, profile.name);
    });
  }

  /** The next search to begin, or null if all is done, or waits for one that may answer it too. */
  private next(): Job | null {
    for (const hazard of this.options.hazards) {
      const found = this.of(hazard);
      for (const profile of this.options.profiles) {
        if (this.isDone(hazard, profile, found) || this.mayBeAnswered(hazard, profile, found)) {
          continue;
        }
        return { hazard, profile };
      }
    }
    return null;
  }

  private isDone(hazard: string, profile: Profile, found: readonly Searched[]): boolean {
    const isBroken = ({ job }: { readonly job: Job }): boolean =>
      job.hazard === hazard && job.profile === profile;
    return found.some(({ asked }) => answersAlike(profile, asked)) || this.broken.some(isBroken);
  }

  /** Is a search under way that asks, as far as the others tell, what this profile answers alike? */
  private mayBeAnswered(hazard: string, profile: Profile, found: readonly Searched[]): boolean {
    const names = new Set(found.flatMap(({ asked }) => Object.keys(asked)));
    return [...this.running].some(
      (job) =>
        job.hazard === hazard &&
        [...names].every((name) => Reflect.get(job.profile, name) === Reflect.get(profile, name)),
    );
  }

  private of(hazard: string): Searched[] {
    return this.found.filter((searched) => searched.hazard === hazard);
  }

  private tell(job: Job | null): void {
    const { hazards, profiles, onProgress } = this.options;
    if (onProgress === undefined) return;
    let done = 0;
    for (const hazard of hazards) {
      const found = this.of(hazard);
      for (const profile of profiles) if (this.isDone(hazard, profile, found)) done++;
    }
    const note = job === null ? 'waiting' : `${job.hazard} under ${job.profile.name}`;
    onProgress(done, hazards.length * profiles.length, note);
  }
}

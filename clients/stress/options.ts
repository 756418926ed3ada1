// The options of a stress run, and what is wrong with them.

import type { Profile } from '../../engine/profile/profile.js';
import { profileByName } from '../../engine/profile/profiles.js';
import { Errno } from '../../engine/sched/errors.js';
import { CPUS_MAX, DEVICES_MAX, SECONDS_MAX, SEED_MAX } from './limits.js';
import type { PlanSize } from './plan.js';

export interface StressOptions {
  readonly profile: string;
  readonly cpus: number;
  readonly devices: number;
  readonly seconds: number;
  readonly seed: number;
  /** The file to make the volume on: what is in it is lost. Default: a temporary one. */
  readonly backing?: string;
  /** Runs against a volume of the daemon on this socket, with fewer operations. */
  readonly socket?: string;
  /** Ends the run early; it still unmounts and verifies. */
  readonly signal?: AbortSignal;
  /**
   * Crashes the machine each time it has run for so long, so that what fsync promised is checked
   * under rules that have no BUG too. Default: never.
   */
  readonly crashEverySeconds?: number;
  /** How large the files and the memory are. Default: 64 MiB of memory, more than that of files. */
  readonly size?: PlanSize;
}

/** @throws Errno EINVAL that names the option and its range */
export function checkOptions(options: StressOptions): Profile {
  const profile = profileByName(options.profile);
  checkWhole('cpus', options.cpus, 1, CPUS_MAX);
  checkWhole('devices', options.devices, 0, DEVICES_MAX);
  checkWhole('seed', options.seed, 0, SEED_MAX);
  const { seconds } = options;
  if (!(seconds > 0 && seconds <= SECONDS_MAX)) {
    throw new Errno('EINVAL', `seconds ${seconds}: more than 0, at most ${SECONDS_MAX}`);
  }
  const { crashEverySeconds: crash } = options;
  if (crash !== undefined && !(crash > 0 && crash <= SECONDS_MAX)) {
    throw new Errno('EINVAL', `crashEverySeconds ${crash}: more than 0, at most ${SECONDS_MAX}`);
  }
  return profile;
}

function checkWhole(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new Errno('EINVAL', `${name} ${value}: a whole number from ${least} to ${most}`);
}

// What a thread says about itself to the kernel.
import { addon } from './addon.js';

/**
 * How late the kernel may wake this thread from a timed sleep, to gather wake-ups; 50,000 by default.
 * @throws NativeError EINVAL unless it is an integer from 1 to 2^32 - 1.
 */
export function setTimerSlack(slackNs: number): void {
  addon.setTimerSlack(slackNs);
}

/** The kernel's number of this thread (gettid), which tools such as perf and /proc/PID/task show. */
export function threadId(): number {
  return addon.threadId();
}

/**
 * Lets this thread run on these processors only.
 * @param cpus numbers from 0 to 1023.
 * @throws NativeError EINVAL if a number is wrong or none of them is available to this process.
 */
export function pinThread(cpus: readonly number[]): void {
  addon.pinThread(Float64Array.from(cpus));
}

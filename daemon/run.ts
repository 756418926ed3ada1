// A daemon as a process: runs until it is told to stop.

import type { Config } from './config.js';
import { type Daemon, type StartOptions, startDaemon } from './lifecycle.js';

const SIGNALS = ['SIGTERM', 'SIGINT'] as const;

/**
 * Serves until SIGTERM or SIGINT, or until the one client of nbd.stdio has left, then drains and syncs. A second signal
 * ends the process at once.
 * @param onReady called when clients can connect
 * @returns the exit code: 0, or 1 if not everything could be written back
 * @throws what startDaemon throws
 */
export async function runDaemon(
  config: Config,
  options: StartOptions & { readonly onReady?: (daemon: Daemon) => void } = {},
): Promise<number> {
  let signalled = false;
  let stop = (): void => undefined;
  const stopped = new Promise<void>((resolve) => {
    stop = resolve;
  });
  const onSignal = (signal: NodeJS.Signals): void => {
    if (signalled) process.exit(signal === 'SIGINT' ? 130 : 143);
    signalled = true;
    stop();
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  try {
    const daemon = await startDaemon(config, options);
    options.onReady?.(daemon);
    await Promise.race([stopped, daemon.left]);
    daemon.log.info('draining');
    try {
      await daemon.close();
    } catch (error) {
      daemon.log.error({ err: error }, 'not everything could be written back');
      return 1;
    }
    daemon.log.info('stopped');
    return 0;
  } finally {
    for (const signal of SIGNALS) process.off(signal, onSignal);
  }
}

// A daemon as a process: its configuration is the argument. Prints "ready"; volumes are in memory.

import { parseConfig } from '../../daemon/config.js';
import { runDaemon } from '../../daemon/run.js';
import { MemoryVolume } from './memory-volume.js';

try {
  const config = parseConfig(JSON.parse(process.argv.at(2) ?? ''), 'argument');
  process.exitCode = await runDaemon(config, {
    openVolume: () => Promise.resolve(new MemoryVolume()),
    onReady: () => process.stdout.write('ready\n'),
  });
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

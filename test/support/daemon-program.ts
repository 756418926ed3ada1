// A daemon as a process: its configuration is the argument. Prints "ready". Volumes are in memory, unless the second
// argument is "engine".

import { parseConfig } from '../../daemon/config.js';
import { runDaemon } from '../../daemon/run.js';
import { MemoryVolume } from './memory-volume.js';

try {
  const config = parseConfig(JSON.parse(process.argv.at(2) ?? ''), 'argument');
  const engine = process.argv.at(3) === 'engine';
  process.exitCode = await runDaemon(config, {
    ...(engine ? {} : { openVolume: () => Promise.resolve(new MemoryVolume()) }),
    onReady: () => process.stdout.write('ready\n'),
  });
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

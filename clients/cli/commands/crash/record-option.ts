// The option that names a recording, and opening it.

import type { Command } from 'commander';
import { openRecording, type Recording } from '../../../../engine/block/recording/reader.js';

/** For commands that read a recording. */
export function withRecord(command: Command): Command {
  return command.requiredOption('--record <file>', 'a file that pinfold disk record wrote');
}

/** Opens a recording for as long as the work takes. @throws Errno as openRecording() */
export async function withRecording<T>(
  path: string,
  work: (recording: Recording) => Promise<T> | T,
): Promise<T> {
  const recording = openRecording(path);
  try {
    return await work(recording);
  } finally {
    recording.close();
  }
}

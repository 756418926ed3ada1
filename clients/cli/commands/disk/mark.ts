// pinfold disk mark: notes a word in the recording of a disk, which checkers of crash images get to see.

import type { Command } from 'commander';
import { z } from 'zod';
import { MARK_CHARACTERS_MAX } from '../../../../daemon/protocol/limits.js';
import { METHODS } from '../../../../daemon/protocol/methods.js';
import { withClient, withSocket } from '../../daemon/connect.js';
import { makeCommand, optionsOf } from '../../frame/command.js';
import { usageError } from '../../frame/errors.js';
import { printJson } from '../../frame/output.js';

export function markCommand(): Command {
  const command = withSocket(
    makeCommand('mark', 'note a word in the recording of a disk', [
      ["pinfold disk mark disk0 'transaction 7 committed'", 'from here on it has to survive'],
    ]),
  )
    .argument('<disk>', 'a disk that pinfold disk record is recording')
    .argument('<text>', 'what checkers find among the marks of {replies}');
  return command.action(async (name: string, text: string) => {
    const { json, socket } = optionsOf(command, { socket: z.string() });
    if (text === '' || text.length > MARK_CHARACTERS_MAX)
      throw usageError(`a mark has 1 to ${MARK_CHARACTERS_MAX} characters`);
    await withClient(socket, async (client) => {
      await client.call(METHODS.diskRecordMark, { name, text });
    });
    if (json) printJson({ disk: name, mark: text });
  });
}

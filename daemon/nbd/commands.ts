// The commands of the daemon, as the disks' thread hears them: between two waits for its sockets.

import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { clearEvent } from '../../native/index.js';
import { errorPayload, toWireError } from '../wire-error.js';
import { type Command, type CommandReply, requestSchema } from './messages.js';

export class Commands {
  constructor(
    private readonly port: MessagePort,
    private readonly wakeFd: number,
    /** What it returns is the result. An error that is no defect of ours is told. */
    private readonly run: (command: Command) => unknown,
  ) {}

  /** Runs all that have arrived. */
  receive(): void {
    clearEvent(this.wakeFd);
    for (
      let message = receiveMessageOnPort(this.port);
      message !== undefined;
      message = receiveMessageOnPort(this.port)
    ) {
      const { id, command } = requestSchema.parse(message.message);
      this.port.postMessage(this.#answer(id, command));
    }
  }

  #answer(id: number, command: Command): CommandReply {
    try {
      return { id, result: this.run(command) };
    } catch (error) {
      const told = toWireError(error);
      if (told === null) throw error;
      return { id, error: errorPayload(told) };
    }
  }
}

// The commands of the daemon, as the disks' thread hears them: between two waits for its sockets.

import type { MessagePort } from 'node:worker_threads';
import { clearEvent } from '../../native/index.js';
import { errorPayload, toWireError } from '../wire-error.js';
import { type Command, type CommandReply, requestSchema } from './messages.js';
import { messagesOn } from './port-messages.js';

/** Where the result of a command goes, once. */
export interface Answer {
  resolve(result: unknown): void;
  reject(error: unknown): void;
  /** resolve(), or reject() with what the action throws. */
  resolveWith(action: () => unknown): void;
}

export class Commands {
  constructor(
    private readonly port: MessagePort,
    private readonly wakeFd: number,
    /** Answers now or later. An error that it throws, and that is no defect of ours, is the answer. */
    private readonly run: (command: Command, answer: Answer) => void,
  ) {}

  /** Runs all that have arrived. */
  receive(): void {
    clearEvent(this.wakeFd);
    for (const message of messagesOn(this.port)) {
      const { id, command } = requestSchema.parse(message);
      this.#run(id, command);
    }
  }

  #run(id: number, command: Command): void {
    const reply = (message: CommandReply): void => this.port.postMessage(message);
    const answer: Answer = {
      resolve: (result) => reply({ id, result }),
      reject: (error) => {
        const told = toWireError(error);
        if (told === null) throw error;
        reply({ id, error: errorPayload(told) });
      },
      resolveWith: (action) => {
        try {
          answer.resolve(action());
        } catch (error) {
          answer.reject(error);
        }
      },
    };
    try {
      this.run(command, answer);
    } catch (error) {
      answer.reject(error);
    }
  }
}

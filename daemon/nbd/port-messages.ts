// The messages that have arrived on a port, for threads without an event loop.

import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';

/** Takes them one by one, in their order, until there is none. */
export function* messagesOn(port: MessagePort): Generator<unknown, void> {
  for (
    let message = receiveMessageOnPort(port);
    message !== undefined;
    message = receiveMessageOnPort(port)
  ) {
    const content: unknown = message.message;
    yield content;
  }
}

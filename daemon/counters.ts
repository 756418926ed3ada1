// What the daemon counts, for `statistics` and its log.

/** All zero. A plain object: its copy is the message. */
export function createCounters() {
  return {
    clientsAccepted: 0,
    clientsRefused: 0,
    /** Connections that ended with something still open. */
    clientsDied: 0,
    requests: 0,
    errors: 0,
    cancels: 0,
    protocolErrors: 0,
    bytesRead: 0,
    bytesWritten: 0,
    eventsSent: 0,
    eventsDropped: 0,
    regionsAttached: 0,
    /** Released because their client had gone. */
    filesReleased: 0,
    mappingsReleased: 0,
    pinsReleased: 0,
  };
}

export type Counters = ReturnType<typeof createCounters>;

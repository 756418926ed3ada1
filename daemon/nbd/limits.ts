// Every limit of the NBD server, in one place.

/** Connections at one time, over all sockets; further ones are closed at once. */
export const CONNECTIONS_MAX = 1024;
/** Options of one handshake, and the data of one. A longer one ends the connection. */
export const OPTIONS_MAX = 4096;
export const OPTION_BYTES_MAX = 64 * 1024;
/** Of an export's name, by the specification. */
export const NAME_BYTES_MAX = 4096;
/** A connection that has not chosen its export by then is closed. */
export const HANDSHAKE_TIMEOUT_MS = 60_000;

/** Block sizes that are advertised. Any range is accepted, whole blocks are faster. */
export const BLOCK_BYTES_MIN = 1;
export const BLOCK_BYTES_PREFERRED = 4096;
/** Payload of one READ or WRITE. */
export const PAYLOAD_BYTES_MAX = 32 * 1024 * 1024;
/** A payload up to this is read and thrown away, so that its error can be told; a longer one ends the connection. */
export const PAYLOAD_BYTES_SKIPPED_MAX = 64 * 1024 * 1024;
/** Extents in one reply: a client asks again for the rest. */
export const EXTENTS_MAX = 1024;

/** Requests of one connection whose answer is postponed. */
export const LATER_MAX = 1024;

/** Writes become visible in whole units of this. */
export const UNIT_BYTES = 512;
/** What a connection receives at once: a batch of small requests with their payload. */
export const RECEIVE_BYTES = 256 * 1024;
/** After a write of this size only its successor's header is read ahead: its payload shall go straight to the disk. */
export const DIRECT_WRITE_BYTES = 16 * 1024;
/** Headers of replies that wait to be sent, and their number of pieces. No request is begun while they are full. */
export const REPLY_BYTES = 64 * 1024;
export const REPLY_PIECES = 512;
/** Room for what one request appends to the replies. */
export const REPLY_ROOM_BYTES = 20 * 1024;
export const REPLY_ROOM_PIECES = 32;
/** From this length on a READ looks for holes. */
export const HOLE_SEARCH_BYTES = 64 * 1024;
/** Runs of data and of zeroes that a READ from memory is sent in; the rest of it is sent as data. */
export const READ_RUNS_MAX = 8;
/** A disk in a file is read in such pieces, through memory of the connection. */
export const STAGING_BYTES = 1024 * 1024;
/** What one connection may discard, zero or read before others get their turn. */
export const TURN_BYTES = 16 * 1024 * 1024;
/** How often one connection is received from before others get their turn. */
export const TURN_RECEIVES = 16;

/** How long the worker sleeps at most, and how long it looks for more before it sleeps. */
export const WAIT_MS = 1000;
export const SPIN_US = 50;
/** How often in a row it sleeps at once, after looking was in vain again and again. */
export const SPINS_LEFT_OUT_MAX = 63;
/** After the daemon was told to stop: how long clients may still hear ESHUTDOWN, and finish what is under way. */
export const IDLE_GRACE_MS = 200;
export const BUSY_GRACE_MS = 2000;

// Every limit of the NBD server, in one place.

import { availableParallelism } from 'node:os';

/** Connections at one time, over all sockets; further ones are closed at once. */
export const CONNECTIONS_MAX = 1024;
/** Options of one handshake, and the data of one. A longer one ends the connection. */
export const OPTIONS_MAX = 4096;
export const OPTION_BYTES_MAX = 64 * 1024;
/** Of an export's name, by the specification. */
export const NAME_BYTES_MAX = 4096;
/** A connection that has not chosen its export by then is closed. */
export const HANDSHAKE_TIMEOUT_MS = 60_000;
/** The part of TLS in it, beginning with the answer to STARTTLS. */
export const TLS_HANDSHAKE_TIMEOUT_MS = 10_000;
/** How long a client under TLS may take to receive the last replies after the server has closed. */
export const TLS_LINGER_MS = 2000;
/** Pre-shared keys: users of one file, bytes of a user's name, bytes of a key. */
export const PSK_USERS_MAX = 10_000;
export const PSK_USER_BYTES_MAX = 127;
export const PSK_BYTES_MIN = 16;
export const PSK_BYTES_MAX = 64;

/** Block sizes that are advertised. Any range is accepted, whole blocks are faster. */
export const BLOCK_BYTES_MIN = 1;
export const BLOCK_BYTES_PREFERRED = 4096;
/** Payload of one READ or WRITE. */
export const PAYLOAD_BYTES_MAX = 32 * 1024 * 1024;
/** A payload up to this is read and thrown away, so that its error can be told; a longer one ends the connection. */
export const PAYLOAD_BYTES_SKIPPED_MAX = 64 * 1024 * 1024;
/** While a disk's memory for payload is short, a WRITE of which less than this comes in that time ends its connection. */
export const WRITE_PROGRESS_BYTES = 64 * 1024;
export const WRITE_PATIENCE_MS = 1000;
/** How often it is looked meanwhile whether a WRITE that waits for this memory can begin. */
export const WRITE_WAIT_MS = 20;
/** Extents in one reply: a client asks again for the rest. */
export const EXTENTS_MAX = 1024;

/** Requests of one connection whose answer is postponed. */
export const LATER_MAX = 1024;
/** Fault layers of one disk. */
export const FAULT_LAYERS_MAX = 64;
/** No reply is held back longer by them, see DELAY_US_MAX. */
export const HELD_BACK_US_MAX = 3_600_000_000;

/** Writes become visible in whole units of this. */
export const UNIT_BYTES = 512;
/** What a connection receives at once: a batch of small requests with their payload. */
export const RECEIVE_BYTES = 256 * 1024;
/** After a write of this size only its successor's header is read ahead: its payload shall go straight to the disk. */
export const DIRECT_WRITE_BYTES = 16 * 1024;
/** A part of a disk in memory that large WRITEs have brought so much to gets a huge page: what that takes is saved by then. */
export const HUGE_WORTH_BYTES = 64 * 1024 * 1024;
/** It takes twice as much after each attempt in vain, up to this. */
export const HUGE_WORTH_BYTES_MAX = 1024 * 1024 * 1024;
/** While a client has replies to read, its next small requests are let come together, up to this. */
export const BATCH_BYTES = 64 * 1024;
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
/** Memory of a connection for data that does not lie in memory: a disk in a file is read in such pieces. */
export const STAGING_BYTES = 1024 * 1024;
/** How often a payload is received from while replies wait to be sent. */
export const HELD_RECEIVES_MAX = 4;
/** How often in a row they are sent at once, after the client was found to wait for them again and again. */
export const HOLDS_LEFT_OUT_MAX = 1023;
/** What one connection may discard, zero or read before others get their turn. */
export const TURN_BYTES = 16 * 1024 * 1024;
/** How often one connection is received from before others get their turn. */
export const TURN_RECEIVES = 16;

/** Payload of BLOCK_STATUS: the effect length and as many contexts as anybody could mean. */
export const STATUS_PAYLOAD_BYTES_MAX = 4096;

/** What another thread does at once for an export that it serves, and how many such pieces one connection has with it. */
export const REMOTE_PIECE_BYTES = 256 * 1024;
export const REMOTE_PIECES_MAX = 64;
/** A hole is made in longer pieces. */
export const REMOTE_PUNCH_BYTES = 1024 * 1024 * 1024;
/** What the main thread begins to copy before others get their turn. */
export const REMOTE_TURN_BYTES = 1024 * 1024;

/** Peers of the disks' thread, for disks in memory: with it as many as there are CPUs, up to this and one. */
export const PEER_THREADS_MAX = 7;
export const PEER_THREADS = Math.min(Math.max(availableParallelism() - 1, 1), PEER_THREADS_MAX);
/** How long a disk is waited for before it becomes more than plain: until WRITEs that are under way have ended. */
export const RECALL_PATIENCE_MS = 1000;

/** How long a serving thread sleeps at most, and for how long it asks a client again before it sleeps, see patience.ts. */
export const WAIT_MS = 1000;
export const SPIN_US = 50;
/** How often in a row it sleeps at once, after asking was in vain again and again. */
export const SPINS_LEFT_OUT_MAX = 63;
/** After the daemon was told to stop: how long clients may still hear ESHUTDOWN, and finish what is under way. */
export const IDLE_GRACE_MS = 200;
export const BUSY_GRACE_MS = 2000;

// Every limit of the protocol and of the daemon's room, in one place. Configurable ones are defaults here.

/** Versions of the protocol that this code speaks. See docs/protocol.md for what makes a new one. */
export const PROTOCOL_VERSION_MIN = 1;
export const PROTOCOL_VERSION_MAX = 1;

/** Bytes of the header that every frame begins with; the same in all versions. */
export const HEADER_BYTES = 32;

/** Payload of a control frame that a client sends: a name, a path or two, a few numbers. */
export const CONTROL_REQUEST_BYTES_MAX = 64 * 1024;
/** Payload of a control frame that the daemon sends: a page of a directory, statistics. */
export const CONTROL_REPLY_BYTES_MAX = 1024 * 1024;
/** The state of a power cut: one that names an image exactly may be long. */
export const CUT_STATE_CHARACTERS_MAX = 48 * 1024;
/** Nesting of a control payload. */
export const CONTROL_DEPTH_MAX = 8;
/** Data of one read or write. A client cuts longer ones into several requests. */
export const DATA_BYTES_MAX = 1024 * 1024;
/** Range of one discard or punch. */
export const DISCARD_BYTES_MAX = 2 ** 30;

/** Names of disks, regions and volumes, and of clients. */
export const NAME_BYTES_MAX = 64;
/** Path inside a volume (PATH_MAX) and one component of it (NAME_MAX). */
export const PATH_BYTES_MAX = 4096;
/** Entries in one page of a directory listing. */
export const READDIR_ENTRIES_MAX = 1000;
/** Characters of a mark in a recording. */
export const MARK_CHARACTERS_MAX = 1024;
/** Findings that one reply lists. */
export const FINDINGS_MAX = 64;
/** Characters of an error's message. */
export const ERROR_MESSAGE_CHARACTERS_MAX = 2000;

/** Unit of disk I/O: offsets and lengths are multiples of it. */
export const SECTOR_BYTES = 512;
/** Sizes of disks, regions and volumes are multiples of it. */
export const PAGE_BYTES = 4096;

/** Text that describes a fault; values of one of its keys. */
export const FAULT_CHARACTERS_MAX = 4096;
export const FAULT_LIST_MAX = 64;

/** A connection that has not introduced itself by then is closed. */
export const HANDSHAKE_TIMEOUT_MS = 5000;
/** A token of a region is good for one connection within this time. */
export const ATTACH_TOKEN_TIMEOUT_MS = 5000;
/** Tokens that one client may hold at a time. */
export const ATTACH_TOKENS_MAX = 64;

/** Bytes that a connection receives at once. */
export const RECEIVE_BUFFER_BYTES = 256 * 1024;
/** A client that does not read its replies is not read from while more than this is unsent. */
export const UNSENT_BYTES_MAX = 4 * 1024 * 1024;
/** Events are dropped, and counted, while more than this is unsent. */
export const UNSENT_EVENT_BYTES_MAX = 1024 * 1024;
/** What the daemon does for one connection in one turn of the event loop. */
export const TURN_FRAMES_MAX = 512;
export const TURN_BYTES_MAX = 2 * 1024 * 1024;

/** What clients may use together or each; all configurable, within the ranges of daemon/config.ts. */
export const DEFAULT_LIMITS = {
  /** Connections at one time. */
  clients: 64,
  /** Requests of one client that are not answered yet, and the bytes that they read and write. */
  requestsInFlight: 1024,
  bytesInFlight: 64 * 1024 * 1024,
  /** Open disks, regions and volumes of one client. */
  devices: 256,
  /** Open files, mappings and pins of one client. */
  files: 1024,
  mappings: 256,
  pins: 4096,
  /** Bytes that all pins of one client cover (RLIMIT_MEMLOCK). */
  pinnedBytes: 64 * 1024 * 1024,
} as const;

export type LimitName = keyof typeof DEFAULT_LIMITS;
export type Limits = Readonly<Record<LimitName, number>>;

// Sizes on the wire of the bench `ipc`: those of Pinfold's own frames for a read of 4 KiB.

export const READ_BYTES = 4096;
export const REQUEST_BYTES = 32;
export const REPLY_BYTES = 32 + READ_BYTES;

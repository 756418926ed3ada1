// Claims the path of a daemon's socket: one daemon per path, told by a lock beside it, and a socket that a killed daemon
// left behind is cleared away.

import { fstatSync, lstatSync, statSync, unlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { closeDescriptor, lockFile, openFile } from '../../native/index.js';
import { PinfoldError } from '../protocol/errors.js';

/** sun_path of sockaddr_un, less the NUL. */
const SOCKET_PATH_BYTES_MAX = 107;
/** Another daemon may remove the lock file just as it is opened; then it is opened again. */
const LOCK_TRIES = 10;

/** A path that this process owns; release() when the socket is closed. */
export interface SocketClaim {
  readonly path: string;
  release(): void;
}

/** @throws PinfoldError EADDRINUSE 'lock held by pid N', EEXIST if something else lies there; NativeError */
export async function claimSocketPath(path: string): Promise<SocketClaim> {
  if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) {
    throw new PinfoldError(
      'ENAMETOOLONG',
      `socket path ${path} has ${Buffer.byteLength(path)} bytes, at most ${SOCKET_PATH_BYTES_MAX} are allowed`,
    );
  }
  const lockPath = `${path}.lock`;
  const fd = takeLock(path, lockPath);
  const release = (): void => {
    unlinkSync(lockPath);
    closeDescriptor(fd);
  };
  try {
    await clearStaleSocket(path);
  } catch (error) {
    release();
    throw error;
  }
  return { path, release };
}

function takeLock(path: string, lockPath: string): number {
  for (let i = 0; i < LOCK_TRIES; i++) {
    const fd = openFile(lockPath, { create: true, mode: 0o600 });
    const lock = lockFile(fd);
    // Only the lock on the file that lies at the path counts: the holder unlinks it before it lets go.
    if (lock.locked && fstatSync(fd).ino === statSync(lockPath, { throwIfNoEntry: false })?.ino) {
      return fd;
    }
    closeDescriptor(fd);
    if (lock.locked) continue;
    const holder = lock.pid === null ? 'another process' : `pid ${lock.pid}`;
    throw new PinfoldError(
      'EADDRINUSE',
      `another daemon serves ${path}: lock held by ${holder}. Stop it, or choose another --socket`,
    );
  }
  throw new PinfoldError('EADDRINUSE', `${lockPath} is being created and removed by others`);
}

async function clearStaleSocket(path: string): Promise<void> {
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (status === undefined) return;
  if (!status.isSocket()) {
    throw new PinfoldError('EEXIST', `${path} exists and is no socket: move it, or choose another`);
  }
  if (await somebodyListens(path)) {
    throw new PinfoldError(
      'EADDRINUSE',
      `a process that is no Pinfold daemon listens on ${path}: choose another --socket`,
    );
  }
  unlinkSync(path);
}

function somebodyListens(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT');
    });
  });
}

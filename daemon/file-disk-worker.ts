// The thread of one file disk: the blocking system calls that an event loop may not make.
//
// A message is a batch of requests, five numbers each (see file-disk.ts); the answer is one message for the batch.

import { parentPort, workerData } from 'node:worker_threads';
import { z } from 'zod';
import {
  fallocate,
  fdatasync,
  fileStatus,
  NativeError,
  preadInto,
  pwriteFrom,
} from '../native/index.js';
import { type BatchReply, OPERATION, REQUEST_NUMBERS } from './file-disk-messages.js';

const { fd, sizeBytes, label, staging } = z
  .object({
    fd: z.int(),
    sizeBytes: z.int(),
    label: z.string(),
    staging: z.instanceof(SharedArrayBuffer),
  })
  .parse(workerData);
const memory = new Uint8Array(staging);

function serve(operation: number, at: number, offset: number, length: number): void {
  const view = memory.subarray(at, at + length);
  switch (operation) {
    case OPERATION.READ:
      if (preadInto(fd, view, offset) < length) {
        throw new NativeError('EIO', 'pread', `${label} ends before byte ${offset + length}`);
      }
      return;
    case OPERATION.WRITE:
    case OPERATION.WRITE_FUA:
      pwriteFrom(fd, view, offset);
      if (operation === OPERATION.WRITE_FUA) fdatasync(fd);
      return;
    case OPERATION.FLUSH:
      fdatasync(fd);
      return;
    case OPERATION.DISCARD:
      fallocate(fd, 'punch', offset, length);
      return;
    default:
      throw new RangeError(`operation ${operation} of a disk`);
  }
}

/** What is beyond the end would read as zeroes later, silently: from here on nothing is acknowledged. */
function checkSize(): void {
  const now = fileStatus(fd).sizeBytes;
  if (now >= sizeBytes) return;
  throw new NativeError(
    'EIO',
    'fstat',
    `the file of ${label} was truncated to ${now} bytes while in use, expected ${sizeBytes}: restore it, then restart`,
  );
}

function serveBatch(batch: Float64Array): BatchReply {
  const reply: BatchReply = { ids: [], errors: [] };
  for (let i = 0; i < batch.length; i += REQUEST_NUMBERS) {
    const [id = 0, operation = 0, at = 0, offset = 0, length = 0] = batch.subarray(
      i,
      i + REQUEST_NUMBERS,
    );
    reply.ids.push(id);
    try {
      checkSize();
      serve(operation, at, offset, length);
      // Somebody who truncates meanwhile may have cut off what was just written.
      if (operation !== OPERATION.READ) checkSize();
      reply.errors.push(null);
    } catch (error) {
      if (!(error instanceof NativeError)) throw error;
      reply.errors.push({ code: error.code, message: error.message });
    }
  }
  return reply;
}

parentPort?.on('message', (message: unknown) => {
  if (message instanceof Float64Array) parentPort?.postMessage(serveBatch(message));
  else parentPort?.close();
});

// A client that sends whatever bytes a test wants, and takes apart what comes back.

import { connect, type Socket } from 'node:net';
import { packControl, unpackControl } from '../../daemon/protocol/control.js';
import { CLIENT_TAKES, encodeFrame, FRAME, UNVERSIONED } from '../../daemon/protocol/frame.js';
import { FrameReader } from '../../daemon/protocol/frame-reader.js';
import { errorSchema } from '../../daemon/protocol/methods.js';

export interface Received {
  readonly type: number;
  readonly requestId: number;
  readonly length: number;
  readonly payload: Buffer;
}

export class RawClient {
  readonly #frames: Received[] = [];
  readonly #readers: ((frame: Received) => void)[] = [];
  readonly ended: Promise<void>;

  private constructor(readonly socket: Socket) {
    const reader = new FrameReader(CLIENT_TAKES);
    socket.on('data', (chunk) => {
      reader.feed(chunk);
      while (reader.next()) {
        const { type, requestId, length } = reader.header;
        const frame = { type, requestId, length, payload: Buffer.from(reader.payload) };
        const take = this.#readers.shift();
        if (take === undefined) this.#frames.push(frame);
        else take(frame);
      }
    });
    socket.on('error', () => undefined);
    socket.on('end', () => socket.end());
    this.ended = new Promise((resolve) => socket.once('close', () => resolve()));
  }

  static async connect(path: string): Promise<RawClient> {
    const socket = connect({ path, allowHalfOpen: true });
    await new Promise((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new RawClient(socket);
  }

  /** Connects and shakes hands. */
  static async open(path: string): Promise<RawClient> {
    const client = await RawClient.connect(path);
    client.hello(1, 1);
    const { type } = await client.next();
    if (type !== FRAME.WELCOME) throw new Error(`a frame of type ${type} instead of WELCOME`);
    return client;
  }

  hello(versionMin: number, versionMax: number): void {
    const payload = packControl({ versionMin, versionMax, name: 'raw' });
    this.socket.write(encodeFrame(UNVERSIONED, FRAME.HELLO, 0, payload));
  }

  send(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  call(requestId: number, method: string, params: unknown): void {
    this.send(encodeFrame(1, FRAME.CALL, requestId, packControl({ method, params })));
  }

  /** The next frame; rejects if the connection ends without one. */
  async next(): Promise<Received> {
    const ready = this.#frames.shift();
    if (ready !== undefined) return ready;
    const frame = new Promise<Received>((resolve) => this.#readers.push(resolve));
    const ended = this.ended.then(() => {
      const late = this.#frames.shift();
      if (late !== undefined) return late;
      throw new Error('the daemon closed the connection without another frame');
    });
    return await Promise.race([frame, ended]);
  }

  /** The next frame, which is to be an error. */
  async nextError(): Promise<{ code: string; message: string; requestId: number }> {
    const { type, payload, requestId } = await this.next();
    if (type !== FRAME.ERROR) throw new Error(`a frame of type ${type} instead of an error`);
    return { ...errorSchema.parse(unpackControl(payload)), requestId };
  }
}

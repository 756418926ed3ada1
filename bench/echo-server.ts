// The limit of the bench `ipc`, in a process of its own: a server over the same kind of socket that
// checks nothing. For each 32 bytes that it gets it answers with 32 + 4096 bytes, gathered per read.

import { createServer } from 'node:net';
import { REPLY_BYTES, REQUEST_BYTES } from './echo-words.js';

const path = process.argv.at(2);
if (path === undefined) throw new Error('usage: echo-server SOCKET');

const reply = Buffer.alloc(REPLY_BYTES);
createServer((socket) => {
  let pending = 0;
  socket.on('data', (data) => {
    pending += data.length;
    const count = Math.floor(pending / REQUEST_BYTES);
    pending -= count * REQUEST_BYTES;
    socket.cork();
    for (let i = 0; i < count; i++) socket.write(reply);
    socket.uncork();
  });
  socket.on('error', () => {
    socket.destroy();
  });
}).listen(path, () => {
  process.send?.('listening');
});

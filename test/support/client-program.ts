// A client as a process: connects to the socket of the first argument and does what the second one says.
//
//   pin     opens a file, maps it, pins two pages, prints "pinned", and stays
//   region  adds 5 to the first word of the region `shared`, prints what the second word holds, and ends

import { connect } from '../../clients/node/index.js';

const [, , path = '', what = ''] = process.argv;
const client = await connect(path, { reconnect: false });

if (what === 'pin') {
  const volume = await client.volume('files');
  const file = await volume.open('/held', { create: true });
  await file.pwrite(0, Buffer.alloc(16384));
  const mapping = await file.map(0, 16384);
  await mapping.pin(0, 4096);
  await mapping.pin(4096, 4096);
  process.stdout.write('pinned\n');
} else {
  const region = await client.region('shared');
  const words = new Int32Array(region.buffer);
  Atomics.add(words, 0, 5);
  process.stdout.write(`${Atomics.load(words, 1)}\n`);
  await client.close();
}

// A program with a bug, for docs/crash-explorer.md: it keeps a value in two slots of a disk. The new value is written
// beside the old one, and then sector 0 says which of them counts. Durable is what was flushed.
//
//   node ledger.mjs SOCKET DISK [fixed]

import { connect } from 'pinfold';

const [socket, name, variant] = process.argv.slice(2);
const SECTOR = 512;
const client = await connect(socket);
const disk = await client.disk(name);

for (let n = 1; n <= 4; n++) {
  const slot = 8 + (n % 2) * 8;
  await disk.write(slot * SECTOR, Buffer.alloc(3 * SECTOR, `value ${n}. `));
  if (variant === 'fixed') await disk.flush();
  await disk.write(0, Buffer.alloc(SECTOR, `slot ${slot} holds value ${n}\n`));
  await disk.flush();
  await disk.mark(`value ${n} is stored`);
}
await client.close();

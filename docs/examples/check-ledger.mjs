// The checker for ledger.mjs: is the value that counts whole, and as new as the program was told?
//
//   node check-ledger.mjs IMAGE REPLIES

import { readFileSync } from 'node:fs';

const [imagePath, repliesPath] = process.argv.slice(2);
const image = readFileSync(imagePath);
const stored = JSON.parse(readFileSync(repliesPath, 'utf8')).marks.length;
const [, slot, n] = /^slot (\d+) holds value (\d+)\n/.exec(image.toString('latin1', 0, 64)) ?? [];

if (n === undefined && stored > 0) fail(`value ${stored} was stored, and there is none`);
if (n === undefined) process.exit(0);
if (Number(n) < stored) fail(`value ${stored} was stored, and ${n} counts`);
const found = image.subarray(slot * 512, (Number(slot) + 3) * 512);
if (!found.equals(Buffer.alloc(found.length, `value ${n}. `)))
  fail(`value ${n} counts, but is not whole`);

function fail(why) {
  console.log(why);
  process.exit(1);
}

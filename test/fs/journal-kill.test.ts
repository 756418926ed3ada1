// kill -9 of a process whose threads use the journal: what it said is durable is in the file.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { openDisk } from '../../engine/block/disk.js';
import { formatJournal, replayJournal } from '../../engine/fs/recovery.js';
import { preadInto, pwriteFrom } from '../../native/index.js';

const PAGE_BYTES = 4096;
const JOURNAL_BLOCKS = 65;
const HOME = 1 + JOURNAL_BLOCKS;
const CPUS = 2;
const BLOCKS_PER_CPU = 3;
/** The CPUs write on until the process is killed, after one of them has told so much more. */
const ROUNDS_PER_LIFE = 40;

test('three times killed, each time all that was promised is there, and nothing half', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'pinfold-kill-'));
  const path = join(folder, 'image');
  const made = openDisk(path, { createBytes: (HOME + 16) * PAGE_BYTES });
  const first = new Int32Array(PAGE_BYTES / 4);
  formatJournal(first, JOURNAL_BLOCKS, 1234);
  pwriteFrom(made.fd, new Uint8Array(first.buffer), PAGE_BYTES);
  made.close();

  for (let life = 0; life < 3; life++) {
    const told = await runAndKill(path);
    const disk = openDisk(path);
    const recovery = replayJournal(disk.fd, PAGE_BYTES, 1, JOURNAL_BLOCKS);
    t.log(`told ${told.join()}, ${String(recovery.transactions)} transactions replayed`);
    const counts = blockOf(disk.fd, HOME);
    for (let cpu = 0; cpu < CPUS; cpu++) {
      t.true(counts[cpu] >= told[cpu]);
      for (let i = 0; i < BLOCKS_PER_CPU; i++) {
        const words = blockOf(disk.fd, HOME + 1 + cpu * BLOCKS_PER_CPU + i);
        t.true(words.every((word) => word === counts[cpu]));
      }
    }
    disk.close();
  }
  rmSync(folder, { recursive: true });
});

/** Runs the process until each CPU has told enough, kills it, and returns the last stamp of each. */
async function runAndKill(path: string): Promise<number[]> {
  const program = fileURLToPath(new URL('./journal-child.js', import.meta.url));
  const args = [program, path, String(JOURNAL_BLOCKS), String(CPUS)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const told = Array.from({ length: CPUS }, () => 0);
  for await (const line of createInterface({ input: child.stdout })) {
    const [cpu, stamp] = line.split(' ').map(Number);
    told[cpu] = stamp;
    if (told.every((so) => so >= ROUNDS_PER_LIFE)) child.kill('SIGKILL');
  }
  return told;
}

function blockOf(fd: number, block: number): Int32Array {
  const words = new Int32Array(PAGE_BYTES / 4);
  preadInto(fd, new Uint8Array(words.buffer), block * PAGE_BYTES);
  return words;
}

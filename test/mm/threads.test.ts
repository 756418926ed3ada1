// Memory management in real threads: CPUs, devices, truncates, the flusher and kswapd on one
// machine, whose files are larger than its memory. At the end every frame, reference, pin and mark
// must be accounted for, and every cell hold what its owner stored last.

import { Worker } from 'node:worker_threads';
import test from 'ava';
import { GLOBAL } from '../../engine/memory/layout.js';
import { startKernelThreads } from '../../engine/mm/kernel-threads.js';
import { anyMarked, MARK } from '../../engine/mm/pagecache.js';
import { ring } from '../../engine/mm/reclaim.js';
import { doorbells } from '../../engine/sched/wait.js';
import { assertAtRest, type Rig, rig } from '../support/mm-machine.js';
import {
  CUT,
  CUT_PAGES,
  type Role,
  type RoleData,
  STABLE,
  STABLE_PAGES,
} from '../support/mm-threads.js';

const KERNEL = new URL('../support/kernel-threads-worker.js', import.meta.url);

function runThread(data: RoleData): Promise<void> {
  const worker = new Worker(new URL('../support/mm-threads-worker.js', import.meta.url), {
    workerData: data,
  });
  return new Promise((resolve, reject) => {
    worker.on('error', reject);
    worker.on('exit', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`a thread ended with ${String(code)}`));
    });
  });
}

interface Threads {
  readonly r: Rig;
  readonly last: Int32Array[];
}

async function runThreads(
  profile: string,
  roles: readonly Role[],
  rounds: number,
  seed: number,
  kernel: boolean,
): Promise<Threads> {
  const r = rig({ profile, pages: 200, mmPages: 1024, mms: 8, nodes: 64, filePages: 320 });
  r.file(STABLE, STABLE_PAGES);
  r.file(CUT, CUT_PAGES);
  const threads = kernel ? await startKernelThreads(r.m, KERNEL, r.store) : null;
  const last = roles.map(() => new Int32Array(new SharedArrayBuffer(STABLE_PAGES * 4)));
  await Promise.all(
    roles.map((role, cell) =>
      runThread({
        role,
        cell,
        rounds: role === 'storer' ? rounds * 4 : role === 'mapper' ? Math.ceil(rounds / 8) : rounds,
        seed: seed + cell * 7919,
        machine: r.m.shared,
        store: r.store,
        bells: doorbells(),
        last: last[cell],
      }),
    ),
  );
  if (threads !== null) await threads.stop();
  return { r, last };
}

const MIXES: readonly { profile: string; roles: readonly Role[]; kernel: boolean }[] = [
  { profile: 'linux-6.12', roles: ['storer', 'storer'], kernel: true },
  { profile: 'linux-6.12', roles: ['storer', 'device'], kernel: false },
  { profile: 'linux-6.12', roles: ['storer', 'device', 'device'], kernel: true },
  { profile: 'linux-6.12+P7-bounce', roles: ['storer', 'device'], kernel: true },
  { profile: 'best-known', roles: ['storer', 'device', 'cutter', 'mapper'], kernel: true },
  { profile: 'linux-6.12', roles: ['cutter', 'mapper', 'mapper'], kernel: true },
  { profile: 'linux-5.2', roles: ['storer', 'cutter'], kernel: true },
];

for (const { profile, roles, kernel } of MIXES) {
  const title = `${profile}: ${roles.join(', ')}${kernel ? ', flusher, kswapd' : ''}`;
  test.serial(title, async (t) => {
    const seed = (Date.now() & 0xffffff) + 1;
    t.log(`seed ${String(seed)}`);
    const { r, last } = await runThreads(profile, roles, 1500, seed, kernel);
    t.false(r.m.panicked);
    t.deepEqual(r.m.findings().kept, []);
    r.fsync(STABLE);
    r.fsync(CUT);
    t.false(anyMarked(r.m, STABLE, MARK.dirty), 'a dirty mark without a dirty page');
    t.false(anyMarked(r.m, STABLE, MARK.writeback));
    const lost: string[] = [];
    for (let page = 0; page < STABLE_PAGES; page++) {
      const block = new Int32Array(r.fs.block(STABLE, page).slice().buffer);
      last.forEach((values, cell) => {
        if (values[page] !== block[cell]) lost.push(`page ${String(page)} cell ${String(cell)}`);
      });
    }
    t.deepEqual(lost, []);
    r.truncate(STABLE, 0);
    r.truncate(CUT, 0);
    assertAtRest(t, r.m);
  });
}

test.serial('a kernel thread that dies panics its machine', async (t) => {
  const r = rig();
  const threads = await startKernelThreads(r.m, KERNEL, r.store);
  // A file that no store has: the flusher trips over our own defect.
  const inode = r.file(3, 8);
  const vpn = r.map(inode, 8);
  r.store32(vpn, 1);
  r.m.state.index[r.pfnAt(vpn)] = 2 ** 29;
  ring(r.m, GLOBAL.flusherBell);
  while (!r.m.panicked) await new Promise((resolve) => setImmediate(resolve));
  await t.throwsAsync(threads.stop(), { code: 'EIO' });
});

// The emulated machine against the kernel of this machine: the same small programs, the same answers.

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { release, tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { KERNELS } from '../engine/profile/kernels.js';
import { QUESTIONS } from './conformance/emulated.js';
import { requires } from './support/requires.js';
import { smallFs } from './support/small-fs.js';

const SOURCE = new URL('../../test/conformance/questions.c', import.meta.url).pathname;
const TMPFS_MAGIC = 0x01021994;
/** questions.c: the kernel can't be asked. */
const CANNOT = 3;

const folder = mkdtempSync(join(tmpdir(), 'pinfold-conformance-'));
const program = join(folder, 'questions');
test.after.always(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** The newest kernel with a profile that is not newer than the one that runs here. */
function profileHere(): string {
  const [major, minor] = release().split('.').map(Number);
  const known = KERNELS.filter(({ version }) => {
    const parts = version.split('.').map(Number);
    // 2.6.x has three parts; every kernel that runs this is newer.
    return parts.length > 2 || parts[0] < major || (parts[0] === major && parts[1] <= minor);
  });
  return `linux-${known.at(-1)?.version ?? ''}`;
}

function compile(t: ExecutionContext): boolean {
  if (!requires(t, 'cc', 'gcc')) return false;
  const flags = ['-std=gnu11', '-Wall', '-Wextra', '-Werror', '-O1'];
  execFileSync('cc', [...flags, '-o', program, SOURCE]);
  return true;
}

/** What the kernel here answers; null, with a note, if it can't be asked. */
function askKernel(t: ExecutionContext, question: string, place: string): string | null {
  const run = spawnSync(program, [question, join(place, 'file')], { encoding: 'utf8' });
  if (run.status === 0) return run.stdout.trim();
  if (run.status !== CANNOT)
    throw new Error(`questions ${question} ended in ${String(run.status)}`);
  t.log(`# skip: ${run.stdout.trim()}`);
  t.pass();
  return null;
}

for (const [question, emulated] of QUESTIONS) {
  test.serial(`${question}: answered as by the kernel of this machine`, (t) => {
    if (!compile(t)) return;
    const profile = profileHere();
    let answer: string | null;
    if (question === 'store-into-hole-on-full') {
      const place = smallFs(t);
      answer = place === null ? null : askKernel(t, question, place);
    } else if (statfsSync(folder).type === TMPFS_MAGIC) {
      // Memory has no writeback: nothing of it is what a disk's file system answers.
      t.log(`# skip: ${folder} is in memory; set TMPDIR to a folder on a disk`);
      t.pass();
      return;
    } else {
      answer = askKernel(t, question, folder);
    }
    if (answer === null) return;
    t.log(`${release()}: ${answer}; compared with ${profile}`);
    t.is(emulated(profile), answer);
  });
}

test('the rules of older kernels answer what those kernels did', (t) => {
  const pins = QUESTIONS.get('longterm-pin-of-file');
  t.is(pins?.('linux-6.4'), 'ok');
  t.is(pins?.('linux-6.5'), 'EFAULT');
});

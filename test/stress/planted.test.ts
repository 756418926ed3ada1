// Planted losses: an oracle that cannot fail is a defect. A volume is filled with stamps, changed
// behind the oracle's back, and read back.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { bootMachine } from '../../clients/stress/boot.js';
import { FindingLog } from '../../clients/stress/findings.js';
import { type FilePlan, makePlan, rowOf } from '../../clients/stress/plan.js';
import {
  CELL_BYTES,
  CELL_WORDS,
  newCell,
  PAGE_BYTES,
  PAGE_WORDS,
  readCell,
  writeStamp,
} from '../../clients/stress/stamp.js';
import { newTables } from '../../clients/stress/tables.js';
import type { VerifyMode } from '../../clients/stress/verify.js';
import { type Begun, runWarden } from '../../clients/stress/warden.js';
import { openDisk } from '../../engine/block/disk.js';
import { writeFile } from '../../engine/fs/file.js';
import type { Volume } from '../../engine/fs/volume.js';
import { GLOBAL } from '../../engine/memory/layout.js';
import { profileByName } from '../../engine/profile/profiles.js';
import { BlockingDriver } from '../../engine/sched/blocking.js';
import { doorbells } from '../../engine/sched/wait.js';

const plan = makePlan(1, 1, { sharedFiles: 1, sharedPages: 96, frames: 2048 });
const [file] = plan.files;
const CPU = 0;
const DEVICE = 1;
const PAGE = 30;

interface Found {
  readonly kinds: string[];
  readonly log: FindingLog;
}

/** Fills the shared file, lets `change` change it, and returns what a look at the disk finds. */
async function lookAfter(
  mode: VerifyMode,
  change: (put: (page: number, writer: number, cell: Int32Array) => void) => void,
  changeImage: (image: Int32Array) => void = () => undefined,
): Promise<Found> {
  const folder = mkdtempSync(join(tmpdir(), 'pinfold-planted-'));
  const path = join(folder, 'disk.img');
  const profile = profileByName('linux-5.2');
  const tables = newTables(plan, performance.timeOrigin + performance.now());
  const log = new FindingLog(profile.name, tables);
  const common = { kind: 'warden' as const, bells: doorbells() };
  let disk = openDisk(path, { createBytes: plan.volumeBytes });
  try {
    const { fd, sizeBytes } = disk;
    runWarden({ ...common, what: 'format', fd, sizeBytes, seed: 1 });
    const life = async (
      verify: VerifyMode | null,
      work: (v: Volume, begun: Begun) => void,
    ): Promise<void> => {
      const rig = bootMachine(plan, profile, disk, undefined);
      await rig.startDisk();
      const machine = { machine: rig.m.shared, volume: rig.v.shared, tables: tables.shared };
      const begun = runWarden({ ...common, ...machine, what: 'begin', verify });
      if (begun === null || !('inos' in begun)) throw new Error('the machine panicked');
      work(rig.v, begun);
      for (const finding of rig.m.findingsSince(0).found) log.add(finding, 1, begun.inos);
      for (const one of begun.findings) log.add(one.finding, 1, begun.inos, one.count);
      const ended = runWarden({ ...common, ...machine, what: 'end', inodes: begun.inodes });
      if (ended === null || !('findings' in ended)) throw new Error('the machine panicked');
      for (const one of ended.findings) log.add(one.finding, 1, begun.inos, one.count);
      await rig.stop();
    };
    await life(null, (v, begun) => {
      fill(v, begun.inodes[0], tables);
    });
    await life(null, (v, begun) => {
      change((page, writer, cell) => {
        put(v, begun.inodes[0], page, writer, cell);
      });
    });
    disk.close();
    const bytes = readFileSync(path);
    changeImage(new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 2));
    writeFileSync(path, bytes);
    disk = openDisk(path);
    await life(mode, () => undefined);
  } finally {
    disk.close();
    rmSync(folder, { recursive: true, force: true });
  }
  const kinds = log.summary().map((one) => `${one.hazard ?? ''} ${one.kind} x ${one.count}`);
  return { kinds, log };
}

/** Sequences 1 to 96 of both writers, one per page, answered and promised. */
function fill(v: Volume, inode: number, tables: ReturnType<typeof newTables>): void {
  for (let page = 0; page < file.pages; page++) {
    for (const writer of [CPU, DEVICE]) {
      const sequence = tables.begin(file, page, writer);
      put(v, inode, page, writer, stamp(writer, sequence, page));
      tables.answer(file, page, writer, sequence, 0);
      tables.durable[rowOf(file, page, writer)] = sequence;
    }
  }
}

function put(v: Volume, inode: number, page: number, writer: number, cell: Int32Array): void {
  const { panic } = GLOBAL;
  const driver = new BlockingDriver(v.m.state.global.subarray(panic, panic + 1));
  const task = v.m.newTask('planter', v.m.geometry.cpus - 1);
  const offset = page * PAGE_BYTES + writer * CELL_BYTES;
  driver.run(task, writeFile(task, v, inode, offset, new Uint8Array(cell.buffer)));
}

function stamp(writer: number, sequence: number, page: number, of: FilePlan = file): Int32Array {
  const words = new Int32Array(CELL_WORDS);
  writeStamp(words, 0, writer, sequence, of.number, page);
  return words;
}

test.serial('nothing is found where nothing was planted', async (t) => {
  const { kinds } = await lookAfter('final', () => undefined);
  t.deepEqual(kinds, []);
});

test.serial('a zeroed cell of a CPU is a lost write that no hazard explains', async (t) => {
  const { kinds } = await lookAfter('final', (plant) => {
    plant(PAGE, CPU, new Int32Array(CELL_WORDS));
  });
  t.deepEqual(kinds, [' lost-write x 1']);
});

test.serial('a promised write of a device that a crash has lost is H0-c', async (t) => {
  const { kinds, log } = await lookAfter('crash', (plant) => {
    plant(PAGE, DEVICE, stamp(DEVICE, 3, PAGE));
    plant(PAGE + 1, DEVICE, stamp(DEVICE, 2, PAGE + 1));
  });
  t.deepEqual(kinds, ['H0-c lost-write x 2']);
  t.regex(log.summary()[0].example.message, /shared0 page 30: cell 1 of device0: found sequence 3/);
});

test.serial('a stamp of another page is a foreign write', async (t) => {
  const { kinds } = await lookAfter('final', (plant) => {
    plant(PAGE, CPU, stamp(CPU, PAGE + 1, PAGE + 1));
  });
  t.deepEqual(kinds, [' foreign-write x 1']);
});

test.serial('half a stamp is torn', async (t) => {
  const half = stamp(CPU, PAGE + 1, PAGE);
  half.fill(0, 8);
  const { kinds } = await lookAfter('final', (plant) => {
    plant(PAGE, CPU, half);
  });
  t.deepEqual(kinds, [' torn-write x 1']);
});

test.serial(
  'a bit that changed on the disk is found by the checksum, and the page counts as spoiled',
  async (t) => {
    const cell = newCell();
    const { kinds, log } = await lookAfter(
      'final',
      () => undefined,
      (image) => {
        for (let at = 0; at < image.length; at += PAGE_WORDS) {
          readCell(image, at, cell);
          if (cell.kind === 'stamp' && cell.page === PAGE) image[at + 20] ^= 1;
        }
      },
    );
    t.is(log.summary()[0].kind, 'torn-write');
    t.is(log.summary().length, 1, kinds.join(', '));
    t.is(log.summary()[0].hazard, null, 'the page was never pinned');
  },
);

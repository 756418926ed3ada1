// The worked example of docs/lab.md: a hazard and a profile of one's own, in a test.

import test from 'ava';
import {
  createMm,
  diagram,
  explore,
  FOLL,
  formatText,
  type Hazard,
  LAB_PAGE_BYTES,
  mmap,
  PageStore,
  PG,
  PIN_BIAS,
  type Profile,
  pageStoreWords,
  pinUserPagesFast,
  profileByName,
  replay,
  storeUser,
  storeWords,
  unpinUserPages,
  VM,
} from 'pinfold/lab';

const FILE = 0; // the slots of the only inode and address space
const MM = 0;
const PAGE = 1; // the first frame that is handed out: there is no frame 0

const FORGETFUL: Hazard = {
  id: 'forgetful-driver',
  title: 'a driver unpins a page without set_page_dirty',
  source: 'an example',
  story:
    'A driver pins a page of a mapped file, lets its device store into it, and unpins it. It ' +
    'forgets to mark the page dirty. If the flusher has cleaned the page since it was pinned, ' +
    'nobody will ever write what the device stored.',
  mayGoWrong: ['lost-write'],
  program: (_profile, pageBytes) => ({
    name: 'forgetful-driver',
    // As small as it gets: a search resets all of it before every run.
    geometry: {
      pageBytes,
      pages: 4,
      cpus: 1,
      mms: 1,
      mmPages: 1,
      vmas: 1,
      inodes: 1,
      nodes: 2,
      framesInState: true,
      extraWords: pageStoreWords(1, pageBytes),
    },
    attach: (m) => {
      m.fs = new PageStore(m, FILE, 1, () => undefined); // torn writes are another hazard
    },
    // A file of one page, mapped and stored to: dirty, and its PTE writable.
    setUp: function* (task, m) {
      m.state.ino[FILE] = 1;
      m.state.iSize[FILE] = BigInt(pageBytes);
      createMm(m);
      const flags = VM.read | VM.write | VM.shared;
      yield* mmap(task, m, MM, { pages: 1, flags, inode: FILE, pgoff: 0, vpn: 0 });
      yield* storeUser(task, m, MM, 0, 0, new Uint8Array(pageBytes));
    },
    actors: [
      {
        name: 'flusher',
        run: function* (task, m) {
          yield* m.fs.writepages(task, FILE, 'all', 0, 0);
        },
      },
      {
        name: 'driver',
        run: function* (task, m) {
          const pfns = new Int32Array(1);
          yield* pinUserPagesFast(task, m, MM, 0, 1, FOLL.pin | FOLL.write, pfns);
          const data = new Int32Array(pageBytes >>> 2).fill(2);
          yield* storeWords(m.frames.wordSegment(pfns[0]), m.frames.wordOffset(pfns[0]), data);
          const makeDirty = false; // here it is forgotten
          yield* unpinUserPages(task, m, pfns, 1, PIN_BIAS, makeDirty);
        },
      },
    ],
    // A clean page holds what the disk has, or the difference is lost.
    verify: (m) => {
      const { extra, flags } = m.state;
      const words = pageBytes >>> 2;
      const memory = m.frames.wordSegment(PAGE).subarray(m.frames.wordOffset(PAGE)).at(0);
      const disk = extra.subarray(pageStoreWords(1, pageBytes) - words).at(0);
      if ((flags[PAGE] & PG.dirty) !== 0 || memory === disk) return [];
      const message = `the page is clean and holds ${memory}, the disk has ${disk}`;
      return [{ kind: 'lost-write', hazard: 'forgetful-driver', task: 'driver', message }];
    },
  }),
};

// Rules of one's own: fsync writes a copy of a pinned page, which stays dirty.
const linux = profileByName('linux-6.12');
const mine: Profile = {
  ...linux,
  name: 'mine',
  description: 'linux-6.12, but pinned pages are bounced and stay dirty',
  pinnedSyncAll: 'bounce',
  pinnedStaysDirty: true,
};

test('under linux-6.12 the store is lost', (t) => {
  const program = FORGETFUL.program(linux, LAB_PAGE_BYTES);
  const { verdict, failures } = explore(program, linux);
  t.is(verdict, 'unsafe');
  const [{ finding, schedule }] = failures;
  t.is(finding.kind, 'lost-write');
  t.deepEqual(replay(program, linux, schedule).findings, [finding]);
  t.log(formatText(diagram(program, linux, schedule, FORGETFUL.title)));
});

test('under rules of my own it is safe', (t) => {
  const { verdict, exhaustive } = explore(FORGETFUL.program(mine, LAB_PAGE_BYTES), mine);
  t.is(verdict, 'safe');
  t.true(exhaustive);
});

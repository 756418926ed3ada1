// The hazards of inline data as system calls.

import type { CProgram } from './c-program.js';

const NEEDS =
  'ext4 made with -O inline_data (H4-a: and ^has_journal), on a scratch device: the kernel may BUG.';

const SET_UP = `
/* So small that it lies inside its inode. */
if (ftruncate(file, 0) < 0 || pwrite(file, "A", 1, 0) != 1)
	cannot("pwrite");
fsync(file);
map_file();`;

const BUFFERED_WRITE = {
  name: 'write(2)',
  body: `
for (int i = 0; i < 16; i++) {
	if (pwrite(file, "W", 1, 0) != 1)
		saw("write failed");
	jitter();
}`,
} as const;

const MAPPED_STORE = {
  name: 'mapped store',
  body: `
for (int i = 0; i < 16; i++) {
	if (store(mapping, 'M') == SIGBUS)
		saw("a store into the file ends in SIGBUS (spurious-error)");
	jitter();
}`,
} as const;

const CHECK = `
char now;

if (fsync(file) < 0)
	saw("fsync failed");
if (pread(file, &now, 1, 0) != 1 || now != mapping[0])
	saw("read(2) and the mapping differ (lost-write)");`;

const MAPS_AGAIN = {
  name: 'mmap(2)',
  body: `
for (int i = 0; i < 16; i++) {
	char *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);

	if (at != MAP_FAILED)
		munmap(at, PAGE);
	jitter();
}`,
} as const;

/** write(2) whose buffer is a page that has to be faulted in, from a file mapping. */
const WRITE_FROM_MAPPING = {
  name: 'write(2) from a mapping',
  body: `
char *buffer = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, source, 0);

for (int i = 0; i < 16; i++) {
	madvise(buffer, PAGE, MADV_DONTNEED);
	if (pwrite(file, buffer, 1, 0) != 1)
		saw("write failed");
	jitter();
}
munmap(buffer, PAGE);`,
} as const;

export const INLINE_PROGRAMS: Readonly<Record<string, CProgram>> = {
  'H4-a': {
    needs: NEEDS,
    setUp: SET_UP,
    actors: [BUFFERED_WRITE, MAPPED_STORE],
    check: CHECK,
  },
  'H4-b': {
    needs: `${NEEDS} With lockdep (CONFIG_PROVE_LOCKING) the report comes without a hang.`,
    setUp: SET_UP,
    actors: [WRITE_FROM_MAPPING, MAPS_AGAIN],
    check: CHECK,
  },
  'H4-c': {
    needs: `${NEEDS} With lockdep (CONFIG_PROVE_LOCKING) the report comes without a hang.`,
    setUp: SET_UP,
    actors: [WRITE_FROM_MAPPING, MAPPED_STORE],
    check: CHECK,
  },
  'H4-d': {
    needs: `${NEEDS} A kernel before 4.12.`,
    setUp: SET_UP,
    actors: [
      {
        name: 'mapped store and fsync',
        body: `
store(mapping, 'M');
if (fsync(file) < 0)
	saw("fsync failed");`,
      },
    ],
    check: CHECK,
  },
  'H4-e': {
    needs: NEEDS,
    setUp: SET_UP,
    actors: [
      MAPPED_STORE,
      {
        name: 'truncate',
        body: `
for (int i = 0; i < 16; i++) {
	if (ftruncate(file, 1 + i % 2 * PAGE) < 0)
		saw("ftruncate failed");
	jitter();
}`,
      },
      {
        name: 'flusher',
        body: `
for (int i = 0; i < 8; i++) {
	fsync(file);
	jitter();
}`,
      },
    ],
    check: CHECK,
  },
  'H4-f': {
    needs: NEEDS,
    setUp: SET_UP,
    actors: [
      {
        name: 'direct I/O',
        body: `
if (pread(source_direct, mapping, PAGE, 0) < 0 && errno == EFAULT)
	saw("EFAULT for a buffer that is mapped and writable (spurious-error)");`,
      },
      BUFFERED_WRITE,
    ],
    check: CHECK,
  },
  'H4-h': {
    needs: NEEDS,
    setUp: SET_UP,
    actors: [BUFFERED_WRITE, MAPPED_STORE, MAPS_AGAIN],
    check: CHECK,
  },
  'H4-i': {
    needs: `${NEEDS} A kernel with the patch P29.`,
    setUp: SET_UP,
    actors: [
      MAPPED_STORE,
      {
        name: 'munmap and close',
        body: `
jitter();
munmap(mapping, 2 * PAGE);
close(file);
file = -1;`,
      },
    ],
    check: 'mapping = NULL;',
  },
};

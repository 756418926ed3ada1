// The hazards of DAX as system calls.

import type { CProgram } from './c-program.js';

const NEEDS =
  'a file system mounted with dax on persistent memory (memmap=1G!4G on the kernel command line makes some).';

const SET_UP = `
fill(file, 0, 'A');
fill(file, 1, 'A');
fsync(file);
map_file();`;

const DIRECT_READ = {
  name: 'direct I/O',
  body: `
/* On DAX the pinned page is the block itself. EFAULT once it is unmapped is an honest answer. */
for (int i = 0; i < 8; i++) {
	if (pread(source_direct, mapping, PAGE, 0) < 0 && errno != EFAULT)
		saw("direct read failed");
	jitter();
}`,
} as const;

/** Blocks that were freed are given to another file; what it then holds must be its own. */
const TAKE_BLOCKS = `
static char other_path[4200];

static void take_blocks(void)
{
	int other = open(other_path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	fill(other, 0, 'H');
	fill(other, 1, 'H');
	fsync(other);
	close(other);
}`;

const FOREIGN = `
int other = open(other_path, O_RDONLY);
char data[2 * PAGE];

if (other >= 0 && read(other, data, sizeof(data)) == sizeof(data))
	for (size_t i = 0; i < sizeof(data); i++)
		if (data[i] != 'H') {
			saw("a device has written into another file (foreign-write)");
			break;
		}
if (other >= 0)
	close(other);
unlink(other_path);`;

const NAME_OTHER = `
snprintf(other_path, sizeof(other_path), "%s.other", file_path);`;

export const DAX_PROGRAMS: Readonly<Record<string, CProgram>> = {
  'H2-a': {
    needs: NEEDS,
    declarations: TAKE_BLOCKS,
    setUp: `${SET_UP}${NAME_OTHER}`,
    actors: [
      DIRECT_READ,
      {
        name: 'unlink',
        body: `
munmap(mapping, 2 * PAGE);
close(file);
close(file_direct);
unlink(file_path); /* the last reference: the blocks are free, pinned or not */
file = -1;
take_blocks();`,
      },
    ],
    check: `mapping = NULL;${FOREIGN}`,
  },
  'H2-i': {
    needs: NEEDS,
    declarations: `${TAKE_BLOCKS}\nstatic int pipes[2];`,
    setUp: `${SET_UP}${NAME_OTHER}
if (pipe(pipes) < 0)
	cannot("pipe");`,
    actors: [
      {
        name: 'vmsplice',
        body: `
struct iovec iov = { mapping, PAGE };

if (vmsplice(pipes[1], &iov, 1, 0) != PAGE)
	cannot("vmsplice");
jitter();
if (ftruncate(file, 0) < 0)
	saw("ftruncate failed");
take_blocks();`,
      },
    ],
    check: `
char data[PAGE];

if (read(pipes[0], data, PAGE) == PAGE && data[0] == 'H')
	saw("the pipe shows the data of another file (leak)");
close(pipes[0]);
close(pipes[1]);
unlink(other_path);`,
  },
  'H2-j': {
    needs: `${NEEDS} A process that waits for itself does not end: kill it.`,
    declarations: 'static int pipes[2];',
    setUp: `${SET_UP}
if (pipe(pipes) < 0)
	cannot("pipe");`,
    actors: [
      {
        name: 'truncate',
        body: `
struct iovec iov = { mapping, PAGE };

/* Holds the page until the pipe is read, and reads it only after the truncate. */
if (vmsplice(pipes[1], &iov, 1, 0) != PAGE)
	cannot("vmsplice");
alarm(10);
if (ftruncate(file, 0) < 0)
	saw("ftruncate failed");
alarm(0);`,
      },
    ],
    check: `
close(pipes[0]);
close(pipes[1]);`,
  },
  'H2-m': {
    needs: `${NEEDS} A kernel before 4.18 (ext4: 4.19).`,
    declarations: TAKE_BLOCKS,
    setUp: `${SET_UP}${NAME_OTHER}`,
    actors: [
      DIRECT_READ,
      {
        name: 'punch',
        body: `
if (fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 2 * PAGE) < 0)
	cannot("fallocate");
take_blocks();`,
      },
    ],
    check: FOREIGN,
  },
};

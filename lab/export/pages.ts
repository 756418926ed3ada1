// The hazards of the page cache as system calls.

import type { CProgram } from './c-program.js';

const DISK = 'a file system on a disk (ext4, xfs, btrfs): ';

const SET_UP = `
fill(file, 0, 'A');
fill(file, 1, 'A');
fsync(file);
map_file();
mapping[0] = 'B';`;

const DIRECT_READ = {
  name: 'direct I/O',
  body: `
/* The page is pinned, and the device stores 'D' into it. */
for (int i = 0; i < 8; i++) {
	if (pread(source_direct, mapping, PAGE, 0) != PAGE && errno != EFAULT)
		saw("direct read failed");
	jitter();
}`,
} as const;

const FLUSHER = {
  name: 'flusher',
  body: `
for (int i = 0; i < 8; i++) {
	fsync(file);
	jitter();
}`,
} as const;

/** Cleans and strips: clean pages leave the cache, their buffers go, pinned ones stay. */
const RECLAIM = {
  name: 'cleaner',
  body: `
for (int i = 0; i < 8; i++) {
	fsync(file);
	posix_fadvise(file, 0, PAGE, POSIX_FADV_DONTNEED);
	jitter();
}`,
} as const;

/** After all writers have answered, an fsync makes the disk say what the mapping says. */
const SAME_ON_DISK = `
char now = mapping[0];
int disk;

if (fsync(file) < 0)
	saw("fsync failed");
disk = on_disk(file_direct, 0);
if (disk < 0)
	saw("the page can't be read back: its checksum does not fit (torn-write)");
else if (disk != now)
	saw("the disk has not what the page has, and fsync said it had (lost-write)");`;

const REGISTRATION = `
static int ring;
static struct io_sqring_offsets ring_offsets;

/* A long-term writable pin. Refused for file pages since 6.5. */
static void register_page(void)
{
	struct io_uring_params params;
	struct iovec iov = { mapping, PAGE };

	memset(&params, 0, sizeof(params));
	ring = (int)syscall(__NR_io_uring_setup, 2, &params);
	if (ring < 0)
		cannot("io_uring");
	ring_offsets = params.sq_off;
	if (syscall(__NR_io_uring_register, ring, IORING_REGISTER_BUFFERS, &iov, 1) < 0)
		cannot("a long-term writable pin of a file page");
}

/* A device writes through the registration: a fixed-buffer read of the source, submitted and waited for. */
static void device_writes(void)
{
	struct io_uring_sqe *sqes;
	unsigned int *array, *tail;
	char *rings;

	rings = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQ_RING);
	sqes = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQES);
	if (rings == MAP_FAILED || sqes == MAP_FAILED)
		cannot("the rings");
	tail = (unsigned int *)(rings + ring_offsets.tail);
	array = (unsigned int *)(rings + ring_offsets.array);
	memset(&sqes[0], 0, sizeof(sqes[0]));
	sqes[0].opcode = IORING_OP_READ_FIXED;
	sqes[0].fd = source_direct;
	sqes[0].addr = (unsigned long)mapping;
	sqes[0].len = PAGE;
	array[*tail & 1] = 0;
	atomic_store((_Atomic unsigned int *)tail, *tail + 1);
	syscall(__NR_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0);
	munmap(rings, 4096);
	munmap(sqes, 4096);
}`;

const LONG_PIN_SET_UP = `${SET_UP}
register_page();`;

const LONG_PIN_DEVICE = {
  name: 'device',
  body: `
for (int i = 0; i < 8; i++) {
	device_writes();
	jitter();
}`,
} as const;

const LONG_PIN_CHECK = `
close(ring); /* the registration ends: the page is given back dirty */${SAME_ON_DISK}`;

const LONG_PIN = {
  needs: `${DISK}and a kernel before 6.5, which still lets io_uring pin a file's page for long and for writing.`,
  declarations: REGISTRATION,
  setUp: LONG_PIN_SET_UP,
  actors: [LONG_PIN_DEVICE, FLUSHER],
  check: LONG_PIN_CHECK,
} as const;

const STORES = {
  name: 'CPU',
  body: `
for (int i = 0; i < 64; i++) {
	if (store(mapping, (char)('a' + i % 26)) != 0)
		break;
	jitter();
}`,
} as const;

const TRUNCATES = {
  name: 'truncate',
  body: `
for (int i = 0; i < 8; i++) {
	if (ftruncate(file, 0) < 0 || ftruncate(file, 2 * PAGE) < 0)
		saw("ftruncate failed");
	jitter();
}`,
} as const;

export const PAGE_PROGRAMS: Readonly<Record<string, CProgram>> = {
  'H0-a': {
    needs: `${DISK}ext4 before 5.18 is the one that BUGs.`,
    setUp: SET_UP,
    actors: [DIRECT_READ, RECLAIM],
    check: SAME_ON_DISK,
  },
  'H0-b': {
    needs: `${DISK}ext4 before 5.18 is the one that BUGs.`,
    setUp: SET_UP,
    actors: [
      {
        name: 'process_vm_writev',
        body: `
char value = 'W';
struct iovec from = { &value, 1 }, to = { mapping, 1 };

for (int i = 0; i < 32; i++) {
	process_vm_writev(getpid(), &from, 1, &to, 1, 0);
	jitter();
}`,
      },
      {
        name: 'direct write',
        body: `
/* Takes the page out of the cache, whoever has it. */
void *data;

if (posix_memalign(&data, PAGE, PAGE) != 0)
	cannot("memory");
memset(data, 'X', PAGE);
for (int i = 0; i < 8; i++) {
	if (pwrite(file_direct, data, PAGE, 0) != PAGE)
		saw("direct write failed");
	jitter();
}
free(data);`,
      },
      FLUSHER,
    ],
    check: SAME_ON_DISK,
  },
  'H0-c': LONG_PIN,
  'H1-a': {
    needs: `${DISK}ext4 before 5.18 is the one that BUGs.`,
    setUp: SET_UP,
    actors: [DIRECT_READ, RECLAIM, FLUSHER],
    check: SAME_ON_DISK,
  },
  'H1-b': LONG_PIN,
  'H1-c': {
    needs:
      'a file system that checks what it reads, so that a torn write is seen: btrfs, or any on a disk with integrity.',
    setUp: SET_UP,
    actors: [DIRECT_READ, FLUSHER],
    check: SAME_ON_DISK,
  },
  'H1-d': {
    needs: 'a file system with reflinks: btrfs, or xfs made with reflink=1.',
    declarations: 'static char clone_path[4200];',
    setUp: SET_UP,
    actors: [
      DIRECT_READ,
      {
        name: 'snapshot',
        body: `
int clone;

snprintf(clone_path, sizeof(clone_path), "%s.clone", file_path);
clone = open(clone_path, O_RDWR | O_CREAT | O_TRUNC, 0600);
for (int i = 0; i < 8; i++) {
	if (ioctl(clone, FICLONE, file) < 0)
		cannot("FICLONE");
	fill(file, 0, 'S'); /* begins a new version of the page */
	jitter();
}
close(clone);
unlink(clone_path);`,
      },
    ],
    check: SAME_ON_DISK,
  },
  'H1-e': {
    needs: 'a small file system on a disk that is nearly full: the program fills it up.',
    declarations: `#include <sys/statvfs.h>

static char filler_path[4200];
static int filler;`,
    setUp: `
char data[PAGE];
struct statvfs space;

/* Not a disk that somebody needs. */
if (fstatvfs(file, &space) < 0 || space.f_bavail * space.f_frsize > 64 << 20) {
	errno = EFBIG;
	cannot("a file system with at most 64 MiB free");
}

if (ftruncate(file, 2 * PAGE) < 0)
	cannot("ftruncate");
map_file();
snprintf(filler_path, sizeof(filler_path), "%s.filler", file_path);
filler = open(filler_path, O_RDWR | O_CREAT | O_TRUNC, 0600);
memset(data, 'F', PAGE);
while (write(filler, data, PAGE) == PAGE)
	;
fsync(filler);`,
    actors: [
      {
        name: 'direct I/O',
        body: `
/* Into a hole: the block has to be reserved before the device stores. EFAULT is an honest answer. */
if (pread(source_direct, mapping, PAGE, 0) == PAGE)
	mapping[PAGE - 1] = 'E';`,
      },
      FLUSHER,
    ],
    check: `
if (fsync(file) < 0 && errno == ENOSPC)
	saw("no space is found only at writeback (late-enospc)");
close(filler);
unlink(filler_path);`,
  },
  'H1-f': LONG_PIN,
  'H3-a': {
    needs: `${DISK}and a kernel before 2.6.30.`,
    setUp: SET_UP,
    actors: [STORES, FLUSHER],
    check: SAME_ON_DISK,
  },
  'H3-b': {
    needs: `${DISK}and a kernel before 2.6.30.`,
    setUp: SET_UP,
    actors: [STORES, TRUNCATES],
    check: SAME_ON_DISK,
  },
  'H3-c': {
    needs: DISK.slice(0, -2),
    setUp: SET_UP,
    actors: [DIRECT_READ, TRUNCATES, FLUSHER],
    check: SAME_ON_DISK,
  },
};

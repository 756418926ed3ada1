// What every exported program is made of: the C around the actors of a hazard. Rounds of threads that
// start together, files made anew in each round, and a verdict by content.

/** The least that a C program needs besides its actors. */
export const HARNESS = `#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096
#define SEEN 1   /* exit code: what the hazard is about was seen */
#define CANNOT 3 /* exit code: this machine or file system can't be asked */

static char file_path[4096], source_path[4096];
static int file = -1, source = -1; /* the mapped file, and the one that direct I/O reads */
static int file_direct = -1, source_direct = -1;
static char *mapping;
static unsigned long round_number, seen;
static unsigned int state; /* of the pseudo-random delays: from the seed, so that runs differ only by it */
static pthread_barrier_t start;
static __thread sigjmp_buf fault;
static __thread volatile sig_atomic_t may_fault;

static void cannot(const char *what)
{
	fprintf(stderr, "%s: %s\\n", what, strerror(errno));
	exit(CANNOT);
}

static void saw(const char *what)
{
	seen++;
	printf("round %lu: %s\\n", round_number, what);
}

static void on_fault(int signal)
{
	if (may_fault)
		siglongjmp(fault, signal);
	_exit(128 + signal);
}

/* A store that may end in SIGBUS, as past the end of a file that is being cut. 0, or the signal. */
static inline int store(volatile char *at, char value)
{
	int caught = sigsetjmp(fault, 1);

	if (caught == 0) {
		may_fault = 1;
		*at = value;
	}
	may_fault = 0;
	return caught;
}

/* Waits a little, so that the rounds meet in different orders. */
static inline void jitter(void)
{
	unsigned int mine = __atomic_add_fetch(&state, 0x9e3779b9u, __ATOMIC_RELAXED);

	for (volatile unsigned int i = (mine * 2654435761u) >> 22; i > 0; i--)
		;
}

static inline void fill(int fd, int page, char value)
{
	char data[PAGE];

	memset(data, value, PAGE);
	if (pwrite(fd, data, PAGE, (off_t)page * PAGE) != PAGE)
		cannot("pwrite");
}

/* First byte of a page as the disk has it; -1 if it can't be read (a checksum that does not fit: EIO). */
static inline int on_disk(int direct, int page)
{
	static __thread char *data;

	if (data == NULL && posix_memalign((void **)&data, PAGE, PAGE) != 0)
		cannot("memory");
	return pread(direct, data, PAGE, (off_t)page * PAGE) == PAGE ? (unsigned char)data[0] : -1;
}

/* Files of two pages, the first of them mapped shared, made anew. */
static void open_files(void)
{
	file = open(file_path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	source = open(source_path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (file < 0 || source < 0)
		cannot("a file");
	fill(source, 0, 'D');
	fsync(source);
	source_direct = open(source_path, O_RDWR | O_DIRECT);
	file_direct = open(file_path, O_RDWR | O_DIRECT);
	if (source_direct < 0 || file_direct < 0)
		cannot("O_DIRECT (not on tmpfs)");
}

static void map_file(void)
{
	mapping = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (mapping == MAP_FAILED)
		cannot("mmap");
}

static void close_files(void)
{
	if (mapping != NULL && mapping != MAP_FAILED)
		munmap(mapping, 2 * PAGE);
	mapping = NULL;
	if (file >= 0)
		close(file);
	close(source);
	close(file_direct);
	close(source_direct);
	unlink(file_path);
	unlink(source_path);
}
`;

/** The end of every program: its threads, its rounds, its options. */
export const MAIN = `
static void *thread(void *actor)
{
	pthread_barrier_wait(&start);
	jitter();
	actors[(size_t)actor].run();
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned long rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000;
	pthread_t threads[ACTORS];
	struct sigaction action;

	if (argc < 2 || rounds == 0) {
		fprintf(stderr, "usage: %s FOLDER [ROUNDS [SEED]]\\n%s", argv[0], NEEDS);
		return 2;
	}
	state = argc > 3 ? (unsigned int)strtoul(argv[3], NULL, 10) : (unsigned int)time(NULL);
	printf("%lu rounds, seed %u\\n", rounds, state);
	snprintf(file_path, sizeof(file_path), "%s/pinfold.file", argv[1]);
	snprintf(source_path, sizeof(source_path), "%s/pinfold.source", argv[1]);
	memset(&action, 0, sizeof(action));
	action.sa_handler = on_fault;
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	for (round_number = 1; round_number <= rounds; round_number++) {
		open_files();
		set_up();
		pthread_barrier_init(&start, NULL, ACTORS);
		for (size_t i = 0; i < ACTORS; i++)
			if (pthread_create(&threads[i], NULL, thread, (void *)i) != 0)
				cannot("a thread");
		for (size_t i = 0; i < ACTORS; i++)
			pthread_join(threads[i], NULL);
		pthread_barrier_destroy(&start);
		check();
		close_files();
	}
	printf("seen in %lu of %lu rounds; look at dmesg too\\n", seen, rounds);
	return seen > 0 ? SEEN : 0;
}
`;

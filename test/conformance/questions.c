/*
 * Questions to the real kernel: each runs a small program on a file and prints what came of it in
 * one word, in the vocabulary of emulated.ts.
 *
 *     questions NAME FILE      FILE is created; its file system is the one that is asked
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE 4096
#define CANNOT 3 /* exit code: the kernel can't be asked this; the reason is printed */

static const char *path;
static sigjmp_buf fault;

static void on_fault(int signal)
{
	siglongjmp(fault, signal);
}

/* The one word for a system call's result. */
static const char *word(long result)
{
	if (result >= 0)
		return "ok";
	switch (errno) {
	case EFAULT: return "EFAULT";
	case ENOSPC: return "ENOSPC";
	case EINVAL: return "EINVAL";
	case EIO: return "EIO";
	case ENOMEM: return "ENOMEM";
	default: return strerror(errno);
	}
}

static void cannot(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	exit(CANNOT);
}

static int new_file(long bytes)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || ftruncate(fd, bytes) < 0)
		cannot("a file");
	return fd;
}

static int direct(void)
{
	int fd = open(path, O_RDWR | O_DIRECT);

	if (fd < 0)
		cannot("O_DIRECT");
	return fd;
}

static char *map(int fd, long pages, int protection)
{
	char *at = mmap(NULL, pages * PAGE, protection, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		cannot("mmap");
	return at;
}

/* Stores, or loads if value < 0; 0, or the signal that it ends in. */
static int touch(volatile char *at, int value)
{
	int signal = sigsetjmp(fault, 1);

	if (signal == 0) {
		if (value < 0)
			(void)*at;
		else
			*at = (char)value;
	}
	return signal;
}

static const char *touched(volatile char *at, int value)
{
	switch (touch(at, value)) {
	case 0: return "ok";
	case SIGBUS: return "SIGBUS";
	default: return "SIGSEGV";
	}
}

static void fill(int fd, int page, int value)
{
	char data[PAGE];

	memset(data, value, PAGE);
	if (pwrite(fd, data, PAGE, (off_t)page * PAGE) != PAGE)
		cannot("pwrite");
}

/* First byte of a page, read with read(2); '.' for 0. */
static char first(int fd, int page)
{
	char data[PAGE];

	if (pread(fd, data, PAGE, (off_t)page * PAGE) != PAGE)
		return '-';
	return data[0] == 0 ? '.' : data[0];
}

static const char *registers(void *at, long bytes)
{
	struct io_uring_params params;
	struct iovec iov = { at, (size_t)bytes };
	long ring;

	memset(&params, 0, sizeof(params));
	ring = syscall(__NR_io_uring_setup, 2, &params);
	if (ring < 0)
		cannot("io_uring");
	return word(syscall(__NR_io_uring_register, ring, IORING_REGISTER_BUFFERS, &iov, 1));
}

static void longterm_pin_of_file(void)
{
	int fd = new_file(PAGE);

	fill(fd, 0, 'A');
	puts(registers(map(fd, 1, PROT_READ | PROT_WRITE), PAGE));
}

static void longterm_pin_of_anonymous(void)
{
	char *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	puts(registers(at, PAGE));
}

static void store_past_end(void)
{
	char *at = map(new_file(PAGE), 2, PROT_READ | PROT_WRITE);
	const char *store = touched(at + PAGE, 'A');

	printf("%s %s\n", store, touched(at + PAGE, -1));
}

/* Fills the file system, then stores into a hole; gives space back, and stores again. */
static void store_into_hole_on_full(void)
{
	char data[PAGE];
	char filler[4096];
	char *at = map(new_file(2 * PAGE), 2, PROT_READ | PROT_WRITE);
	const char *full;
	int fd;

	snprintf(filler, sizeof(filler), "%s.filler", path);
	fd = open(filler, O_RDWR | O_CREAT | O_TRUNC, 0600);
	memset(data, 'F', PAGE);
	while (write(fd, data, PAGE) == PAGE)
		;
	full = touched(at, 'A');
	if (ftruncate(fd, 0) < 0)
		cannot("ftruncate");
	fsync(fd);
	printf("%s %s\n", full, touched(at, 'A'));
	unlink(filler);
}

/* Direct I/O of one page of a file into a mapping of another page of it, and of the same one. */
static void direct_read_into_own_mapping(void)
{
	int fd = new_file(2 * PAGE);
	int raw = direct();
	char *at = map(fd, 2, PROT_READ | PROT_WRITE);
	const char *other, *same;

	fill(fd, 0, 'A');
	fill(fd, 1, 'B');
	other = word(pread(raw, at, PAGE, PAGE));
	fsync(fd);
	same = word(pread(raw, at + PAGE, PAGE, PAGE));
	fsync(fd);
	printf("%s %s %c%c\n", other, same, first(fd, 0), first(fd, 1));
}

static void direct_write_from_own_mapping(void)
{
	int fd = new_file(2 * PAGE);
	int raw = direct();
	char *at = map(fd, 2, PROT_READ | PROT_WRITE);
	const char *other, *same;

	fill(fd, 0, 'A');
	fill(fd, 1, 'B');
	other = word(pwrite(raw, at + PAGE, PAGE, 0));
	at[PAGE] = 'C';
	same = word(pwrite(raw, at + PAGE, PAGE, PAGE));
	printf("%s %s %c%c\n", other, same, first(fd, 0), first(fd, 1));
}

static void direct_read_into_read_only(void)
{
	int fd = new_file(2 * PAGE);
	int raw = direct();

	fill(fd, 0, 'A');
	fill(fd, 1, 'B');
	puts(word(pread(raw, map(fd, 1, PROT_READ), PAGE, PAGE)));
}

/* Through pins, not through page tables: is the page written back all the same? */
static void process_vm_writev_to_file(void)
{
	int fd = new_file(PAGE);
	int raw = direct();
	char *at = map(fd, 1, PROT_READ | PROT_WRITE);
	char *aligned = aligned_alloc(PAGE, PAGE);
	char value = 'W';
	struct iovec from = { &value, 1 };
	struct iovec to = { at, 1 };
	const char *result;

	fill(fd, 0, 'A');
	fsync(fd);
	result = word(process_vm_writev(getpid(), &from, 1, &to, 1, 0));
	fsync(fd);
	if (aligned == NULL || pread(raw, aligned, PAGE, 0) != PAGE)
		cannot("a direct read");
	printf("%s %c\n", result, aligned[0]);
}

static void truncate_under_mapping(void)
{
	int fd = new_file(PAGE);
	char *at = map(fd, 1, PROT_READ | PROT_WRITE);
	const char *gone;

	at[0] = 'A';
	if (ftruncate(fd, 0) < 0)
		cannot("ftruncate");
	gone = touched(at, -1);
	if (ftruncate(fd, PAGE) < 0)
		cannot("ftruncate");
	printf("%s %c\n", gone, first(fd, 0));
}

/* H2-l: a page of the page cache may outlive its file harmlessly. */
static void spliced_page_outlives_truncate(void)
{
	int fd = new_file(PAGE);
	int pipes[2];
	char *at = map(fd, 1, PROT_READ | PROT_WRITE);
	char data[PAGE];
	struct iovec iov = { at, PAGE };
	const char *spliced;

	at[0] = 'A';
	if (pipe(pipes) < 0)
		cannot("pipe");
	spliced = word(vmsplice(pipes[1], &iov, 1, 0));
	if (ftruncate(fd, 0) < 0 || read(pipes[0], data, PAGE) != PAGE)
		cannot("ftruncate, read");
	printf("%s %c\n", spliced, data[0]);
}

/* What a mapping stores past the end of the file, within its last page, must not come back. */
static void tail_past_end_is_zeroed(void)
{
	int fd = new_file(100);
	char *at = map(fd, 1, PROT_READ | PROT_WRITE);
	char byte;

	at[0] = 'A';
	at[200] = 'X';
	fsync(fd);
	if (ftruncate(fd, PAGE) < 0 || pread(fd, &byte, 1, 200) != 1)
		cannot("ftruncate, pread");
	printf("%c%c\n", first(fd, 0), byte == 0 ? '.' : byte);
}

static void punch_under_mapping(void)
{
	int fd = new_file(2 * PAGE);
	char *at = map(fd, 2, PROT_READ | PROT_WRITE);

	at[0] = 'A';
	at[PAGE] = 'B';
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE) < 0)
		cannot("fallocate");
	printf("%s %c%c\n", touched(at, -1), at[0] == 0 ? '.' : at[0], at[PAGE]);
}

static const struct {
	const char *name;
	void (*ask)(void);
} questions[] = {
	{ "longterm-pin-of-file", longterm_pin_of_file },
	{ "longterm-pin-of-anonymous", longterm_pin_of_anonymous },
	{ "store-past-end", store_past_end },
	{ "store-into-hole-on-full", store_into_hole_on_full },
	{ "direct-read-into-own-mapping", direct_read_into_own_mapping },
	{ "direct-write-from-own-mapping", direct_write_from_own_mapping },
	{ "direct-read-into-read-only", direct_read_into_read_only },
	{ "process-vm-writev-to-file", process_vm_writev_to_file },
	{ "truncate-under-mapping", truncate_under_mapping },
	{ "spliced-page-outlives-truncate", spliced_page_outlives_truncate },
	{ "tail-past-end-is-zeroed", tail_past_end_is_zeroed },
	{ "punch-under-mapping", punch_under_mapping },
};

int main(int argc, char **argv)
{
	struct sigaction action;
	size_t i;

	if (argc != 3)
		return 2;
	path = argv[2];
	memset(&action, 0, sizeof(action));
	action.sa_handler = on_fault;
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	for (i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
		if (strcmp(questions[i].name, argv[1]) == 0) {
			questions[i].ask();
			unlink(path);
			return 0;
		}
	}
	return 2;
}

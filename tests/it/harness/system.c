/* Intercepts calls of the program to the system, so that a test decides when a disk answers and what the clock says.
 *
 * HELD_FILES  reading and writing files of this folder waits while
 * HELD_BY     another process locks this file, and then fails with the number that it holds, if it holds one;
 * CLOCK_STEP  this file's eight bytes, a signed number of seconds, are added to the time of day.
 *
 * Loaded by LD_PRELOAD into a program that calls the C library, as Rust's standard library and SQLite do. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *step;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CLOCK_STEP");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *page = mmap(NULL, sizeof *step, PROT_READ, MAP_SHARED, file, 0);
    if (page != MAP_FAILED) step = page;
    close(file);
}

static int is_held(int file) {
    const char *folder = getenv("HELD_FILES");
    char link[32], path[PATH_MAX];
    if (!folder) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path);
    size_t wanted = strlen(folder);
    return length > (ssize_t)wanted && !memcmp(path, folder, wanted) && path[wanted] == '/';
}

/* Waits until no process holds the disk. Returns whether the call fails, with errno set. */
static int fails(int file) {
    char number[8] = "";
    if (!is_held(file)) return 0;
    int by = open(getenv("HELD_BY"), O_RDONLY | O_CLOEXEC);
    if (by < 0) return 0;
    while (flock(by, LOCK_SH)) {}
    ssize_t length = syscall(SYS_read, by, number, sizeof number - 1);
    close(by);
    int error = length > 0 ? atoi(number) : 0;
    if (error) errno = error;
    return error != 0;
}

ssize_t read(int file, void *bytes, size_t length) {
    if (fails(file)) return -1;
    return syscall(SYS_read, file, bytes, length);
}

ssize_t write(int file, const void *bytes, size_t length) {
    if (fails(file)) return -1;
    return syscall(SYS_write, file, bytes, length);
}

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t at) {
    if (fails(file)) return -1;
    return syscall(SYS_pwrite64, file, bytes, length, at);
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t at) { return pwrite64(file, bytes, length, at); }

int fdatasync(int file) {
    if (fails(file)) return -1;
    return syscall(SYS_fdatasync, file);
}

int fsync(int file) {
    if (fails(file)) return -1;
    return syscall(SYS_fsync, file);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(clock, time);
    if (!status && step && clock == CLOCK_REALTIME) time->tv_sec += *step;
    return status;
}

/* Makes chosen system calls on the files of one folder fail, fall short, hang, or kill the process.

   A library for LD_PRELOAD; `io_faults.py` compiles it and sets the variables, and says what they mean.
   Calls are numbered from 1 in each process; only those on paths or descriptors below the folder count.
   The calls of the C library to itself are not seen: its asynchronous transfers are faked here
   instead, so that they fail only once they are waited for, as those of a disk do. */
#define _GNU_SOURCE
#include <aio.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

enum { NONE, ERROR, SHORT, KILL, HANG };

static struct {
    char folder[PATH_MAX];
    char calls[256];  /* ",read,write," or ",any," */
    long first, last; /* numbers of the calls to fail */
    long least;       /* shorter reads and writes do not count */
    int what, number; /* number: of the error */
    int log;
    int active;
} plan;

static const char *setting(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

static long seen;

/* A process that has forked calls it again, with other variables. */
__attribute__((constructor)) void io_faults_begin(void) {
    const char *rank = setting("PMI_RANK", setting("OMPI_COMM_WORLD_RANK", "0"));
    const char *wanted = setting("IO_FAULTS_RANK", rank), *what = setting("IO_FAULTS_WHAT", "none");
    char log[PATH_MAX];
    snprintf(plan.folder, sizeof plan.folder, "%s/", setting("IO_FAULTS_FOLDER", ""));
    snprintf(plan.calls, sizeof plan.calls, ",%s,", setting("IO_FAULTS_CALLS", "any"));
    plan.first = atol(setting("IO_FAULTS_FIRST", "0"));
    plan.last = plan.first + atol(setting("IO_FAULTS_COUNT", "1")) - 1;
    plan.least = atol(setting("IO_FAULTS_LEAST_BYTES", "0"));
    plan.number = atoi(what);
    plan.what = plan.number ? ERROR : !strcmp(what, "short") ? SHORT
              : !strcmp(what, "kill") ? KILL : !strcmp(what, "hang") ? HANG : NONE;
    if (plan.folder[1] == 0 || strcmp(rank, wanted)) return;
    snprintf(log, sizeof log, "%s.%s", setting("IO_FAULTS_LOG", "/dev/null"), rank);
    seen = 0;
    plan.log = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    plan.active = 1;
}

/* -- which call is meant ----------------------------------------------------------------------- */

static int is_below(const char *path) {
    char whole[PATH_MAX];
    if (path[0] != '/') {
        char here[PATH_MAX];
        if (syscall(SYS_getcwd, here, sizeof here) < 0) return 0;
        if (snprintf(whole, sizeof whole, "%s/%s", here, path) >= (int)sizeof whole) return 0;
        path = whole;
    }
    return !strncmp(path, plan.folder, strlen(plan.folder));
}

static int is_open_below(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long length = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_below(path);
}

static int is_meant(const char *call) {
    char name[32];
    snprintf(name, sizeof name, ",%s,", call);
    return strstr(plan.calls, name) || strstr(plan.calls, ",any,")
        || (!strncmp(call, "aio_", 4) && is_meant(call + 4));
}

/* Count a call that is on the folder; return what is to happen to it, with errno set. */
static int fate(const char *call, long bytes) {
    char line[96];
    if ((bytes >= 0 && bytes < plan.least) || !is_meant(call)) return NONE;
    long number = __sync_add_and_fetch(&seen, 1);
    int chosen = plan.first && number >= plan.first && number <= plan.last ? plan.what : NONE;
    int length = snprintf(line, sizeof line, "%ld %s %ld %s\n", number, call, bytes, chosen ? "fault" : "-");
    if (plan.log > 0 && syscall(SYS_write, plan.log, line, length) < 0) return NONE;
    if (chosen == KILL) syscall(SYS_kill, getpid(), SIGKILL);
    if (chosen == ERROR) errno = plan.number;
    return chosen;
}

static int fate_of(int fd, const char *call, long bytes) {
    return plan.active && is_open_below(fd) ? fate(call, bytes) : NONE;
}

static int fate_at(const char *path, const char *call) {
    return plan.active && path && is_below(path) ? fate(call, -1) : NONE;
}

__attribute__((noreturn)) static void hang(void) {
    for (;;) pause();
}

static size_t half(size_t count) { return count > 1 ? count / 2 : count; }

/* -- reads and writes ------------------------------------------------------------------------- */

#define MOVE(name, call, types, count, ...)                                   \
    ssize_t name types {                                                      \
        switch (fate_of(fd, call, count)) {                                   \
        case ERROR: return -1;                                                \
        case SHORT: count = half(count); break;                               \
        case HANG: hang();                                                    \
        }                                                                     \
        return NEXT(name)(__VA_ARGS__);                                       \
    }
MOVE(read, "read", (int fd, void *to, size_t n), n, fd, to, n)
MOVE(pread, "read", (int fd, void *to, size_t n, off_t at), n, fd, to, n, at)
MOVE(pread64, "read", (int fd, void *to, size_t n, off64_t at), n, fd, to, n, at)
MOVE(write, "write", (int fd, const void *from, size_t n), n, fd, from, n)
MOVE(pwrite, "write", (int fd, const void *from, size_t n, off_t at), n, fd, from, n, at)
MOVE(pwrite64, "write", (int fd, const void *from, size_t n, off64_t at), n, fd, from, n, at)
ssize_t __read_chk(int fd, void *to, size_t n, size_t room) { (void)room; return read(fd, to, n); }
ssize_t __pread_chk(int fd, void *to, size_t n, off_t at, size_t room) { (void)room; return pread(fd, to, n, at); }
ssize_t __pread64_chk(int fd, void *to, size_t n, off64_t at, size_t room) { (void)room; return pread64(fd, to, n, at); }

/* Of a vector, a short count is that of the first half of its parts, or half of its only one. */
#define MOVE_PARTS(name, call, types, ...)                                    \
    ssize_t name types {                                                      \
        long total = 0;                                                       \
        struct iovec first;                                                   \
        for (int k = 0; k < n; k++) total += parts[k].iov_len;                \
        switch (fate_of(fd, call, total)) {                                   \
        case ERROR: return -1;                                                \
        case HANG: hang();                                                    \
        case SHORT:                                                           \
            if (n == 1) {                                                     \
                first.iov_base = parts[0].iov_base;                           \
                first.iov_len = half(parts[0].iov_len);                       \
                parts = &first;                                               \
            } else n = half(n);                                               \
        }                                                                     \
        return NEXT(name)(__VA_ARGS__);                                       \
    }
#define PARTS int fd, const struct iovec *parts, int n
MOVE_PARTS(readv, "read", (PARTS), fd, parts, n)
MOVE_PARTS(preadv, "read", (PARTS, off_t at), fd, parts, n, at)
MOVE_PARTS(preadv64, "read", (PARTS, off64_t at), fd, parts, n, at)
MOVE_PARTS(preadv2, "read", (PARTS, off_t at, int flags), fd, parts, n, at, flags)
MOVE_PARTS(preadv64v2, "read", (PARTS, off64_t at, int flags), fd, parts, n, at, flags)
MOVE_PARTS(writev, "write", (PARTS), fd, parts, n)
MOVE_PARTS(pwritev, "write", (PARTS, off_t at), fd, parts, n, at)
MOVE_PARTS(pwritev64, "write", (PARTS, off64_t at), fd, parts, n, at)
MOVE_PARTS(pwritev2, "write", (PARTS, off_t at, int flags), fd, parts, n, at, flags)
MOVE_PARTS(pwritev64v2, "write", (PARTS, off64_t at, int flags), fd, parts, n, at, flags)

/* -- everything else that is done to files; a short count means nothing here ------------------- */

#define CALL(name, call, fate_here, types, ...)                               \
    int name types {                                                          \
        switch (fate_here) {                                                  \
        case ERROR: return -1;                                                \
        case HANG: hang();                                                    \
        }                                                                     \
        return NEXT(name)(__VA_ARGS__);                                       \
    }
CALL(fsync, "fsync", fate_of(fd, "fsync", -1), (int fd), fd)
CALL(fdatasync, "fsync", fate_of(fd, "fsync", -1), (int fd), fd)
CALL(ftruncate, "ftruncate", fate_of(fd, "ftruncate", -1), (int fd, off_t n), fd, n)
CALL(ftruncate64, "ftruncate", fate_of(fd, "ftruncate", -1), (int fd, off64_t n), fd, n)
CALL(truncate, "ftruncate", fate_at(path, "ftruncate"), (const char *path, off_t n), path, n)
CALL(fallocate, "fallocate", fate_of(fd, "fallocate", n), (int fd, int mode, off_t at, off_t n), fd, mode, at, n)
CALL(fallocate64, "fallocate", fate_of(fd, "fallocate", n), (int fd, int mode, off64_t at, off64_t n), fd, mode, at, n)
CALL(rename, "rename", fate_at(to, "rename"), (const char *from, const char *to), from, to)
CALL(renameat, "rename", fate_at(to, "rename"), (int a, const char *from, int b, const char *to), a, from, b, to)
CALL(renameat2, "rename", fate_at(to, "rename"), (int a, const char *from, int b, const char *to, unsigned f), a, from, b, to, f)

/* posix_fallocate returns its error. */
int posix_fallocate(int fd, off_t at, off_t n) {
    int what = fate_of(fd, "fallocate", n);
    if (what == HANG) hang();
    return what == ERROR ? errno : NEXT(posix_fallocate)(fd, at, n);
}
int posix_fallocate64(int fd, off64_t at, off64_t n) {
    int what = fate_of(fd, "fallocate", n);
    if (what == HANG) hang();
    return what == ERROR ? errno : NEXT(posix_fallocate64)(fd, at, n);
}

#define OPEN(name, types, ...)                                                \
    int name types {                                                          \
        va_list rest;                                                         \
        va_start(rest, flags);                                                \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                                         \
        switch (fate_at(path, "open")) {                                      \
        case ERROR: return -1;                                                \
        case HANG: hang();                                                    \
        }                                                                     \
        return NEXT(name)(__VA_ARGS__, flags, mode);                          \
    }
OPEN(open, (const char *path, int flags, ...), path)
OPEN(open64, (const char *path, int flags, ...), path)
OPEN(openat, (int at, const char *path, int flags, ...), at, path)
OPEN(openat64, (int at, const char *path, int flags, ...), at, path)
int __open_2(const char *path, int flags) { return open(path, flags); }
int __open64_2(const char *path, int flags) { return open64(path, flags); }
int __openat_2(int at, const char *path, int flags) { return openat(at, path, flags); }
int __openat64_2(int at, const char *path, int flags) { return openat64(at, path, flags); }

/* -- asynchronous transfers ------------------------------------------------------------------- */

/* Those that are faked: never posted, and found to have failed, or under way for ever. */
static struct { const struct aiocb *block; int error; } faked[256];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void fake(const struct aiocb *block, int error) {
    pthread_mutex_lock(&lock);
    for (int k = 0; k < 256; k++)
        if (!faked[k].block) { faked[k].block = block; faked[k].error = error; break; }
    pthread_mutex_unlock(&lock);
}

/* Return the error of a faked transfer, 0 if it is a real one; forget it if asked to. */
static int error_of(const struct aiocb *block, int forget) {
    int error = 0;
    pthread_mutex_lock(&lock);
    for (int k = 0; k < 256; k++)
        if (faked[k].block == block) {
            error = faked[k].error;
            if (forget) faked[k].block = NULL;
        }
    pthread_mutex_unlock(&lock);
    return error;
}

#define POST(name, call, kind)                                                \
    int name(struct kind *block) {                                            \
        error_of((struct aiocb *)block, 1);                                   \
        switch (fate_of(block->aio_fildes, call, block->aio_nbytes)) {        \
        case ERROR: fake((struct aiocb *)block, plan.number); return 0;       \
        case HANG: fake((struct aiocb *)block, EINPROGRESS); return 0;        \
        case SHORT: block->aio_nbytes = half(block->aio_nbytes);              \
        }                                                                     \
        return NEXT(name)(block);                                             \
    }
POST(aio_write, "aio_write", aiocb)
POST(aio_write64, "aio_write", aiocb64)
POST(aio_read, "aio_read", aiocb)
POST(aio_read64, "aio_read", aiocb64)

#define FINISH(suffix, kind)                                                  \
    int aio_error##suffix(const struct kind *block) {                         \
        int error = error_of((const struct aiocb *)block, 0);                 \
        return error ? error : NEXT(aio_error##suffix)(block);                \
    }                                                                         \
    ssize_t aio_return##suffix(struct kind *block) {                          \
        int error = error_of((struct aiocb *)block, 1);                       \
        if (!error) return NEXT(aio_return##suffix)(block);                   \
        errno = error;                                                        \
        return -1;                                                            \
    }                                                                         \
    int aio_suspend##suffix(const struct kind *const blocks[], int n, const struct timespec *timeout) { \
        for (int k = 0; k < n; k++) {                                         \
            int error = blocks[k] ? error_of((const struct aiocb *)blocks[k], 0) : 0; \
            if (error == EINPROGRESS) hang();                                 \
            if (error) return 0;                                              \
        }                                                                     \
        return NEXT(aio_suspend##suffix)(blocks, n, timeout);                 \
    }
FINISH(, aiocb)
FINISH(64, aiocb64)

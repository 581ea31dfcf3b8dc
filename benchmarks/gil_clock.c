/* Asks the threads of this process, while they run, whether they hold the interpreter's lock (GIL). See gil_clock.py. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

int PyGILState_Check(void);

static _Atomic long *counts; /* looks, and those at threads that held the lock */

static void look(int number, siginfo_t *info, void *context)
{
    long missed = info->si_overrun; /* as often as the timer ran out again before this could be called */
    (void)number;
    (void)context;
    atomic_fetch_add(&counts[0], 1 + missed);
    if (PyGILState_Check())
        atomic_fetch_add(&counts[1], 1 + missed);
}

int count_in(const char *path)
{
    struct sigaction action = {0};
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0)
        return -1;
    counts = mmap(NULL, 2 * sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if ((void *)counts == MAP_FAILED)
        return -1;
    action.sa_sigaction = look;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    sigfillset(&action.sa_mask);
    return sigaction(SIGPROF, &action, NULL);
}

int watch(int thread, long nanoseconds)
{
    struct sigevent event = {0};
    struct itimerspec every = {{0, nanoseconds}, {0, nanoseconds}};
    timer_t timer;
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGPROF;
    event.sigev_notify_thread_id = thread;
    /* That thread's processor clock, user and system time, as pthread_getcpuclockid makes it: clock_getcpuclockid(3). */
    clockid_t clock = (clockid_t)((~(unsigned)thread << 3) | 6);
    if (timer_create(clock, &event, &timer))
        return -1;
    return timer_settime(timer, 0, &every, NULL);
}

// Forty threads (1) and the leader (6) end at the same moment by the bare system call.
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_barrier_t together;

static void *end(void *unused) {
    (void)unused;
    pthread_barrier_wait(&together);
    syscall(SYS_exit, 1);
    return NULL;
}

int main(void) {
    pthread_t thread;
    pthread_barrier_init(&together, NULL, 41);
    for (int i = 0; i < 40; i++) {
        if (pthread_create(&thread, NULL, end, NULL) != 0) {
            return 98;
        }
    }
    pthread_barrier_wait(&together);
    syscall(SYS_exit, 6);
    return 97;
}

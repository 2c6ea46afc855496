// No thread calls exit_group: the leader ends by the bare system call with 5, the other, later, with 9.
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

static void *outlive(void *unused) {
    (void)unused;
    usleep(200000);
    syscall(SYS_exit, 9);
    return NULL;
}

int main(void) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, outlive, NULL) != 0) {
        return 98;
    }
    syscall(SYS_exit, 5);
    return 97;
}

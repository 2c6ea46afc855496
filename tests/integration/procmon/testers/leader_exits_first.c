// The leader's thread ends with 0 while another goes on and, last of the group, exits with 7.
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static void *outlive(void *unused) {
    (void)unused;
    usleep(300000);
    exit(7);
}

int main(void) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, outlive, NULL) != 0) {
        return 98;
    }
    pthread_exit(NULL);
}

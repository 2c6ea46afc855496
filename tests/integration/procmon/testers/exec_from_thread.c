// A thread that is not the leader calls exec: it takes over the leader's pid. argv: the program and its arguments.
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static void *replace(void *argv) {
    execv(((char **)argv)[0], argv);
    exit(99);
}

int main(int argc, char **argv) {
    (void)argc;
    pthread_t thread;
    if (pthread_create(&thread, NULL, replace, argv + 1) != 0) {
        return 98;
    }
    for (;;) {
        pause();
    }
}

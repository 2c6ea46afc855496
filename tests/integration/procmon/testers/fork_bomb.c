// Forks as fast as it can, in every process it has made, each of which runs itself anew; argv[1] seconds long.
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
    time_t end = argc > 2 ? atol(argv[2]) : time(NULL) + (argc > 1 ? atoi(argv[1]) : 1);
    char until[32];
    int digits = 30;
    until[31] = 0;
    for (time_t rest = end; rest; rest /= 10) {
        until[digits--] = '0' + rest % 10;
    }
    char *again[] = {argv[0], "0", until + digits + 1, NULL};
    while (time(NULL) < end) {
        if (fork() == 0) {
            execv(argv[0], again);
            _exit(97);
        }
    }
    return 0;
}

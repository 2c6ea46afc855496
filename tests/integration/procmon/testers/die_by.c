// Dies by the signal that its argument names by number; leaves a core where the limit allows it.
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int number = argc > 1 ? atoi(argv[1]) : SIGKILL;
    kill(getpid(), number);
    for (;;) {
        pause();
    }
}

// Overwrites its arguments, as a program that hides what it was called with.
#include <string.h>

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        memset(argv[i], 'x', strlen(argv[i]));
    }
    return 0;
}

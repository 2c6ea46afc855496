// Overwrites its arguments, its own name among them, and its process's name, as a program that hides what it is.
#include <string.h>
#include <sys/prctl.h>

int main(int argc, char **argv) {
    prctl(PR_SET_NAME, "innocent");
    for (int i = 0; i < argc; i++) {
        memset(argv[i], 'x', strlen(argv[i]));
    }
    return 0;
}

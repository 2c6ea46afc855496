// Runs the program argv[1] with argv[2]... as its arguments, the name among them.
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 3) {
        return 98;
    }
    execv(argv[1], argv + 2);
    return 97;
}

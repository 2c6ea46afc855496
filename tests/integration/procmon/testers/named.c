// Sets the hostname to argv[1], whatever bytes it has, and runs argv[2]... under it.
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 3 || sethostname(argv[1], strlen(argv[1])) != 0) {
        return 98;
    }
    execv(argv[2], argv + 2);
    return 97;
}

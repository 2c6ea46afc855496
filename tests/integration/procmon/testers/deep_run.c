// Makes a directory argv[1] levels deep, each with a name of argv[2] letters, goes there and runs argv[3]... from there.
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 4) {
        return 98;
    }
    char name[256] = {0};
    memset(name, 'd', atoi(argv[2]));
    for (int level = atoi(argv[1]); level > 0; level--) {
        if (mkdir(name, 0755) != 0 || chdir(name) != 0) {
            return 97;
        }
    }
    execv(argv[3], argv + 3);
    return 96;
}

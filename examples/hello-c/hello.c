#include <stdio.h>
#include <sys/utsname.h>

int main(void) {
    struct utsname kernel;
    uname(&kernel);
    printf("Hello from an image that holds one static program, on %s %s.\n", kernel.sysname, kernel.release);
    return 0;
}

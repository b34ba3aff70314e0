#include <math.h>
#include <stdio.h>

int main(int argc, char **argv) {
    FILE *words = fopen("words", "r");
    char word[16];
    if (!words || fscanf(words, "%15s", word) != 1) {
        return 1;
    }
    printf("%s from C, %.0f\n", word, sqrt(argc * 1764.0));
    return 0;
}

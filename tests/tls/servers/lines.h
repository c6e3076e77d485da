// Hexadecimal lines in, what a server read of each out.
#include <stdio.h>
#include <string.h>

static int is_hello, has_name;
static char name_in_hex[1024];

static void set_name(const unsigned char *name, size_t length) {
    if (has_name) return; // Only what the first ClientHello says counts.
    is_hello = has_name = 1;
    name_in_hex[0] = 0;
    for (size_t i = 0; i < length && 2 * i + 2 < sizeof name_in_hex; i++) sprintf(name_in_hex + 2 * i, "%02x", name[i]);
}

static int digit(char of) {
    return of >= '0' && of <= '9' ? of - '0' : of >= 'a' && of <= 'f' ? of - 'a' + 10 : -1;
}

static int each_line(void (*serve)(const unsigned char *, size_t)) {
    static char line[400000];
    static unsigned char bytes[200000];
    while (fgets(line, sizeof line, stdin)) {
        size_t length = 0;
        for (const char *at = line; digit(at[0]) >= 0 && digit(at[1]) >= 0; at += 2)
            bytes[length++] = (unsigned char)(digit(at[0]) << 4 | digit(at[1]));
        is_hello = has_name = 0;
        serve(bytes, length);
        if (has_name) printf("name %s\n", name_in_hex);
        else puts(is_hello ? "nameless" : "none");
    }
    return 0;
}

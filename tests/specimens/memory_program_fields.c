/* specimen: where code, data, heap, stack, arguments and environment lie, as /proc/PID/stat says | group: memory | needs: nothing */
#include "memory.h"

/* proc_pid_stat(5): fields 26-28 startcode endcode startstack, 45-51 start_data … env_end. */
static void fields(unsigned long long found[52]) {
    char text[4096];
    memory_read_proc("/proc/self/stat", text, sizeof text);
    char *word = strrchr(text, ')') + 2;
    for (int field = 3; field <= 51; field++) {
        found[field] = field == 3 ? 0 : strtoull(word, NULL, 10);
        word = strchr(word, ' ') + 1;
    }
}

int main(void) {
    static const int kept[] = {26, 27, 28, 45, 46, 47, 48, 49, 50, 51};
    unsigned long long before[52], now[52];
    char arguments[4096], environment[4096], text[4096];
    fields(before);
    size_t arguments_size = memory_read_proc("/proc/self/cmdline", arguments, sizeof arguments);
    size_t environment_size = memory_read_proc("/proc/self/environ", environment, sizeof environment);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) specimen_check(before[kept[i]] != 0);

    specimen_ready();
    specimen_wait();

    fields(now);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (before[kept[i]] != now[kept[i]])
            specimen_fail("field %d is %#llx, was %#llx", kept[i], now[kept[i]], before[kept[i]]);
    specimen_equal(memory_read_proc("/proc/self/cmdline", text, sizeof text), arguments_size);
    specimen_equal(memcmp(text, arguments, arguments_size), 0);
    specimen_equal(memory_read_proc("/proc/self/environ", text, sizeof text), environment_size);
    specimen_equal(memcmp(text, environment, environment_size), 0);
    return specimen_pass();
}

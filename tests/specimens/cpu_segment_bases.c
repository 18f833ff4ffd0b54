/* specimen: FS and GS base of every thread, set by arch_prctl(2) | group: cpu | needs: x86-64 */
#include "cpu.h"
#include "worker.h"

#include <asm/prctl.h>

enum { COUNT = 3 };
static uint64_t areas[COUNT + 1][4] = {{100, 101}, {200, 201}, {300, 301}, {400, 401}};

static void set(uint64_t *area) { specimen_equal(syscall(SYS_arch_prctl, ARCH_SET_GS, area), 0); }

static void expect(uint64_t *area, uint64_t fs) {
    uint64_t found = 0, second = 0;
    specimen_equal(syscall(SYS_arch_prctl, ARCH_GET_GS, &found), 0);
    specimen_equal(found, area);
    __asm__("movq %%gs:8, %0" : "=r"(second));
    specimen_equal(second, area[1]);
    specimen_equal(syscall(SYS_arch_prctl, ARCH_GET_FS, &found), 0);
    specimen_equal(found, fs);
    specimen_equal(found, pthread_self());
}

static void run(struct worker *me) {
    uint64_t fs = 0;
    set(me->data);
    specimen_equal(syscall(SYS_arch_prctl, ARCH_GET_FS, &fs), 0);
    worker_turn(me);
    expect(me->data, fs);
}

int main(void) {
    struct worker *workers[COUNT];
    uint64_t fs = 0;
    for (int i = 0; i < COUNT; i++) workers[i] = worker_start(run, areas[i]);
    set(areas[COUNT]);
    specimen_equal(syscall(SYS_arch_prctl, ARCH_GET_FS, &fs), 0);

    specimen_ready();
    specimen_wait();

    expect(areas[COUNT], fs);
    for (int i = 0; i < COUNT; i++) worker_end(workers[i]);
    return specimen_pass();
}

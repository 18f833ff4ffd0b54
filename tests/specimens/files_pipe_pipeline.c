/* specimen: pipeline of three children, of whose pipes the parent holds nothing | group: files | needs: nothing */
#include "files.h"
#include "peer.h"

static int first[2], second[2];

static void source(struct peer *me) {
    close(first[0]), close(second[0]), close(second[1]);
    files_write(first[1], 1000, 1, 0);
    peer_turn(me);
    files_write(first[1], 1000, 1, 1000);
}

static void filter(struct peer *me) {
    close(first[1]), close(second[0]);
    char bytes[500];
    specimen_equal(read(first[0], bytes, 500), 500);
    specimen_equal(write(second[1], bytes, 500), 500);
    peer_turn(me);
    for (ssize_t got; (got = read(first[0], bytes, sizeof bytes)) > 0;)
        specimen_equal(write(second[1], bytes, got), got);
}

static void sink(struct peer *me) {
    close(first[0]), close(first[1]), close(second[1]);
    files_expect(second[0], 200, 1, 0);
    peer_turn(me);
    char byte;
    files_expect(second[0], 1800, 1, 200);
    specimen_equal(read(second[0], &byte, 1), 0);
}

int main(void) {
    specimen_check(pipe(first) == 0 && pipe(second) == 0);
    struct peer *peers[] = {peer_start(source), peer_start(filter), peer_start(sink)};
    close(first[0]), close(first[1]), close(second[0]), close(second[1]);

    specimen_ready();
    specimen_wait();

    for (int i = 0; i < 3; i++) peer_tell(peers[i]);
    for (int i = 0; i < 3; i++) peer_reap(peers[i]);
    return specimen_pass();
}

/* specimen: host and domain names of UTS namespaces, one of them entered by a second process | group: ns | needs: root, new namespaces */
#include "ns.h"

#include <sys/utsname.h>

static char before[512];

static void names(char *text, size_t size) {
    struct utsname found;
    specimen_equal(uname(&found), 0);
    snprintf(text, size, "%s %s", found.nodename, found.domainname);
}

static void member(struct peer *me) {
    const char *expected = me->data;
    char found[512];
    peer_turn(me);
    names(found, sizeof found);
    specimen_equal_text(found, expected);
}

static void maker(struct peer *me) {
    specimen_equal(unshare(CLONE_NEWUTS), 0);
    specimen_equal(sethostname("elsewhere", 9), 0);
    specimen_equal(setdomainname("", 0), 0);
    struct peer *other = peer_start_with(member, "elsewhere ");
    peer_turn(me);
    char path[64], text[64] = "";
    snprintf(path, sizeof path, "/proc/%d/ns/uts", (int)other->pid);
    specimen_check(readlink(path, text, sizeof text - 1) > 0);
    specimen_equal(strtoull(strchr(text, '[') + 1, NULL, 10), ns_inode("uts"));
    char found[512];
    names(found, sizeof found);
    specimen_equal_text(found, "elsewhere ");
    peer_end(other);
}

int main(void) {
    ns_need(CLONE_NEWUTS);
    names(before, sizeof before);
    struct peer *peer = peer_start(maker);
    struct peer *outside = peer_start_with(member, before);

    specimen_ready();
    specimen_wait();

    char now[512];
    names(now, sizeof now);
    specimen_equal_text(now, before);
    peer_end(peer);
    peer_end(outside);
    return specimen_pass();
}

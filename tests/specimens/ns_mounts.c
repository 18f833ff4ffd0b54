/* specimen: mount namespace with a tmpfs, with all kinds of files in it, and bind mounts of its own | group: ns | needs: root, new namespaces */
#include "ns.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

enum { FAR = 3 << 20 }; /* where the second part of the file with a hole begins */

static const struct timespec LONG_AGO[2] = {{1000, 0}, {1000000, 500}};

static void write_text(const char *path, const char *text, off_t where) {
    int fd = open(path, O_WRONLY | O_CREAT, 0644);
    specimen_check(fd >= 0);
    specimen_equal(pwrite(fd, text, strlen(text), where), (ssize_t)strlen(text));
    specimen_equal(close(fd), 0);
}

static void same_text(const char *path, const char *expected, off_t where) {
    char text[64] = "";
    int fd = open(path, O_RDONLY);
    specimen_check(fd >= 0);
    specimen_check(pread(fd, text, sizeof text - 1, where) >= 0);
    specimen_equal_text(text, expected);
    specimen_equal(close(fd), 0);
}

static struct stat info_of(const char *path) {
    struct stat info;
    specimen_equal(lstat(path, &info), 0);
    return info;
}

static void mount_all(void) {
    char here[PATH_MAX], path[PATH_MAX + 16];
    specimen_check(getcwd(here, sizeof here));
    specimen_equal(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    snprintf(path, sizeof path, "%s/own", here);
    specimen_equal(mount("scratch", path, "tmpfs", MS_NOSUID | MS_NODEV, "size=16m,mode=750,nr_inodes=100"), 0);
    snprintf(path, sizeof path, "%s/bound", here);
    specimen_equal(mount("/usr", path, NULL, MS_BIND, NULL), 0);
    specimen_equal(mount(NULL, path, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL), 0);
    snprintf(path, sizeof path, "%s/file", here);
    specimen_equal(mount("/etc/passwd", path, NULL, MS_BIND, NULL), 0);
}

static void fill(void) {
    write_text("own/text", "in memory only", 0);
    specimen_equal(chown("own/text", 7, 8), 0);
    specimen_equal(chmod("own/text", 04640), 0);
    specimen_equal(setxattr("own/text", "trusted.specimen", "kept", 4, 0), 0);
    specimen_equal(link("own/text", "own/again"), 0);
    specimen_equal(mkdir("own/folder", 0700), 0);
    write_text("own/folder/hole", "begin", 0);
    write_text("own/folder/hole", "end", FAR);
    specimen_equal(symlink("../text", "own/folder/link"), 0);
    specimen_equal(mkfifo("own/folder/fifo", 0600), 0);
    specimen_equal(mkdir("own/folder/inside", 0755), 0);
    specimen_equal(utimensat(AT_FDCWD, "own/text", LONG_AGO, 0), 0);
    specimen_equal(utimensat(AT_FDCWD, "own/folder", LONG_AGO, 0), 0);
    specimen_equal(chmod("own/folder", 0500), 0);

    char path[PATH_MAX], here[PATH_MAX - 32];
    specimen_check(getcwd(here, sizeof here));
    snprintf(path, sizeof path, "%s/own/folder/inside", here); /* a mount in the tmpfs, of the tmpfs */
    char source[PATH_MAX];
    snprintf(source, sizeof source, "%s/own/folder", here);
    specimen_equal(mount(source, path, NULL, MS_BIND, NULL), 0);
}

static void check(void) {
    same_text("own/text", "in memory only", 0);
    same_text("own/folder/link", "in memory only", 0);
    same_text("own/folder/hole", "begin", 0);
    same_text("own/folder/hole", "end", FAR);
    struct stat text = info_of("own/text"), hole = info_of("own/folder/hole"), folder = info_of("own/folder");
    specimen_equal(text.st_mode, S_IFREG | 04640);
    specimen_equal(text.st_uid, 7);
    specimen_equal(text.st_gid, 8);
    specimen_equal(text.st_nlink, 2);
    specimen_equal(text.st_ino, info_of("own/again").st_ino);
    specimen_equal(text.st_mtim.tv_sec, 1000000);
    specimen_equal(text.st_mtim.tv_nsec, 500);
    specimen_equal(hole.st_size, FAR + 3);
    specimen_equal(hole.st_blocks, 16); /* two pages */
    specimen_equal(folder.st_mode, S_IFDIR | 0500);
    specimen_equal(folder.st_mtim.tv_sec, 1000000);
    specimen_equal(info_of("own").st_mode, S_IFDIR | 0750);
    specimen_equal(info_of("own/folder/fifo").st_mode, S_IFIFO | 0600);
    specimen_equal(info_of("own/folder/inside").st_ino, folder.st_ino);
    same_text("own/folder/inside/hole", "begin", 0);
    char value[8] = "";
    specimen_equal(getxattr("own/text", "trusted.specimen", value, sizeof value), 4);
    specimen_equal_text(value, "kept");

    struct statvfs room;
    specimen_equal(statvfs("own", &room), 0);
    specimen_equal(room.f_blocks * room.f_frsize, 16 << 20);
    specimen_equal(room.f_files, 100);
    specimen_equal(room.f_flag & (ST_NOSUID | ST_NODEV | ST_RDONLY), ST_NOSUID | ST_NODEV);
    specimen_equal(statvfs("bound", &room), 0);
    specimen_equal(room.f_flag & ST_RDONLY, ST_RDONLY);
    specimen_equal(info_of("bound").st_ino, info_of("/usr").st_ino);
    specimen_equal(info_of("file").st_ino, info_of("/etc/passwd").st_ino);
}

static void other(struct peer *me) {
    peer_turn(me);
    check();
}

static void maker(struct peer *me) {
    specimen_equal(unshare(CLONE_NEWNS), 0);
    mount_all();
    fill();
    struct peer *beside = peer_start(other);
    check();
    peer_turn(me);
    check();
    write_text("own/new", "can be written", 0);
    peer_end(beside);
}

int main(void) {
    ns_need(CLONE_NEWNS);
    specimen_equal(mkdir("own", 0755), 0);
    specimen_equal(mkdir("bound", 0755), 0);
    write_text("file", "", 0);
    struct peer *peer = peer_start(maker);

    specimen_ready();
    specimen_wait();

    specimen_equal(access("own/text", F_OK), -1);
    specimen_equal(access("bound/bin", F_OK), -1);
    peer_end(peer);
    return specimen_pass();
}

"""Open files that cannot be saved, by their names.

What holds state in the kernel or in hardware that no interface gives back is refused; so that users know what it is, it
is called by the name of the call or device that makes it.
"""

from __future__ import annotations

import os
import stat

from crtool.errors import Obstacle
from crtool.resources.files.openfile import OpenFile

__all__ = ["obstacle", "recognise"]

_ANONYMOUS = {
    b"anon_inode:[perf_event]": ("a performance counter (perf_event_open)", "end the measurement first"),
    b"anon_inode:[landlock-ruleset]": ("a Landlock ruleset", "enforce it and close it first"),
    b"anon_inode:landlock-ruleset": ("a Landlock ruleset", "enforce it and close it first"),
    b"anon_inode:bpf-prog": ("a BPF program", "unload it first"),
    b"anon_inode:bpf_link": ("a BPF link", "detach it first"),
    b"anon_inode:bpf-link": ("a BPF link", "detach it first"),
    b"anon_inode:btf": ("BPF type information", "close it first"),
    b"anon_inode:bpf_iter": ("a BPF iterator", "close it first"),
    b"anon_inode:seccomp notify": ("a seccomp listener (SECCOMP_RET_USER_NOTIF)", "end the supervisor first"),
    b"anon_inode:[fscontext]": ("a filesystem that is being configured (fsopen)", "mount or close it first"),
    b"anon_inode:kvm-vm": ("a virtual machine (KVM)", "save it by its own means, and end it"),
    b"anon_inode:[vfio-device]": ("a device given to a virtual machine (VFIO)", "end its user first"),
    b"anon_inode:sync_file": ("a fence of a graphics device", "close the device first"),
    b"anon_inode:dmabuf": ("memory of a device (DMA buffer)", "close the device first"),
}
_DEVICES = {
    "kvm": "virtual machines",
    "fuse": "a FUSE filesystem's daemon",
    "loop-control": "loop devices",
    "userfaultfd": "page faults of processes",
    "vhost-net": "virtual machines",
    "vhost-vsock": "virtual machines",
    "uinput": "input devices",
    "autofs": "automatic mounts",
    "kmsg": "the kernel's log",
    "rtc0": "the clock of the machine",
    "watchdog": "the watchdog of the machine",
    "dri": "a graphics device",
    "snd": "a sound device",
    "input": "an input device",
    "video": "a camera",
    "nvidia": "a graphics device",
}
_SECRET = b"/secretmem"
_NAMESPACES = (b"mnt:[", b"net:[", b"pid:[", b"user:[", b"uts:[", b"ipc:[", b"cgroup:[", b"time:[")


def recognise(file: OpenFile) -> bool:
    """Whether *file* looks like a file with a path, and is refused all the same."""
    return file.link.startswith(_NAMESPACES) or (file.link.startswith(_SECRET) and not os.path.exists(file.link))


def obstacle(file: OpenFile, where: str) -> Obstacle:
    """What *file*, which nobody saves, is."""
    what, remedy = _named(file)
    return Obstacle(file.pid, where, f"{what} cannot be saved", remedy)


def _named(file: OpenFile) -> tuple[str, str]:
    for link, (what, remedy) in _ANONYMOUS.items():
        if file.link == link or (link.endswith(b"kvm-vm") and file.link.startswith(b"anon_inode:kvm-")):
            return what, remedy
    if file.link.startswith(_SECRET):
        return "secret memory (memfd_secret), which nobody may read,", "unmap and close it first"
    if file.link.startswith(_NAMESPACES):
        return f"a handle of a namespace, {file.shown},", "close it first"
    if stat.S_ISCHR(file.stat.st_mode):
        return f"{file.shown}, a device that holds state ({_device(file.stat.st_rdev)}),", "close it first"
    return file.shown, "close it first"


def _device(device: int) -> str:
    """What a character device is for, else its name and numbers."""
    major, minor = os.major(device), os.minor(device)
    name = ""
    try:
        with open(f"/sys/dev/char/{major}:{minor}/uevent", encoding="utf-8", errors="replace") as file:
            name = next((line[8:].strip() for line in file if line.startswith("DEVNAME=")), "")
    except OSError:
        pass
    for known, use in _DEVICES.items():
        if name == known or name.split("/")[0].rstrip("0123456789") == known:
            return use
    return f"{name} {major}:{minor}".strip()

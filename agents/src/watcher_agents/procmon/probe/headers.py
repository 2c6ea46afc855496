"""The directory that BCC takes for the kernel's headers, so that a node needs none of its kernel.

BCC runs its compiler inside the directory that BCC_KERNEL_SOURCE names, includes `include/linux/kconfig.h` before
all else, and its own headers ask for a few of the kernel's. Those that user space sees as well come from
/usr/include (package linux-libc-dev); what only a kernel tree has is written here. The probe names no kernel
structure, so nothing in these files depends on the kernel that runs.
"""

import mmap
import platform
from pathlib import Path

UAPI = Path("/usr/include")

# What helpers.h and bpf.h of BCC 0.18 to 0.31 use before any header has defined it. CONFIG_BPF_SYSCALL is what
# they test to tell that BPF is there at all.
_KCONFIG = f"""\
#ifndef WATCHER_KCONFIG_H
#define WATCHER_KCONFIG_H
#define CONFIG_BPF_SYSCALL 1
#ifndef PAGE_SIZE
#define PAGE_SIZE {mmap.PAGESIZE}
#endif
#include <linux/types.h>
typedef __u8 u8;
typedef __s8 s8;
typedef __u16 u16;
typedef __s16 s16;
typedef __u32 u32;
typedef __s32 s32;
typedef __u64 u64;
typedef __s64 s64;
typedef _Bool bool;
typedef __SIZE_TYPE__ size_t;
typedef __UINTPTR_TYPE__ uintptr_t;
typedef int pid_t;
#endif
"""

_EMPTY = "/* Everything that the probe needs of this header is in kconfig.h or comes with BCC. */\n"

_FILES = {
    "linux/kconfig.h": _KCONFIG,
    "linux/log2.h": _EMPTY,
    "asm/page.h": _EMPTY,
    # BCC brings a bpf.h of its own; a second one would define everything twice.
    "linux/bpf.h": _EMPTY,
    "uapi/linux/bpf.h": _EMPTY,
    "uapi/linux/if_ether.h": _EMPTY,
    "uapi/linux/if_packet.h": _EMPTY,
    "uapi/linux/ptrace.h": _EMPTY,
}


def write_headers(directory: Path) -> None:
    """Make `directory` one that BCC_KERNEL_SOURCE can name."""
    for name, text in _FILES.items():
        path = directory / "include" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def compiler_flags() -> list[str]:
    """Where the compiler finds the user-space headers, after BCC's own: Debian keeps asm/ by architecture."""
    architecture = UAPI / f"{platform.machine()}-linux-gnu"
    return [f"-idirafter{architecture}", f"-idirafter{UAPI}"]

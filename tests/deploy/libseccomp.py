"""How does a process get a seccomp profile as a container runtime would give it? By libseccomp, from the profile's own JSON."""

from __future__ import annotations

import ctypes
import ctypes.util
import errno
import json
from pathlib import Path

ALLOW = 0x7FFF0000
ERRNO = 0x00050000
UNKNOWN_CALL = -1


def install(profile: Path, *, denied: tuple[str, ...] = ()) -> None:
    """Load a profile of the form that Kubernetes takes (no conditions on arguments) into this process, for good. denied: names to refuse as well."""
    library = ctypes.CDLL(ctypes.util.find_library("seccomp") or "libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    wanted = json.loads(profile.read_text())
    if wanted["defaultAction"] != "SCMP_ACT_ALLOW":
        raise ValueError("only profiles that allow by default are read here")
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(ALLOW)))
    rules = [(name, rule["errnoRet"]) for rule in wanted["syscalls"] for name in rule["names"]]
    for name, number in [*rules, *((name, errno.EPERM) for name in denied)]:
        call = library.seccomp_syscall_resolve_name(name.encode())
        if call == UNKNOWN_CALL:
            raise ValueError(f"{name} is no system call")
        failed = library.seccomp_rule_add(
            context, ctypes.c_uint32(ERRNO | number), ctypes.c_int(call), ctypes.c_uint(0)
        )
        if failed and failed != -errno.EEXIST:
            raise OSError(-failed, f"seccomp_rule_add {name}")
    failed = library.seccomp_load(context)
    if failed:
        raise OSError(-failed, "seccomp_load")

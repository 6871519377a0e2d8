"""What does the wall stop? A gallery of attacks a user can run: what each tries, and what stopped it.

Each attack is run twice, past the gate's eyes and with the gate looking away, so that one sees both what the gate says and
what the kernel does without it. The full set of the tests is larger (tests/sandbox).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from evolve.sandbox.executor import SafeExecutor
from evolve.sandbox.result import ExecutionResult


@dataclass(frozen=True)
class Attack:
    """A program that returns "reached" where it got what it tried for."""

    name: str
    tries: str
    code: str


@dataclass(frozen=True)
class Stopped:
    """One attack's end: what the gate said, and what happened with the gate off. `reached`: nothing stopped it."""

    attack: Attack
    gate: str
    wall: str
    reached: bool


def _attack(name: str, tries: str, body: str) -> Attack:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return Attack(name, tries, f"def main(input_data):\n{lines}    return 'reached'\n")


_LIBC = "import ctypes\nlibc = ctypes.CDLL(None)\nif libc.syscall({}) < 0: raise OSError(1, 'the kernel refused')"

ATTACKS: tuple[Attack, ...] = (
    _attack("read a file", "read /etc/passwd", "open('/etc/passwd').read()"),
    _attack("write a file", "leave a file in /tmp", "open('/tmp/evolve-was-here', 'w').write('x')"),
    _attack("read by numpy", "read a file without naming open", "import numpy as np\nnp.fromfile('/etc/passwd', dtype='u1')"),
    _attack("look for files", "learn whether a file exists", "import os\nos.stat('/etc/shadow')"),
    _attack("reach os through numpy", "run a shell by a module numpy imports", "import numpy as np\nif np.lib._npyio_impl.os.system('true') != 0: raise OSError(1, 'no shell')"),
    _attack("start a program", "run /bin/true", "import os\nos.posix_spawn('/bin/true', ['true'], {})"),
    _attack("fork", "become two processes", "import os\nif os.fork() == 0: os._exit(0)"),
    _attack("kill the service", "signal its parent", "import os\nos.kill(os.getppid(), 9)"),
    _attack("connect", "open a network connection", "import socket\nsocket.create_connection(('127.0.0.1', 9), 1)"),
    _attack("steal a secret", "read the service's environment", "import os\nif not [k for k in os.environ if 'KEY' in k or 'SECRET' in k]: raise LookupError('no secret in the environment')"),
    _attack("climb the frames", "reach open through a traceback", "try: 1 / 0\nexcept ZeroDivisionError as error: frame = error.__traceback__.tb_frame\nwhile frame.f_back: frame = frame.f_back\nframe.f_builtins['open']('/etc/passwd')"),
    _attack("trace a process", "attach to another process by ptrace", _LIBC.format("101, 16, 1, 0, 0")),
    _attack("open an io_uring", "do input and output that no filter sees", _LIBC.format("425, 8, ctypes.create_string_buffer(120)")),
    _attack("make code", "map memory that can be executed", "import ctypes\nlibc = ctypes.CDLL(None)\nlibc.mmap.restype = ctypes.c_long\nif libc.mmap(None, 4096, 7, 0x22, -1, 0) < 0: raise OSError(1, 'the kernel refused')"),
    _attack("eat the memory", "take 4 GiB", "x = 'a' * (4 << 30)"),
    _attack("never end", "loop for ever and ignore every signal", "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nwhile True: pass"),
    _attack("forge the result", "write a result by hand", "import os\nos.write(3, b'R' + bytes([0, 0, 0, 40]) + b'{\"value\":\"reached\",\"status\":\"success\"}   ')\nimport time\ntime.sleep(60)"),
    _attack("flood the parser", "return what parses to hundreds of megabytes", "import os\nx = b'{\"value\":[' + b'[[]],' * 2000000 + b'[]],\"notes\":[]}'\nos.write(3, b'R' + len(x).to_bytes(4, 'big'))\nv = memoryview(x)\nwhile v: v = v[os.write(3, v):]\nimport time\ntime.sleep(60)"),
    _attack("overflow the stack", "recurse for ever in C", "import sys\nsys.setrecursionlimit(10**9)\ndef f(): return f()\nf()"),
    _attack("poison the next run", "replace numpy's mean for those who come after", "import numpy as np\nnp.mean = None\nif __builtins__ is not None: raise RuntimeError('only this process had it, and it ends now')"),
)  # fmt: skip


def show(executor: SafeExecutor) -> Iterator[Stopped]:
    """Run the gallery on this executor's wall, one attack after the other."""
    gate = executor.validate_code
    for attack in ATTACKS:
        try:
            executor.validate_code = True
            seen = executor.execute(attack.code, attack.name, {}, timeout_seconds=1.0, memory_limit_mb=256)
            executor.validate_code = False
            unseen = executor.execute(attack.code, attack.name, {}, timeout_seconds=1.0, memory_limit_mb=256)
        finally:
            executor.validate_code = gate
        reached = "reached" in (seen.return_value, unseen.return_value)
        yield Stopped(attack, _said(seen), _said(unseen), reached)


def _said(result: ExecutionResult) -> str:
    return f"{result.status}: {(result.error or '').splitlines()[0]}" if result.error else str(result.status)

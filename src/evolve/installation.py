"""How does a bare machine get what Evolve needs: the locked versions, a torch that fits the machine, and nothing twice?

    python3 src/evolve/installation.py --venv .venv --dev        set up, or return at once when everything is in place
    evolve.installation.install_torch(python)                    only torch, into the environment of that interpreter

Runs before anything is installed and on Pythons too old for Evolve, which must read one sentence and not a SyntaxError:
standard library only, nothing from `evolve`, syntax of Python 3.6, and no annotation that an old Python would evaluate.
The environment is read here because this is the program that prepares others for theirs; `settings` needs pydantic.
"""
# ruff: noqa: UP021, UP036

import argparse
import ast
import contextlib
import glob
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

if sys.version_info >= (3, 11):  # old Pythons get no further than `enough_python`, and lack some of these names
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Literal, TypeAlias

    Say: TypeAlias = Callable[[str], None]
    TorchChoice: TypeAlias = Literal["auto", "cpu", "no"]
    Installer: TypeAlias = Literal["auto", "uv", "pip"]

OLDEST = (3, 11)
NEWER_PYTHONS = ("python3.13", "python3.12", "python3.11", "python3.14")
UV_REQUIREMENT = "uv>=0.9,<1"  # --torch-backend and --compile-bytecode; before 1.0 as nobody knows what 1.0 renames
STAMP = "evolve-setup.json"
STAMP_FORMAT = 1  # raise it when this module installs something that an unchanged lock does not show
HEARTBEAT_S = 10.0  # long enough not to scroll, short enough that nobody thinks it hangs
ROOM_BYTES = 2_500_000_000  # 1.8 GB installed, and downloads on their way

# What a user's shell may hold that would send an installation somewhere else than into this environment.
# fmt: off
MISLEADING = frozenset([
    "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX",
    "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_PYTHON", "PIP_REQUIRE_VIRTUALENV", "PIP_REQUIREMENT", "PIP_CONSTRAINT", "PIP_EDITABLE", "PIP_DRY_RUN",
    "UV_PYTHON", "UV_SYSTEM_PYTHON", "UV_TARGET", "UV_PREFIX", "UV_CONSTRAINT",
    "UV_OVERRIDE", "UV_RESOLUTION", "UV_PROJECT", "UV_WORKING_DIR", "UV_PROJECT_ENVIRONMENT", "UV_NO_EDITABLE",
])
# fmt: on


class SetupFailed(Exception):
    """The set-up cannot go on; the message is a sentence to act on. Not an EvolveError: that module may not be importable yet."""


class TorchUnavailable(SetupFailed):
    """No torch that fits this machine can be had from the configured sources. Everything but the neural models works without."""


class Request(NamedTuple):
    """What is wanted where. `torch` None: as by default, and do not try again what failed before.

    extras: names of pyproject's optional dependencies, joined by commas. strict: a torch or pages that cannot be had are a failure.
    """

    root: Path
    venv: Path
    dev: bool
    torch: "TorchChoice | None"
    installer: "Installer"
    extras: str = ""
    strict: bool = False

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    @property
    def lock(self) -> Path:
        return self.root / "requirements.lock"


class Stamp(NamedTuple):
    """What stands in an environment: written first as "creating" or "installing", and as "ready" only at the very end."""

    state: str
    key: str
    dev: bool
    torch: "str | None"
    torch_asked: bool


class UvSettings(NamedTuple):
    """pip's settings in uv's words: environment variables, and the arguments that have no variable."""

    variables: "dict[str, str]"
    arguments: "tuple[str, ...]"


# ── Which Python? ────────────────────────────────────────────────────────────────────────────────────────────────────


def enough_python(version: "Sequence[object]") -> bool:
    """Is this version able to run Evolve?"""
    return tuple(version[:2]) >= OLDEST


def newer_python() -> "str | None":
    """A Python on PATH that is new enough, asked for its version: a pyenv shim may exist for a version that does not."""
    for name in NEWER_PYTHONS:
        found = shutil.which(name)
        if found and _answers(found, "import sys; print(sys.version_info >= (3, 11))") == "True":
            return found
    return None


def _answers(python: str, question: str) -> str:
    """What a one-line program prints under that Python; "" when it cannot run."""
    try:
        return subprocess.check_output(
            [python, "-c", question], stderr=subprocess.DEVNULL, universal_newlines=True
        ).strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


# ── What is there already? ───────────────────────────────────────────────────────────────────────────────────────────


def stamp_key(request: Request) -> str:
    """Changes when the lock, the project's metadata, the Python, or the place of checkout or environment changes."""
    digest = hashlib.sha256()
    for part in (request.lock.read_bytes(), (request.root / "pyproject.toml").read_bytes()):
        digest.update(hashlib.sha256(part).digest())
    digest.update(repr((STAMP_FORMAT, sys.version_info[:2], str(request.root), str(request.venv))).encode())
    digest.update(request.extras.encode())
    return digest.hexdigest()


def read_stamp(venv: Path) -> "Stamp | None":
    """The stamp of an environment, or None when it has none that this version understands."""
    try:
        return Stamp(**json.loads((venv / STAMP).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write_stamp(venv: Path, stamp: Stamp) -> None:
    """Replace the stamp in one step: whoever reads it sees the old one or the new one."""
    draft = venv / (STAMP + ".new")
    draft.write_text(json.dumps(stamp._asdict()), encoding="utf-8")
    draft.replace(venv / STAMP)


def is_ready(request: Request, stamp: "Stamp | None", key: str) -> bool:
    """Does the environment hold what is asked for? More than asked for is fine: `make demo` after `make test` does nothing."""
    if stamp is None or stamp.state != "ready" or stamp.key != key or not request.python.exists():
        return False
    torch_settled = request.torch == "no" or bool(stamp.torch) or (request.torch is None and stamp.torch_asked)
    return torch_settled and (stamp.dev or not request.dev)


def why_rebuild(request: Request, stamp: "Stamp | None") -> "str | None":
    """The reason why the environment must be made anew, or None when it can be brought up to date in place."""
    venv = request.venv
    if not (venv / "pyvenv.cfg").is_file():
        return "it is not complete"
    if stamp is not None and stamp.state == "creating":
        return "an earlier set-up was interrupted"
    if not request.python.exists():
        return "its Python is gone"
    found = re.search(
        r"^version(?:_info)?\s*=\s*(\d+)\.(\d+)", (venv / "pyvenv.cfg").read_text(encoding="utf-8"), re.MULTILINE
    )
    if found and (int(found.group(1)), int(found.group(2))) != sys.version_info[:2]:
        return "it was made for Python {}.{}".format(*found.groups())
    activate = venv / "bin" / "activate"
    # Scripts in bin/ begin with the absolute path of the environment's Python: after a move they call another one, or none.
    if not activate.is_file() or str(venv) not in activate.read_text(encoding="utf-8"):
        return "it was made in another place"
    return None


# ── pip's settings, for uv ───────────────────────────────────────────────────────────────────────────────────────────


def pip_settings(listing: str) -> "dict[str, str]":
    """The settings that hold for `pip install`, from the output of `pip config list`: environment over [install] over [global]."""
    levels: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in listing.splitlines():
        name, separator, value = line.partition("=")
        section, _, option = name.rpartition(".")
        if not separator or section not in levels:
            continue
        try:
            levels[section][option] = str(ast.literal_eval(value))
        except (ValueError, SyntaxError):
            continue
    merged: dict[str, str] = {}
    for level in levels.values():
        merged.update(level)
    return merged


def uv_settings(pip: "Mapping[str, str]", environment: "Mapping[str, str]") -> UvSettings:
    """pip's mirror, certificate, proxy and wheel folders in uv's words: uv does not read pip's settings.

    What the user set for uv itself stays: only variables that `environment` lacks are returned.
    """
    variables: dict[str, str] = {}

    def unless_set(option: str, *names: str, joined_by: str = "") -> None:
        value = pip.get(option, "").strip()
        if value and not any(environment.get(name) or environment.get(name.lower()) for name in names):
            variables[names[0]] = joined_by.join(value.split()) if joined_by else value

    unless_set("index-url", "UV_DEFAULT_INDEX", "UV_INDEX_URL")
    unless_set("extra-index-url", "UV_EXTRA_INDEX_URL", "UV_INDEX", joined_by=" ")
    unless_set("find-links", "UV_FIND_LINKS", joined_by=",")
    unless_set("trusted-host", "UV_INSECURE_HOST", joined_by=" ")
    unless_set("cert", "SSL_CERT_FILE")
    unless_set("client-cert", "SSL_CLIENT_CERT")
    for proxy in ("HTTPS_PROXY", "HTTP_PROXY"):
        unless_set("proxy", proxy, "ALL_PROXY")
    unless_set("timeout", "UV_HTTP_TIMEOUT", "UV_REQUEST_TIMEOUT")
    unless_set("default-timeout", "UV_HTTP_TIMEOUT", "UV_REQUEST_TIMEOUT")
    unless_set("retries", "UV_HTTP_RETRIES")
    if pip.get("keyring-provider") == "subprocess" and "UV_KEYRING_PROVIDER" not in environment:
        variables["UV_KEYRING_PROVIDER"] = "subprocess"
    if "UV_EXTRA_INDEX_URL" in variables and "UV_INDEX_STRATEGY" not in environment:
        # pip looks into all indexes and takes the best; uv would stop at the first that knows the name, with other results.
        variables["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    no_index = pip.get("no-index", "").lower() in ("1", "true", "yes", "on")
    return UvSettings(variables, ("--no-index",) if no_index else ())


def environment_for_installers(environment: "Mapping[str, str]") -> "dict[str, str]":
    """The variables that pip and uv are started with: the user's, less those that would install elsewhere."""
    clean = {name: value for name, value in environment.items() if name not in MISLEADING}
    if not clean.get("HOME"):
        clean.pop("HOME", None)  # an empty HOME would mean "/": without one the user's entry in the system is asked
    clean.update(
        PIP_USER="0", PIP_NO_INPUT="1", PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_PROGRESS_BAR="off", NO_COLOR="1"
    )
    return clean


def uv_cache_works(environment: "Mapping[str, str]") -> bool:
    """Can uv write where it keeps its downloads? Not with the HOME of another user, or of a user without one."""
    home = environment.get("HOME") or os.path.expanduser("~")
    place = environment.get("UV_CACHE_DIR") or os.path.join(
        environment.get("XDG_CACHE_HOME") or os.path.join(home, ".cache"), "uv"
    )
    while not os.path.exists(place) and os.path.dirname(place) != place:
        place = os.path.dirname(place)
    return os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK)


# ── Running things ───────────────────────────────────────────────────────────────────────────────────────────────────


def say(sentence: str) -> None:
    """One line of progress. On standard error: the output of what runs after the set-up stays clean."""
    print("evolve set-up: " + sentence, file=sys.stderr, flush=True)


def hide_credentials(text: str) -> str:
    """Addresses of mirrors may hold a user's name and password; what we print must not."""
    return re.sub(r"://[^/\s@]+@", "://***@", text)


class Runner:
    """Starts pip and uv for one environment, says what they are doing, and keeps what they print in a log."""

    def __init__(self, python: Path, *, log: Path, say: "Say", keep_open: "tuple[int, ...]" = ()) -> None:
        self.python = python
        self.log = log
        self.say = say
        self.environment = environment_for_installers(os.environ)
        self.uv_arguments: tuple[str, ...] = ()
        self._keep_open = keep_open
        self._borrowed_cache: Path | None = None

    def read_pip_settings(self) -> None:
        """Ask pip how it is configured and hand that to uv. Needs a pip in the environment."""
        listing = subprocess.run(
            [str(self.python), "-m", "pip", "config", "list"],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            universal_newlines=True,
        ).stdout
        translated = uv_settings(pip_settings(listing), self.environment)
        self.environment.update(translated.variables)
        self.uv_arguments = translated.arguments
        if not uv_cache_works(self.environment):
            # Beside the packages, so that uv can link instead of copying; removed at the end.
            self._borrowed_cache = self.log.parent / "uv-cache"
            self.environment["UV_CACHE_DIR"] = str(self._borrowed_cache)
            self.environment["PIP_NO_CACHE_DIR"] = "1"

    @property
    def has_find_links(self) -> bool:
        """Is there a folder or page of wheels besides the indexes?"""
        return bool(self.environment.get("UV_FIND_LINKS"))

    def uv(self, doing: str, *arguments: str) -> bool:
        """`uv pip install …` into the environment. False when uv gave up; the reason is in `tail`."""
        command = [
            str(uv_of(self.python)),
            "pip",
            "install",
            "--python",
            str(self.python),
            *self.uv_arguments,
            *arguments,
        ]
        return self.run(doing, command)

    def pip(self, doing: str, *arguments: str) -> bool:
        """`pip install …` into the environment. False when pip gave up."""
        return self.run(doing, [str(self.python), "-m", "pip", "install", *arguments])

    def run(self, doing: str, command: "Sequence[str]") -> bool:
        """Run one program to its end, with a line at the start, every ten seconds and at the end. False when it failed."""
        self.say(doing + " …")
        began = beat = time.monotonic()
        with self.log.open("ab") as log:
            log.write(("\n$ " + hide_credentials(" ".join(command)) + "\n").encode())
            log.flush()
            child = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                cwd=str(
                    self.log.parent
                ),  # not the user's: an unreadable one, or a pyproject.toml found there, must not matter
                # The lock stays held while an installer works, even when this program was killed.
                pass_fds=self._keep_open,
            )
            try:
                while True:
                    try:
                        code = child.wait(timeout=max(0.1, beat + HEARTBEAT_S - time.monotonic()))
                        break
                    except subprocess.TimeoutExpired:
                        beat = time.monotonic()
                        self.say(f"  … {beat - began:.0f} s: {self._now()}")
            except BaseException:  # Ctrl-C and SIGTERM too: no installer may go on behind the user's back
                child.terminate()
                child.wait()
                raise
        self.say("  {} after {:.1f} s".format("done" if code == 0 else "failed", time.monotonic() - began))
        return code == 0

    def tail(self, lines: int) -> str:
        """The last lines that the last program printed, shortened, without credentials."""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - 65_536))
            printed = log.read().decode("utf-8", "replace").rpartition("\n$ ")[2].splitlines()[1:]
        return hide_credentials("\n".join([line.strip()[:200] for line in printed if line.strip()][-lines:]))

    def reason(self) -> str:
        """Why the last program failed, in one line: what it called an error, else the last thing it said."""
        said = self.tail(20).splitlines()
        errors = [line for line in said if re.match(r"(error|caused by|[×├╰])", line, re.IGNORECASE)]
        return " ".join(re.sub(r"^[×├╰─▶ ]+", "", line) for line in (errors or said[-1:])[:3]) or "it said nothing"

    def _now(self) -> str:
        last = self.tail(1)
        # uv says "Installed" and then compiles in silence, which takes longer than everything before.
        return (
            "byte-compiling, so that every later start is quick"
            if last.startswith("Installed ")
            else last[:100] or "working"
        )

    def close(self) -> None:
        """Give back the disk that a borrowed cache took."""
        if self._borrowed_cache is not None:
            shutil.rmtree(str(self._borrowed_cache), ignore_errors=True)


def uv_of(python: Path) -> "Path | None":
    """The uv that belongs to the environment of that Python, or None."""
    beside = python.parent / "uv"
    return beside if beside.is_file() and os.access(str(beside), os.X_OK) else None


@contextlib.contextmanager
def alone(directory: Path) -> "Iterator[int]":
    """One set-up at a time beside that directory's environments; gives the descriptor that holds the lock.

    The directory itself is locked, so no lock file is left behind and no killed process leaves one in the way.
    """
    import fcntl

    descriptor = os.open(str(directory), os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another set-up is at work here; waiting for it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


# ── The steps ────────────────────────────────────────────────────────────────────────────────────────────────────────


def set_up(request: Request) -> None:
    """Bring the environment to what `request` asks. Raises SetupFailed with a sentence; a second call returns at once."""
    key = stamp_key(request)
    if is_ready(request, read_stamp(request.venv), key):
        return
    began = time.monotonic()
    try:
        request.venv.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupFailed(
            f"cannot make {request.venv.parent} ({error.strerror}); name a place you can write to with --venv"
        ) from None
    with alone(request.venv.parent) as descriptor:
        before = read_stamp(request.venv)
        if is_ready(request, before, key):
            return  # another set-up did it while this one waited
        repair = _environment(request, before, key)
        if before is not None:
            request = request._replace(dev=request.dev or before.dev)
        runner = Runner(request.python, log=request.venv / "setup.log", say=say, keep_open=(descriptor,))
        try:
            with_uv = _installers(request, runner)
            write_stamp(request.venv, Stamp("installing", key, request.dev, None, False))
            _packages(request, runner, with_uv=with_uv, repair=repair)
            torch = _torch(request, runner, with_uv=with_uv)
            _pages(request, runner)
        finally:
            runner.close()
        write_stamp(request.venv, Stamp("ready", key, request.dev, torch, request.torch != "no"))
    say(f"ready in {time.monotonic() - began:.0f} s: {request.venv}")


def _environment(request: Request, stamp: "Stamp | None", key: str) -> bool:
    """Make the virtual environment if there is none that can be used. True when its packages may be half-written."""
    venv = request.venv
    if venv.exists():
        if not venv.is_dir() or (any(venv.iterdir()) and not (venv / "pyvenv.cfg").is_file() and stamp is None):
            raise SetupFailed(f"{venv} exists and is no virtual environment; name another place with --venv")
        reason = why_rebuild(request, stamp)
        if reason is None:
            return stamp is not None and stamp.state == "installing"
        say(f"making {venv} anew, because {reason}")
        shutil.rmtree(str(venv))
    else:
        say(f"making {venv} with Python {sys.version.split()[0]}")
    try:
        import ensurepip  # noqa: F401  (Debian takes venv apart: without this module an environment has no pip)
        import venv as _  # noqa: F401
    except ImportError:
        raise SetupFailed(
            "this Python ({}) cannot make virtual environments; on Debian and Ubuntu install them with "
            "`apt-get install python{}.{}-venv`, then run this again".format(sys.executable, *sys.version_info[:2])
        ) from None
    try:
        venv.mkdir()
    except OSError as error:
        raise SetupFailed(f"cannot make {venv} ({error.strerror}); name a place you can write to with --venv") from None
    free = shutil.disk_usage(str(venv)).free
    if free < ROOM_BYTES:
        say(f"only {free / 1e9:.1f} GB are free here; the set-up needs about {ROOM_BYTES / 1e9:.1f}")
    write_stamp(venv, Stamp("creating", key, request.dev, None, False))
    # From within another environment its base is taken: ours must not break when that one is removed.
    base = getattr(sys, "_base_executable", None) or sys.executable
    made = subprocess.run(
        [base, "-m", "venv", str(venv)],
        env=environment_for_installers(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
    )
    if made.returncode != 0:
        raise SetupFailed(f"`{base} -m venv {venv}` failed: {made.stdout.strip()}")
    return False


def _installers(request: Request, runner: Runner) -> bool:
    """Have pip and, if it can be had, uv in the environment. True: use uv."""
    runner.log.write_bytes(b"")
    has_pip = bool(_answers(str(request.python), "import pip; print(pip.__version__)"))
    if not has_pip and not runner.run("installing pip", [str(request.python), "-m", "ensurepip", "--upgrade"]):
        raise SetupFailed(f"pip cannot be installed into {request.venv}: {runner.reason()}")
    runner.read_pip_settings()
    if request.installer == "pip":
        return False
    uv = uv_of(request.python)
    if (
        uv is not None
        and subprocess.call([str(uv), "--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0
    ):
        return True
    if runner.pip("installing uv, which installs the rest", "--force-reinstall", UV_REQUIREMENT):
        return True
    if request.installer == "uv":
        raise SetupFailed(f"uv cannot be installed: {runner.reason()}")
    say(f"uv cannot be had ({runner.reason()}); going on with pip, which takes minutes longer")
    return False


def _packages(request: Request, runner: Runner, *, with_uv: bool, repair: bool) -> None:
    """Install the locked packages and the project itself, editable."""
    lock, project = str(request.lock), str(request.root) + ("[" + request.extras + "]" if request.extras else "")
    if request.dev:
        steps = [
            ("the locked packages, developers' tools included", ["-r", lock]),
            ("evolve", ["--no-deps", "-e", project]),
        ]
    else:
        # The lock holds runtime and developers' packages together; as constraints it gives users the runtime's part.
        steps = [("evolve and the locked packages it needs", ["-c", lock, "-e", project])]
    if with_uv:
        # uv compiles nothing by itself: each import of a fresh process would be two to four times slower.
        options = ["--compile-bytecode", "--reinstall"] if repair else ["--compile-bytecode"]
        if all(runner.uv("installing " + what, *options, *step) for what, step in steps):
            return
        if request.installer == "uv":
            raise SetupFailed(f"the packages cannot be installed:\n{runner.tail(8)}\nAll of it: {runner.log}")
        say(f"uv gave up:\n{runner.tail(6)}\ntrying with pip, which takes minutes longer")
    options = ["--force-reinstall"] if repair else []
    for what, step in steps:
        if not runner.pip(f"installing {what} with pip", *options, *step):
            raise SetupFailed(
                f"the packages cannot be installed:\n{runner.tail(6)}\n"
                f"Is there a network, or a mirror in pip's configuration? All of it: {runner.log}"
            )


def _torch(request: Request, runner: Runner, *, with_uv: bool) -> "str | None":
    """The torch version installed, or None: Evolve works without, and says which models do not."""
    if request.torch == "no":
        return _installed_torch(request.python)
    try:
        return _choose_torch(
            runner, torch_requirement(request.root), choice=request.torch or "auto", lock=request.lock, with_uv=with_uv
        )
    except TorchUnavailable as error:
        if request.strict:
            raise
        say(f"{error}\n  Everything but the neural models works without. Try again: make torch")
        return None


def _pages(request: Request, runner: Runner) -> None:
    """Scripts and styles of the web pages, from npm. Without it everything else is set up, and the pages say how to build them."""
    if not runner.run("building the web pages", [str(runner.python), "-m", "evolve.web.bundle"]):
        if request.strict:
            raise SetupFailed(f"the web pages cannot be built: {runner.reason()}")
        say(f"{runner.reason()}\n  Everything but the web pages works without. Try again: make web")


def torch_requirement(root: "Path | None" = None) -> str:
    """The one pin of torch, `torch==X`: from the checkout's pyproject.toml, else from the installed package's metadata."""
    pyproject = (root or Path(__file__).resolve().parents[2]) / "pyproject.toml"
    if pyproject.is_file():
        declared = pyproject.read_text(encoding="utf-8")
    else:
        from importlib.metadata import requires

        declared = "\n".join(requires("evolve-trading") or ())
    found = re.search(r"\btorch==[0-9][0-9.]*", declared)
    if found is None:
        raise SetupFailed(f"no version of torch is pinned in {pyproject}")
    return found.group(0)


def install_torch(python: Path, *, choice: "TorchChoice" = "auto", report: "Say" = say) -> "str | None":
    """Install the pinned torch into the environment of `python`; returns its version, at once when it is there already.

    choice: "auto" takes the CPU build where no NVIDIA GPU is seen, "cpu" always, "no" installs nothing (and returns
    what is there, or None). Never gigabytes of CUDA for a machine without a GPU.
    Raises TorchUnavailable when no configured source has a fitting build.
    """
    lock = Path(__file__).resolve().parents[2] / "requirements.lock"
    if choice == "no":
        return _installed_torch(python)
    if not os.access(str(python.parent.parent), os.W_OK):
        raise TorchUnavailable(
            f"{python.parent.parent} belongs to someone else: torch can be installed there by its owner only"
        )
    runner = Runner(python, log=python.parent.parent / "setup.log", say=report)
    try:
        runner.read_pip_settings()
        with_uv = uv_of(python) is not None or runner.pip("installing uv", UV_REQUIREMENT)
        return _choose_torch(
            runner, torch_requirement(), choice=choice, lock=lock if lock.is_file() else None, with_uv=with_uv
        )
    finally:
        runner.close()


def _choose_torch(
    runner: Runner, pin: str, *, choice: "TorchChoice", lock: "Path | None", with_uv: bool
) -> "str | None":
    """Try the builds that fit this machine, the smallest first. Raises TorchUnavailable."""
    present = _installed_torch(runner.python)
    if present is not None and present.split("+")[0] == pin.split("==")[1]:
        return present
    # Its own requirements must not move what the lock holds.
    held = ("-c", str(lock)) if lock is not None else ()
    if sys.platform.startswith("linux") and (choice == "cpu" or not sees_nvidia_gpu()):
        _install_cpu_torch(runner, pin, held, with_uv=with_uv)
    elif not (with_uv and runner.uv(f"installing {pin}", pin, *held, "--compile-bytecode")):
        if not runner.pip(f"installing {pin} with pip", pin, *held):
            raise TorchUnavailable(f"{pin} cannot be had: {runner.reason()}")
    return _installed_torch(runner.python)


def _install_cpu_torch(runner: Runner, pin: str, held: "tuple[str, ...]", *, with_uv: bool) -> None:
    """On Linux, where the registry's own build brings gigabytes of CUDA. Raises TorchUnavailable."""
    doing = f"installing {pin} for the CPU"
    if not with_uv:
        # pip cannot say beforehand what a build brings along, so only one that calls itself +cpu will do.
        if not runner.pip(doing + " with pip", pin + "+cpu", *held):
            raise TorchUnavailable(f"{pin} cannot be had as a build for the CPU: {runner.reason()}")
        return
    compiled = (*held, "--compile-bytecode")
    if runner.has_find_links and runner.uv(doing + " from pip's find-links", pin + "+cpu", *compiled):
        return
    if runner.uv(doing, "--torch-backend", "cpu", pin, *compiled):
        return
    unreachable = runner.reason()
    # A company's mirror may hold the CPU build under the plain name.
    if runner.uv("looking what the index's own build brings along", "--dry-run", pin, *held):
        if brings_cuda(runner.tail(200)):
            raise TorchUnavailable(
                f"{pin} cannot be had as a build for the CPU ({unreachable}), and the index's own brings gigabytes of CUDA along"
            )
        if runner.uv(doing + ", the index's own build", pin, *compiled):
            return
    raise TorchUnavailable(f"{pin} cannot be had: {runner.reason()}")


def brings_cuda(plan: str) -> bool:
    """Does uv's plan of an installation hold CUDA's packages?"""
    return re.search(r"^\+ (nvidia|cuda|triton)\b", plan, re.MULTILINE) is not None


def sees_nvidia_gpu() -> bool:
    """Does this Linux machine have an NVIDIA GPU with its driver loaded?"""
    return bool(glob.glob("/dev/nvidia[0-9]*")) or os.path.exists("/usr/lib/wsl/lib/nvidia-smi")


def _installed_torch(python: Path) -> "str | None":
    """The version of torch in that environment, read without importing it."""
    return _answers(str(python), "import importlib.metadata as m; print(m.version('torch'))") or None


# ── The command ──────────────────────────────────────────────────────────────────────────────────────────────────────


def main(arguments: "Sequence[str] | None" = None) -> int:
    """Exit codes: 0 ready (torch may be missing, said so), 1 failed with a sentence, 2 usage, 130 interrupted."""
    if os.name != "posix":
        say("Windows is supported through WSL: open a Linux there and run this again.")
        return 1
    if not enough_python(sys.version_info):
        found = newer_python()
        if found is None:
            say(
                f"Evolve needs Python 3.11 or newer and this is {sys.version.split()[0]}; install one (on Debian and Ubuntu "
                "`apt-get install python3 python3-venv`) and run `make PYTHON=python3.11`."
            )
            return 1
        say(f"Python {sys.version.split()[0]} is too old; going on with {found}")
        os.execv(found, [found, os.path.abspath(__file__), *list(sys.argv[1:] if arguments is None else arguments)])
    parser = argparse.ArgumentParser(prog="installation.py", description="Set up Evolve in a virtual environment.")
    parser.add_argument("--venv", default=".venv", help="where the environment is, or is made (default: .venv)")
    parser.add_argument("--dev", action="store_true", help="with what tests and checks need")
    parser.add_argument(
        "--torch",
        choices=["auto", "cpu", "no"],
        help="default: auto, once; given, a torch that could not be had is tried again",
    )
    parser.add_argument(
        "--installer", choices=["auto", "uv", "pip"], default="auto", help="default: uv, and pip where uv fails"
    )
    parser.add_argument("--extras", default="", help="optional dependencies too, as in pip's evolve[…]: postgres,s3")
    parser.add_argument("--strict", action="store_true", help="fail where torch or the web pages cannot be had")
    options = parser.parse_args(arguments)
    root = Path(__file__).resolve().parents[2]
    if not (root / "requirements.lock").is_file():
        say(f"{root} holds no requirements.lock: run this from a checkout of Evolve.")
        return 1
    venv = Path(options.venv).resolve()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        set_up(
            Request(
                root=root, venv=venv, dev=options.dev, torch=options.torch, installer=options.installer,
                extras=options.extras, strict=options.strict,
            )
        )  # fmt: skip
    except SetupFailed as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("interrupted; run it again and it will finish what is missing")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

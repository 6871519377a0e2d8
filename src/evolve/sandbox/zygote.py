"""Processes that fork runs: everything imported and warm, nothing open, one thread, no secret.

One loader is freshly exec'd with a built environment (never a fork of the threaded service, whose memory holds keys). It
imports in stages and forks a zygote at each: `numpy` answers after 0.3 s; `frames` (pandas, scipy, time zones) and, when
asked for, `learning` (scikit-learn) follow in the background and share its memory. The loader keeps its access to files and
never speaks to a program; a zygote gives its up when it is warm.

A zygote forks one child per request: the request carries the child's socket (SCM_RIGHTS). When its own socket to the service
closes, it ends, and the kernel ends what it forked.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import importlib.abc
import json
import os
import select
import signal
import socket
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any, Final, Literal, NoReturn

from evolve.sandbox import child, limits

Size = Literal["numpy", "frames", "learning"]
SIZES: Final[tuple[Size, ...]] = ("numpy", "frames", "learning")

# One thread: a pool would not survive the fork, and a forked lock that someone held never opens again.
# TZ: the C library would look for /etc/localtime at every conversion.
ENVIRONMENT: Final = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"),
    "TZ": "UTC0",
    "LANG": "C.UTF-8",
    "PATH": "/nonexistent",
    "HOME": "/nonexistent",
    "MALLOC_ARENA_MAX": "1",
    "JOBLIB_MULTIPROCESSING": "0",
    "LOKY_MAX_CPU_COUNT": "1",
}

STANDARD = """abc array base64 binascii bisect calendar cmath collections collections.abc contextlib copy csv dataclasses
datetime decimal difflib enum fractions functools graphlib hashlib heapq hmac html io itertools json keyword linecache locale
logging math numbers operator pprint queue random re reprlib secrets statistics string struct textwrap time timeit
traceback types typing unicodedata uuid warnings weakref zlib zoneinfo _strptime encodings.latin_1 encodings.ascii
encodings.idna encodings.cp1252 encodings.utf_16 encodings.utf_8_sig encodings.unicode_escape""".split()
NUMPY = """numpy numpy.fft numpy.linalg numpy.ma numpy.polynomial numpy.polynomial.polynomial numpy.polynomial.chebyshev
numpy.random numpy.lib.stride_tricks numpy.lib.recfunctions numpy.char numpy.strings""".split()
FRAMES = """dateutil dateutil.parser dateutil.relativedelta dateutil.rrule dateutil.tz dateutil.easter pandas
pandas.tseries.offsets pandas.tseries.frequencies pandas.tseries.holiday pandas.api.types pandas.api.indexers
pandas.io.formats.format pandas.io.formats.string pandas.io.formats.csvs pandas.io.formats.html pandas.io.json pandas.io.parsers
pandas.core.window pandas.core.resample pandas.core.reshape.pivot pandas.core.methods.describe pandas.core.computation.api
pandas.core.computation.eval pandas.core.computation.expr
scipy scipy.stats scipy.signal scipy.optimize scipy.interpolate scipy.linalg scipy.special scipy.integrate scipy.fft
scipy.sparse scipy.sparse.linalg scipy.ndimage scipy.spatial scipy.spatial.distance scipy.cluster.hierarchy scipy.cluster.vq
scipy.constants scipy.sparse.csgraph""".split()
LEARNING = """joblib sklearn sklearn.linear_model sklearn.ensemble sklearn.tree sklearn.svm sklearn.neighbors sklearn.naive_bayes
sklearn.preprocessing sklearn.pipeline sklearn.compose sklearn.impute sklearn.model_selection sklearn.metrics
sklearn.decomposition sklearn.cluster sklearn.feature_selection sklearn.neural_network sklearn.gaussian_process
sklearn.discriminant_analysis sklearn.mixture sklearn.isotonic sklearn.calibration sklearn.dummy sklearn.multioutput
sklearn.kernel_ridge sklearn.manifold sklearn.covariance sklearn.inspection""".split()
# They start threads, or read files when used; programs do without them.
ABSENT = ("pyarrow", "numba", "numexpr", "bottleneck", "matplotlib", "torch", "xgboost", "polars", "IPython", "psutil")


# --- the loader ---


def load(
    connection: socket.socket, controls: dict[Size, socket.socket], *, sandbox: bool, namespaces: bool, landlock: bool
) -> None:
    """Import stage by stage and fork a zygote at each; then wait for orders until the service hangs up."""
    limits.die_with_parent()
    limits.be_first_to_go()
    isolated = sandbox and namespaces and limits.namespaces_allowed() and limits.enter_namespaces()
    sys.meta_path.insert(0, _Absent())
    options = {"sandbox": sandbox, "namespaces": isolated, "landlock": landlock}
    for size, prepare in (("numpy", _prepare_numpy), ("frames", _prepare_frames)):
        _stage(connection, controls, size, prepare, options)  # type: ignore[arg-type]
    while (order := connection.recv(4096)) != b"":
        if json.loads(order).get("load") == "learning":
            _stage(connection, controls, "learning", _prepare_learning, options)


def _stage(
    connection: socket.socket,
    controls: dict[Size, socket.socket],
    size: Size,
    prepare: Callable[[], None],
    options: dict[str, bool],
) -> None:
    started = time.process_time()
    try:
        prepare()
    except ImportError as error:
        _tell(connection, {"size": size, "failed": str(error)})
        return
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        _tell(connection, {"size": size, "failed": f"{threads} threads run after the imports; forking could deadlock"})
        return
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    gc.freeze()  # else the first collection in a child copies every page it looks at
    limits.collapse_memory()
    control = controls.pop(size)
    reader, writer = os.pipe()
    pid = limits.fork_in_pid_namespace() if options["namespaces"] else os.fork()
    if pid == 0:
        os.close(reader)
        connection.close()
        for other in controls.values():
            other.close()
        _become_zygote(control, writer, **options)
    control.close()
    os.close(writer)
    with open(reader, "rb") as pipe:
        report = pipe.read()
    if not report:
        _tell(connection, {"size": size, "failed": "the zygote ended before it was ready"})
        return
    _tell(connection, {"size": size, "cpu_s": round(time.process_time() - started, 3), **json.loads(report)})


def _tell(connection: socket.socket, message: dict[str, Any]) -> None:
    connection.sendall(json.dumps(message).encode() + b"\n")


class _Absent(importlib.abc.MetaPathFinder):
    """Makes ABSENT look as if not installed; an entry None in sys.modules would confuse who looks there."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


# --- warming: what is imported or computed lazily must be there before the files are gone ---


def _prepare_numpy() -> None:
    child.prepare()
    _import(STANDARD)
    _import(NUMPY)
    import datetime
    import random
    import statistics

    import numpy as np

    draws = np.random.default_rng(0).normal(size=64)
    np.random.seed()  # noqa: NPY002 - programs use the old generator, and a child reseeds it
    np.random.rand()  # noqa: NPY002
    for function in (np.mean, np.std, np.median, np.sort, np.cumsum, np.diff, np.argmax):
        function(draws)
    np.percentile(draws, 50)
    np.linalg.lstsq(draws.reshape(16, 4), draws[:16], rcond=None)
    np.polyfit(range(8), draws[:8], 1)
    np.convolve(draws, [0.5, 0.5])
    np.array2string(draws)
    random.random()
    statistics.mean([1.0, 2.0])
    datetime.datetime.strptime("2024-01-01", "%Y-%m-%d").strftime("%A")  # noqa: DTZ007
    # The encoder and the gate themselves, on the seed's shape of program.
    from evolve.sandbox import policy
    from evolve.sandbox.result import Notes, encode

    tree = policy.parse("import numpy as np\ndef main(d):\n    return {'a': np.mean(d['x'])}\n", "<warm>")
    policy.check(tree)  # type: ignore[arg-type]
    exec(compile(tree, "<warm>", "exec"), {})  # type: ignore[arg-type]
    encode({"a": draws, "b": draws[0], "t": np.datetime64("2024-01-01"), "n": [1, 2.0, None, "x"]}, Notes())


def _prepare_frames() -> None:
    _import(FRAMES)
    import zoneinfo

    import pandas as pd  # type: ignore[import-untyped]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Zones are files: all are read now and kept, since a child can read none.
        _KEPT.extend(_zones(zoneinfo))
        index = pd.date_range("2024-01-01", periods=60, freq="D", tz="America/New_York")
        frame = pd.DataFrame({"p": range(60), "q": [1.0] * 60, "s": ["A", "B"] * 30}, index=index)
        series = frame["p"].astype(float)
        frame.groupby("s")["p"].agg(["mean", "std", "count"])
        series.resample("W").last()
        series.resample("ME").ohlc()
        series.rolling(5).mean()
        series.rolling(5).std()
        series.ewm(span=5).mean()
        series.expanding().max()
        series.rolling(5).apply(lambda window: window[-1], raw=True)
        frame.describe()
        frame.pivot_table(values="p", index=frame.index.month, columns="s")
        frame.reset_index().merge(frame.reset_index(), on="p")
        pd.merge_asof(frame.reset_index(), frame.reset_index(), on="index")
        pd.concat([frame, frame]).drop_duplicates().sort_values("p")
        frame.eval("p + q")
        frame.query("p > 3")
        pd.to_datetime(["2024-01-01 10:00"])
        pd.to_datetime(["01/02/2024"], format="%d/%m/%Y")
        pd.cut(series, 3)
        series.rank()
        series.pct_change().dropna().corr(series)
        str(frame)
        frame.to_string()
        frame.to_dict("records")
        frame.to_json()
        frame.to_csv()
        series.dt if hasattr(series, "dt") else None
        frame["s"].str.lower()
        from evolve.sandbox.result import Notes, encode

        encode({"f": frame, "s": series, "t": index[0]}, Notes())


_KEPT: list[Any] = []


def _zones(zoneinfo: Any) -> list[Any]:
    return [zoneinfo.ZoneInfo(name) for name in sorted(zoneinfo.available_timezones())]


def _prepare_learning() -> None:
    _import(LEARNING)
    import numpy as np

    linear = importlib.import_module("sklearn.linear_model")
    pipeline = importlib.import_module("sklearn.pipeline")
    preprocessing = importlib.import_module("sklearn.preprocessing")
    ensemble = importlib.import_module("sklearn.ensemble")
    selection = importlib.import_module("sklearn.model_selection")
    cluster = importlib.import_module("sklearn.cluster")
    features = np.random.default_rng(0).normal(size=(40, 3))
    target = features @ [1.0, 2.0, 3.0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        linear.LinearRegression().fit(features, target).predict(features)
        ensemble.RandomForestRegressor(n_estimators=2).fit(features, target).score(features, target)
        ensemble.GradientBoostingRegressor(n_estimators=2).fit(features, target)
        ensemble.HistGradientBoostingRegressor(max_iter=2).fit(features, target)
        cluster.KMeans(2, n_init=1).fit_predict(features)  # looks for thread pools once, in /proc
        model = pipeline.make_pipeline(preprocessing.StandardScaler(), linear.LogisticRegression())
        selection.cross_val_score(model, features, (target > 0).astype(int), cv=selection.TimeSeriesSplit(3))


def _import(names: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            if name.startswith(("pandas.", "scipy.", "numpy.")):
                with contextlib.suppress(ModuleNotFoundError):  # a submodule that moved in another version
                    importlib.import_module(name)
            else:
                importlib.import_module(name)


# --- a zygote ---


def _become_zygote(control: socket.socket, ready: int, *, sandbox: bool, namespaces: bool, landlock: bool) -> NoReturn:
    status = 1
    try:
        limits.die_with_parent()
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)  # the children inherit it
        statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        walls: child.Walls | None = None
        if sandbox:
            table = limits.architecture()
            if table is None:
                raise OSError("no system call table")
            become_nobody = os.geteuid() == 0 and limits.nobody_exists()
            ruleset = limits.landlock_ruleset() if landlock else None
            if namespaces:
                limits.empty_root()
            limits.forbid_new_privileges()
            walls = child.Walls(limits.Filter(table), ruleset, become_nobody, namespaces)
        sys.path.clear()  # there is nothing to import from any more, and nobody's business where it was
        sys.path_importer_cache.clear()
        sys.argv[:] = [""]
        for standard in (1, 2):
            os.dup2(0, standard)  # /dev/null: what the children inherit
        os.write(ready, json.dumps({"ready": True}).encode())
        os.close(ready)
        ready = -1
        _serve(control, walls, statm)
        status = 0
    except BaseException as error:  # noqa: BLE001 - the last frame of a process: nobody above could report it
        with contextlib.suppress(BaseException):
            os.write(ready, json.dumps({"failed": f"{type(error).__name__}: {error}"}).encode())
    finally:
        os._exit(status)


def _serve(control: socket.socket, walls: child.Walls | None, statm: int) -> None:
    """Fork a child per request and report every end: {"pid", "status", "peak_kib"}."""
    poll = select.poll()
    poll.register(control, select.POLLIN)
    children: dict[int, int] = {}  # pidfd → pid
    while True:
        for descriptor, _ in poll.poll():
            if descriptor in children:
                poll.unregister(descriptor)
                os.close(descriptor)
                pid, status, usage = os.wait4(children.pop(descriptor), 0)
                notice = {"pid": pid, "status": os.waitstatus_to_exitcode(status), "peak_kib": usage.ru_maxrss}
                with contextlib.suppress(OSError):
                    control.send(json.dumps(notice).encode())
                continue
            try:
                message, handed, _, _ = socket.recv_fds(control, 4096, 1)
            except OSError:
                return
            if not message:
                return
            request = json.loads(message)
            pages = int(os.pread(statm, 128, 0).split()[0])
            held = pages * _PAGE
            own = os.getpid()
            pid = limits.fork_alone()
            if pid == 0:
                control.close()
                bytes_allowed = held + int(request["memory_bytes"])
                child.become(
                    walls, handed[0], parent=own, address_space_bytes=bytes_allowed, cpu_s=int(request["cpu_s"])
                )
            os.close(handed[0])
            ended = os.pidfd_open(pid)
            children[ended] = pid
            poll.register(ended, select.POLLIN)


_PAGE = os.sysconf("SC_PAGE_SIZE")


def main(arguments: list[str]) -> int:
    """Arguments: one JSON object {connection, controls: {size: fd}, sandbox, namespaces, landlock}."""
    options = json.loads(arguments[0])
    controls: dict[Size, socket.socket] = {size: socket.socket(fileno=options["controls"][size]) for size in SIZES}
    load(
        socket.socket(fileno=options["connection"]),
        controls,
        sandbox=options["sandbox"],
        namespaces=options["namespaces"],
        landlock=options["landlock"],
    )
    return 0

"""What need not be in the image? Libraries' own tests and headers, caches of the build, and what of the checkout no service reads.

    python deploy/trim.py ENVIRONMENT CHECKOUT

Prints what it freed. Each rule names files that nothing imports when Evolve runs (tests/integration/deploy starts every service without them).
"""

import shutil
import sys
from pathlib import Path

# numpy, scipy, pandas, scikit-learn, pyarrow and numba bring tests of themselves. What others call `testing` is used by
# libraries (numpy.testing by scipy) and stays.
TESTS = ("tests", "test")
TESTED = (
    "numpy",
    "scipy",
    "pandas",
    "sklearn",
    "pyarrow",
    "numba",
    "matplotlib",
    "mpl_toolkits",
    "fontTools",
    "sympy",
    "networkx",
    "greenlet",
    "torch",
    "onnx",
)
HEADERS = ("pyarrow/include", "torch/include", "numpy/_core/include", "pyarrow/src")
# Parts of libraries that are loaded only by who names them: Arrow's network servers and its own client of S3 (fsspec's is used), plans of
# queries; the programming notes that botocore has on hundreds of services that are not storage; sample data that are not bars.
PARTS = (
    "pyarrow/libarrow_flight.so*",
    "pyarrow/libarrow_python_flight.so*",
    "pyarrow/_flight.*",
    "pyarrow/libarrow_s3.so*",
    "pyarrow/_s3fs.*",
)
KEPT = {
    "botocore/data": {
        "s3",
        "sso",
        "sso-oidc",
        "signin",
        "sts",
        "endpoints.json",
        "partitions.json",
        "sdk-default-configuration.json",
        "_retry.json",
    },
    "bokeh_sampledata/_data": {"stocks.csv.gz"},
}
CHECKOUT = ("tests", "bench", ".git", ".ci", "examples")


def size_of(path: Path) -> int:
    """Bytes of the files under a path, links not followed."""
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file() and not each.is_symlink()]
    return sum(each.stat().st_size for each in files)


def unneeded(environment: Path, checkout: Path) -> list[Path]:
    [packages] = environment.glob("lib/python3*/site-packages")
    tests = [each for name in TESTED for each in (packages / name).rglob("*") if each.is_dir() and each.name in TESTS]
    outermost = [each for each in tests if not any(other in each.parents for other in tests)]
    headers = [packages / name for name in HEADERS]
    parts = [each for pattern in PARTS for each in packages.glob(pattern)]
    others = [
        each
        for name, kept in KEPT.items()
        for each in (packages / name).glob("*")
        if each.name.removesuffix(".gz") not in kept and each.name not in kept
    ]
    ours = [checkout / name for name in CHECKOUT]
    return [each for each in [*outermost, *headers, *parts, *others, *ours] if each.exists()]


def main(environment: Path, checkout: Path) -> None:
    freed = 0
    for path in unneeded(environment, checkout):
        freed += size_of(path)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    print(f"trim: {freed / 1e6:.0f} MB that nothing imports are gone")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

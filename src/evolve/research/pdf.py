"""What does a PDF say? Its text, taken out by a process of its own: a hostile file costs that process, not the service.

The process has limits on time and memory from its first line on, no environment, and writes nothing but text.
`python -m evolve.research.pdf` reads a PDF from standard input and is that process.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys

from evolve.errors import BadAnswer

CPU_S = 20  # a paper of 60 pages takes about 4 s on a slow machine
MEMORY_BYTES = 1 << 30
MAX_PAGES = 80
MAX_CHARACTERS = 600_000  # 80 full pages have 320,000


def pdf_text(body: bytes) -> tuple[str, int]:
    """Text and number of pages. Raises BadAnswer for what is no PDF, is encrypted, or breaks the limits."""
    if not body.lstrip()[:5] == b"%PDF-":
        raise BadAnswer("the document says it is a PDF and is none; give paper_abstract instead")
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-m", "evolve.research.pdf"],
            input=body,
            capture_output=True,
            timeout=2 * CPU_S,
            env={},
        )
    except subprocess.TimeoutExpired:
        raise BadAnswer(f"the PDF could not be read within {2 * CPU_S} s; give paper_abstract instead") from None
    try:
        found = json.loads(done.stdout)
        text, pages, trouble = str(found["text"]), int(found["pages"]), str(found["trouble"])
    except (ValueError, KeyError, TypeError):
        # Killed by its limits, or by a fault of the parser: either way it wrote nothing.
        raise BadAnswer(
            "the PDF could not be read within the limits on time and memory; give paper_abstract instead"
        ) from None
    if trouble:
        raise BadAnswer(f"the PDF cannot be read ({trouble}); give paper_abstract instead")
    return text, pages


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if sys.platform == "linux":  # elsewhere it is not enforced, or refused
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def _extract(body: bytes) -> dict[str, object]:
    import io
    import logging

    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    logging.disable(logging.CRITICAL)
    parts: list[str] = []
    try:
        reader = PdfReader(io.BytesIO(body))
        if reader.is_encrypted and not reader.decrypt(""):
            return {"text": "", "pages": 0, "trouble": "it is encrypted"}
        pages = len(reader.pages)
        for page in reader.pages[:MAX_PAGES]:
            parts.append(page.extract_text())
            if sum(map(len, parts)) > MAX_CHARACTERS:
                break
    except (PyPdfError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, MemoryError, OSError, AssertionError, ZeroDivisionError, OverflowError) as error:  # fmt: skip
        return {"text": "", "pages": 0, "trouble": f"{type(error).__name__}: {str(error)[:100]}"}
    return {"text": "\n".join(parts)[:MAX_CHARACTERS], "pages": pages, "trouble": ""}


if __name__ == "__main__":
    _limit()
    sys.stdout.write(json.dumps(_extract(sys.stdin.buffer.read())))

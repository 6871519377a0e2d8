"""Which words of a document are its own text? HTML, Markdown, PDF and plain text as sentences; nothing in them is obeyed."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from html.parser import HTMLParser

from evolve.errors import BadAnswer
from evolve.research.fetch import Page
from evolve.research.pdf import pdf_text

MAX_CHARACTERS = 600_000
SKIPPED = frozenset(
    "script style noscript template nav header footer aside form button svg math iframe select textarea".split()
)
BLOCKS = frozenset(
    "p div section article li ul ol table tr td th h1 h2 h3 h4 h5 h6 br hr blockquote pre figure figcaption dd dt title".split()
)
VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())
# Sentences that speak to whoever processes the text instead of about its subject.
INSTRUCTION = re.compile(
    r"\b(ignore|disregard|forget|override)\b.{0,40}\b(instructions?|prompts?|rules?|above|previous|prior)\b"
    r"|\b(system|assistant|developer)\s*(prompt|message)\b|\byou (are|must|should|will) (now |an? )?(act|pretend|ignore|execute|run|output|reply|respond|an? (ai|assistant|language model))"
    r"|\b(as|dear) an? (ai|language model|assistant)\b|\b(execute|run) (the following|this) (code|command|shell|script)"
    r"|\bAI (reviewers?|assistants?|agents?)\b|\bimport os\b|\bos\.system\b|\brm -rf\b|<\|?(system|im_start)",
    re.IGNORECASE,
)  # fmt: skip


CODE = re.compile(
    r"\b(def|class|function) \w+ ?\(|\bimport \w+|\bfrom [\w.]+ import\b|\breturn \w+[\[(.]|[{};]\s*$|\w+\(\w*\)\s*[.:;{=]|[=!<>]=|\w+ ?= ?[\w\[(\"']+[(\[.]|=>|->|\$\{"
)


@dataclass(frozen=True, slots=True)
class Reading:
    """title: empty where the document has none; kind: what was read, in words."""

    title: str
    text: str
    kind: str
    licence: str = ""


def read_page(page: Page) -> Reading:
    """The text of a fetched document. Raises BadAnswer for what holds none."""
    if page.content_type == "application/pdf" or page.body.lstrip()[:5] == b"%PDF-":
        text, pages = pdf_text(page.body)
        reading = Reading("", text, f"PDF, {pages} pages")
    else:
        decoded = page.body[: 4 * MAX_CHARACTERS].decode("utf-8", "replace")
        if "html" in page.content_type or re.match(r"\s*<(!doctype html|html)", decoded, re.IGNORECASE):
            reading = read_html(decoded)
        elif page.content_type.startswith("text/") or not page.content_type:
            reading = read_markdown(decoded)
        else:
            raise BadAnswer(f"{page.url} is {page.content_type}: only HTML, PDF and text can be read")
    if len(reading.text.split()) < 5:
        raise BadAnswer(f"{page.url} holds no text that can be read ({reading.kind}); give paper_abstract instead")
    return reading


def read_html(source: str) -> Reading:
    parser = _Visible()
    parser.feed(source[: 4 * MAX_CHARACTERS])
    parser.close()
    return Reading(_one_line("".join(parser.title)), "".join(parser.parts)[:MAX_CHARACTERS], "web page", parser.licence)


def read_markdown(source: str) -> Reading:
    """Text of a README or plain file: without code, pictures and the addresses behind links."""
    text = re.sub(r"^(```|~~~).*?^\1[^\n]*$", "\n", source[:MAX_CHARACTERS], flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"<!--.*?-->", " ", text, flags=re.DOTALL)
    text = re.sub(r"!\[[^\]\n]*\]\([^)\n]*\)", " ", text)
    text = re.sub(r"\[([^\]\n]*)\]\([^)\n]*\)", r"\1", text)
    heading = re.search(r"^#\s+(.+)$", text, re.MULTILINE)
    text = re.sub(r"^#+\s+(.*)$", r"\n\1.\n", text, flags=re.MULTILINE)
    return Reading(_one_line(heading.group(1)) if heading else "", re.sub(r"[*_`]{1,3}", "", text), "text")


def sentences(text: str) -> list[str]:
    """Sentences on one line each, in order; what is no sentence (a heading, a row of a table) is left out."""
    text = unicodedata.normalize("NFKC", text)
    # Signs that cannot be seen carry words that nobody was meant to read.
    text = "".join(
        sign for sign in text if sign in "\n\t" or unicodedata.category(sign) not in ("Cc", "Cf", "Co", "Cs")
    )
    text = re.sub(r"(\w)-\n(\w)", r"\1\2", text)
    found: list[str] = []
    for block in re.split(r"\n\s*\n", text):
        line = _one_line(block)
        line = re.sub(
            r"\b(e\.g|i\.e|et al|vs|cf|Fig|Sec|Eq|approx|resp|St|Dr|Inc|U\.S|p\.a)\.",
            lambda m: m.group(0)[:-1] + "\0",
            line,
        )
        for part in re.split(r"(?<=[.!?])[\"'”)]?\s+(?=[\"'“(]?[A-Z0-9])", line):
            sentence = part.replace("\0", ".").strip()
            if len(sentence.split()) >= 4 and len(sentence) <= 600:
                found.append(sentence)
    return found


def addressed_to_machines(sentence: str) -> bool:
    """Whether a sentence is an instruction to whoever processes the text; such sentences are data of no use here."""
    return INSTRUCTION.search(sentence) is not None


def is_code(sentence: str) -> bool:
    """Whether it is rather a piece of a program than a sentence: code of others is read by nobody who writes code."""
    return CODE.search(sentence) is not None


LICENCES = (
    (r"creativecommons\.org/licenses/([a-z-]+)/(\d\.\d)", "CC {0} {1}"),
    (r"creativecommons\.org/publicdomain/zero/(\d\.\d)", "CC0 {0}"),
    (
        r"arxiv\.org/licenses/nonexclusive-distrib/(\d\.\d)",
        "arXiv's licence to distribute {0}, all other rights reserved",
    ),
)


def licence_named(address: str) -> str:
    """A licence as people call it, with its address; what is no known address stays as it is."""
    for pattern, name in LICENCES:
        if (match := re.search(pattern, address)) is not None:
            return f"{name.format(*(part.upper() for part in match.groups()))} ({address})"
    return address


def _one_line(text: str) -> str:
    return " ".join(text.split())


class _Visible(HTMLParser):
    """Collects what a reader of the page would see."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.title: list[str] = []
        self.licence = ""
        self._hidden: list[str] = []
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        about = dict(attrs)
        if tag == "title":
            self._in_title = True
        if tag in ("a", "link") and "license" in (about.get("rel") or "").split():
            self.licence = (about.get("href") or "")[:200]
        if tag not in VOID and (self._hidden or tag in SKIPPED or _unseen(about)):
            self._hidden.append(tag)
        if tag in BLOCKS:
            self.parts.append("\n\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        if tag in self._hidden:
            while self._hidden.pop() != tag:
                pass
        if tag in BLOCKS:
            self.parts.append("\n\n")

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title.append(data)
        elif not self._hidden:
            self.parts.append(data)


def _unseen(about: dict[str, str | None]) -> bool:
    style = (about.get("style") or "").replace(" ", "").casefold()
    return (
        "hidden" in about
        or about.get("aria-hidden") == "true"
        or any(
            trick in style
            for trick in ("display:none", "visibility:hidden", "font-size:0", "opacity:0;", "color:white", "color:#fff")
        )
    )

"""The real data beside the checkout, as rows: what the benchmarks measure speed and truth on.

Every function reads one data set from the folder of real data (`README.md` there says what each holds). A pair is an
English text and its Arabic translation, or a prompt and its answer.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
Pair = tuple[str, str]
XML = "{http://www.w3.org/XML/1998/namespace}lang"


def read(path: Path) -> str:
    """A file's text, unpacked."""
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8-sig")


def lines(path: Path) -> list[str]:
    """The lines of a file (or of its `.gz`), cut at line feeds only; none if it is not here."""
    packed = path.with_name(path.name + ".gz")
    if not path.is_file() and not packed.is_file():
        return []
    return read(path if path.is_file() else packed).replace("\r\n", "\n").rstrip("\n").split("\n")


# Sentence pairs


def tatoeba(data: Path) -> list[Pair]:
    """Sentences of Tatoeba, as OPUS-MT tests with them."""
    return list(zip(*(lines(data / f"{_TATOEBA}.{code}") for code in ("eng", "ara")), strict=True))


def dialects(data: Path) -> list[tuple[str, str]]:
    """Language code (`ara`, `arz`, `arq_Latn`, …) and text of Tatoeba's Arabic sentences."""
    return list(zip(*(lines(data / f"{_TATOEBA}.{name}") for name in ("ara.labels", "ara")), strict=True))


_TATOEBA = "opusmt-tatoeba-ara-eng/files/testsets/ara-eng/tatoeba-test-v2021-08-07"


def manythings(data: Path) -> list[Pair]:
    """Sentences of Tatoeba, as ManyThings selects them."""
    cut = (line.split("\t") for line in lines(data / "manythings-ara/files/seq2seqBasic/ara.txt"))
    return [(cells[0], cells[1]) for cells in cut]


def tico(data: Path) -> list[Pair]:
    """Texts about COVID-19, translated by professionals."""
    units = memory(data / "tico19-en-ar/files/data/TM/all.en-ar.tmx.zip")
    return [(found[0][1], found[1][1]) for found in units if len(found) == 2]


def memory(path: Path) -> list[list[tuple[str, str]]]:
    """The units of a translation memory: language and text of each side."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            whole = archive.read(next(n for n in archive.namelist() if n.endswith(".tmx") and not n.startswith("__")))
    else:
        whole = gzip.decompress(path.read_bytes())
    return [
        [(v.get(XML, "").lower(), "".join(s.itertext()).strip()) for v in unit.iter("tuv") for s in v.iter("seg")]
        for unit in ElementTree.fromstring(whole).iter("tu")
    ]


def news(data: Path, code: str) -> list[str]:
    """The news of NTREX-128 in a language, e.g. `eng-US`, `arb`."""
    return lines(data / f"ntrex128/files/NTREX-128/newstest2019-ref.{code}.txt")


def ntrex(data: Path) -> list[Pair]:
    """News, translated by professionals."""
    return list(zip(news(data, "eng-US"), news(data, "arb"), strict=True))


def mt_geneval(data: Path) -> list[Pair]:
    """Sentences of Wikipedia, translated by professionals; about one in a hundred says another number."""
    sides = [
        [line for path in sorted(data.glob(f"mt-geneval/files/data/sentences/*/*.{code}")) for line in lines(path)]
        for code in ("en", "ar")
    ]
    return list(zip(*sides, strict=True))


def winomt(data: Path) -> list[Pair]:
    """Sentences about two people, translated by two machines."""
    found = [
        line.split(" ||| ") for path in sorted(data.glob("winomt-mt/files/*/*/en-ar.txt")) for line in lines(path)
    ]
    return [(sides[0], sides[1]) for sides in found if len(sides) == 2]


def films(data: Path) -> list[tuple[str, bool]]:
    """What stands in the English column of subtitles, and whether the film's file is Danish."""
    cells = [row.split("\t") for row in lines(data / "xed-subtitles/cut/xed-pairs-ar.open.txt")]
    return [(cell[4], cell[0].startswith("da/")) for cell in cells]


def subtitles(data: Path, name: str) -> list[str]:
    """Lines of films, without the names of files that stand among them."""
    texts = (text.split("\t")[0].strip() for text in lines(data / f"xed-subtitles/files/Projections/{name}.tsv"))
    return [text for text in texts if text and not text.endswith(".xml.gz") and text != "phrase"]


# Strings of programs, and pages


def strings(folder: Path, english: str, arabic: str) -> list[Pair]:
    """The strings of JSON files, matched by their keys."""
    found = []
    for path in sorted(folder.rglob(english)):
        sides = [json.loads(read(p)) for p in (path, path.with_name(arabic)) if p.exists()]
        if len(sides) == 2:
            found += [(sides[0][key], sides[1][key]) for key in sides[0] if key in sides[1]]
    return [(a, b) for a, b in found if isinstance(a, str) and isinstance(b, str)]


def scratch(data: Path) -> list[Pair]:
    """Strings of Scratch; half of them were never translated."""
    return strings(data / "l10n-scratch/files", "en.json", "ar.json")


def blockly(data: Path) -> list[Pair]:
    """Strings of Blockly."""
    return strings(data / "l10n-blockly/files/msg/json", "en.json", "ar.json")


_MESSAGE = re.compile(r"^([a-zA-Z][\w-]*|-[\w-]+) *=[ \t]*(.*(?:\n(?: +[^\s.\[*}].*| *(?=\n +[^\s.\[*}])))*)", re.M)


def mozilla(data: Path) -> list[Pair]:
    """Messages of Mozilla's web sites, matched by file and key; those with variants are left out."""
    folder = data / "l10n-mozilla-www/files"
    found = []
    for path in sorted((folder / "en").rglob("*.ftl")):
        other = folder / "ar" / path.relative_to(folder / "en")
        if not other.exists():
            continue
        sides = [
            {m[1]: re.sub(r"\s*\n\s*", "\n", m[2]).strip() for m in _MESSAGE.finditer(read(p))} for p in (path, other)
        ]
        found += [(value, sides[1][key]) for key, value in sides[0].items() if sides[1].get(key) and value]
    return [(a, b) for a, b in found if "->" not in a + b]


def react(data: Path) -> list[Pair]:
    """Blocks of React's pages, of pages that have as many in both languages; many were never translated."""
    found: list[Pair] = []
    for path in sorted((data / "react-docs-en/files").rglob("*.md")):
        other = data / "react-docs/files" / path.relative_to(data / "react-docs-en/files")
        if other.exists():
            sides = [list(blocks(read(p))) for p in (path, other)]
            if len(sides[0]) == len(sides[1]):
                found += zip(*sides, strict=True)
    return found


def blocks(page: str) -> Iterator[str]:
    """The blocks of a Markdown page: what blank lines separate, fenced code being one."""
    held: list[str] = []
    fenced = False
    for line in page.split("\n"):
        fenced ^= line.lstrip(" >").startswith("```")
        if line.strip() or fenced:
            held.append(line)
        elif held:
            yield "\n".join(held)
            held = []
    if held:
        yield "\n".join(held)


# Instructions and their answers


def alpaca(data: Path) -> list[tuple[str, str, str]]:
    """Instruction, input and output of English instructions."""
    records = json.loads(read(data / "alpaca-random9k/files/data/random/random_9k.json.gz"))
    return [(r["instruction"], r["input"], r["output"]) for r in records]


def t0(data: Path) -> list[Pair]:
    """Prompts and answers of T0, each with the end mark that it was found with."""
    records = (json.loads(line) for path in sorted(data.glob("t0-50k/files/*/*.jsonl.gz")) for line in lines(path))
    return [(record["prompt"], record["completion"]) for record in records]


END = "<|endoftext|>"
"""Stands at the end of every answer of T0."""


def instructions(path: Path) -> list[Pair]:
    """Prompts and answers of a JSON file in Alpaca's form, or in that of GPTeacher."""
    return [
        (
            "\n\n".join(t for t in (r["instruction"], r["input"]) if t.strip()),
            r.get("response") or r.get("output") or "",
        )
        for r in json.loads(read(path))
    ]


def gpteacher(data: Path) -> list[Pair]:
    """Code, role play and the use of tools."""
    return [pair for path in sorted(data.glob("gpteacher/files/*/*.json*")) for pair in instructions(path)]


def codealpaca(data: Path) -> list[Pair]:
    """Code; nearly all its prompts are GPTeacher's as well."""
    return instructions(data / "codealpaca/files/data/new_codealpaca.json.gz")


def real_rows(data: Path) -> Iterator[Pair]:
    """Prompt and answer of T0, Alpaca and GPTeacher, in the order of the files."""
    for prompt, answer in t0(data):
        yield prompt, answer.removesuffix(END)
    for path in sorted(data.glob("alpaca-random9k/files/**/*.json.gz")):
        yield from instructions(path)
    yield from gpteacher(data)


# Evaluation sets


def squad(path: Path) -> list[dict[str, Any]]:
    """The paragraphs of a file in SQuAD's form."""
    return [paragraph for article in json.loads(read(path))["data"] for paragraph in article["paragraphs"]]


def xquad(data: Path) -> list[Pair]:
    """Contexts and questions; answers, which are snippets, are left out."""
    both = [squad(data / "xquad/files" / name) for name in ("xquad.en.json", "xquad.ar.json.gz")]
    found: list[Pair] = []
    for english, arabic in zip(*both, strict=True):
        found.append((english["context"], arabic["context"]))
        found += [(e["question"], a["question"]) for e, a in zip(english["qas"], arabic["qas"], strict=True)]
    return found


def cells(path: Path) -> list[list[str]]:
    """The rows of a CSV file."""
    return list(csv.reader(io.StringIO(read(path))))


GOOD = {"tatoeba": tatoeba, "manythings": manythings, "tico": tico, "ntrex": ntrex}
"""Translated by people and checked, if not by word: 147 rows of NTREX-128 have glued words."""
OTHERS = {
    **{"mt_geneval": mt_geneval, "winomt": winomt, "mozilla": mozilla, "scratch": scratch, "blockly": blockly},
    **{"react": react},
}
"""Pairs of machines, of programs, and of pages that were translated in part."""

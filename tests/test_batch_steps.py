"""Judges and teachers whose answers come as batch files: what is asked in which round, and what comes of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from hala_factory.quality.verdicts import WARM
from tests.speaking import model as endpoint
from tests.speaking import speaking
from tests.test_batch import BUILD, Line, failed, given
from tests.workshop import Workshop, alpaca, balanced

ACCEPTED, REJECTED = '{"verdict": "accept"}', '{"verdict": "reject"}'
REFUSAL = "I'm sorry, but I can't help with that."
ANSWER = "This is an answer that a careful assistant could have given, number {}."
ARABIC = "أخبرني من فضلك بما تعرفه عن الصف الذي يحمل الرقم {}."
BIRDS = [
    {"en": f"Bird number {n} sings in the old tree.", "ar": f"يغرد الطائر رقم {n} في الشجرة القديمة."}
    for n in range(6)
]
MOST_ROUNDS = 9

Round = dict[str, list[Line]]
"""What was asked of each model."""


def batch(name: str) -> dict[str, Any]:
    """A catalog entry for a model whose files stand in a folder of its name."""
    return {"engine": "batch", "model": "m-1", "batch": {"folder": name}, "licence": "MIT"}


def asked(request: Line) -> str:
    return str(request["body"]["messages"][-1]["content"])


def row(request: Line) -> int:
    """The number of the row that a request is about."""
    return int(re.findall(r"(?:number|رقم) (\d+)", asked(request))[0])


def sampling(request: Line) -> tuple[int, float, int | None]:
    """Row, temperature and seed."""
    return row(request), request["body"]["temperature"], request["body"].get("seed")


def rounds(workshop: Workshop, **answer: Callable[[Line], Line | str]) -> list[Round]:
    """Build until nothing waits any more, with each model's requests answered as its function says."""
    told: list[Round] = []
    while (ended := workshop.run(*BUILD)).code:
        new: Round = {}
        for name, say in answer.items():
            if found := re.search(rf"model '{name}': .*? new in (requests-\d+\.jsonl)", ended.err):
                lines = (workshop.folder / name / found[1]).read_text(encoding="utf-8").splitlines()
                new[name] = [json.loads(line) for line in lines]
                said = [(r, say(r)) for r in new[name]]
                workshop.rows(
                    f"{name}/answers-{found[1]}", [given(r, s) if isinstance(s, str) else s for r, s in said]
                )
        assert new, ended.err
        told.append(new)
        assert len(told) < MOST_ROUNDS
    return told


def stage(workshop: Workshop) -> dict[str, Any]:
    """The record of the stage that asks."""
    (record,) = [s for s in workshop.manifest()["stages"] if s["kind"] == "ask"]
    return dict(record)


# Judges


def judged(workshop: Workshop, **fields: Any) -> None:
    workshop.rows("pairs.jsonl", BIRDS)
    source = {"path": "pairs.jsonl", "rows": "pair", "columns": {"en": "en", "ar": "ar"}, "language": ["en", "ar"]}
    workshop.catalog({"pairs": source}, {"later": batch("later")})
    sides = {"source": "translation.en", "target": "translation.ar"}
    workshop.recipe(["pairs"], [{"step": "judge", "model": "later", **sides, **fields}])


def test_what_is_no_verdict_is_asked_for_again_in_a_later_round_and_fails_its_row_in_the_end(
    workshop: Workshop,
) -> None:
    judged(workshop, controls=0, retries=2)
    expired: set[str] = set()

    def judge(request: Line) -> Line | str:
        match sampling(request):
            case 1, _, _:
                return REJECTED
            case (2, _, None) | (3, _, _):
                return "I would accept it."
            case 4, _, None:
                return given(request, '{"verdict": "acc', "length")
            case 5, _, _ if request["custom_id"] not in expired:
                expired.add(request["custom_id"])
                return failed(request)
        return ACCEPTED

    first, second, third = (r["later"] for r in rounds(workshop, later=judge))
    assert [sampling(r) for r in first] == [(n, 0, None) for n in range(6)]
    assert sorted(sampling(r) for r in second if row(r) != 5) == [(n, WARM, 1) for n in (2, 3, 4)]
    assert [r for r in second if row(r) == 5] == [first[5]]  # what nobody answered is the same request
    assert [sampling(r) for r in third] == [(3, WARM, 2)]
    for request in (*first, *second, *third):
        schema = request["body"]["response_format"]["json_schema"]["schema"]
        assert schema["properties"]["verdict"]["enum"] == ["accept", "reject"]
    told = workshop.build()["rows"]
    assert told == {"in": 6, "kept": 4, "dropped": {"judge.rejected": 1}, "failed": {"judge.unparseable": 1}}
    assert balanced(told)
    assert "I would accept it." in workshop.lost().filter(reason="unparseable")["detail"].item()
    assert workshop.kept()["judge.requests"].to_list() == [1, 2, 2, 1]
    assert stage(workshop)["generation"]["model"]["requests"] == 6 + 3 + 1  # an expired one is no answer


def test_controls_that_got_no_verdict_are_a_round_more_before_any_row(workshop: Workshop) -> None:
    judged(workshop, controls=4, retries=1)

    def judge(request: Line) -> str:
        again = request["body"].get("seed") is not None
        return ACCEPTED if again or "Bird" in asked(request) else "well"

    controls, again, birds = (r["later"] for r in rounds(workshop, later=judge))
    assert (len(controls), len(again), len(birds)) == (4, 4, 6)
    assert {asked(r) for r in again} == {asked(r) for r in controls}
    assert not any("Bird" in asked(r) for r in (*controls, *again))
    assert stage(workshop)["proof"]["agreement"] == 0.5  # the two bad ones were accepted
    assert workshop.build()["rows"]["kept"] == 6


def test_a_judge_that_its_controls_find_unfit_is_asked_for_no_row(workshop: Workshop) -> None:
    judged(workshop, controls=4, min_agreement=0.9)
    workshop.run(*BUILD)
    lines = (workshop.folder / "later" / "requests-00001.jsonl").read_text().splitlines()
    workshop.rows("later/answers.jsonl", [given(json.loads(line), ACCEPTED) for line in lines])
    ended = workshop.run(*BUILD)
    assert (ended.code, "right on 2 of 4 controls" in ended.err) == (1, True)
    assert not (workshop.folder / "later" / "requests-00002.jsonl").exists()


# Teachers


def taught(workshop: Workshop, number: int, models: dict[str, Any], **fields: Any) -> None:
    workshop.rows("rows.jsonl", alpaca(number))
    workshop.catalog({"rows": {"path": "rows.jsonl"}}, models)
    workshop.recipe(["rows"], [{"step": "generate", "model": "big", **fields}])


def test_a_round_holds_every_draw_and_the_next_the_scores_and_what_is_drawn_again(workshop: Workshop) -> None:
    """One model answers and scores, so both stand in one file."""
    taught(workshop, 4, {"big": batch("big")}, judge_model="big", samples=2, temperature=0.7, min_score=3)

    def rates(request: Line) -> bool:
        return "Rate the answer" in asked(request)

    def both(request: Line) -> Line | str:
        number, _, seed = sampling(request)
        if rates(request):
            if number == 3:
                return '{"score": 2}' if "the best" in asked(request) else "two of five"
            return '{"score": 5}' if "the best" in asked(request) else '{"score": 4}'
        if number == 1 and seed in (1, 2):
            return REFUSAL
        if number == 2:
            return given(request, "This answer is cut sho", "length")
        return ANSWER.format(number) + (" It is the best." if seed == 2 else "")

    first, second, third, fourth = (r["big"] for r in rounds(workshop, big=both))
    assert sorted(sampling(r) for r in first) == [(n, 0.7, seed) for n in range(4) for seed in (1, 2)]
    assert sorted(sampling(r) for r in second if not rates(r)) == [(1, 0.7, 3), (2, 0.7, 3)]
    assert sorted(sampling(r) for r in second if rates(r)) == [(0, 0, None)] * 2 + [(3, 0, None)] * 2
    assert sorted(sampling(r) for r in third) == [(1, 0, None), (3, WARM, 1)]
    assert [sampling(r) for r in fourth] == [(3, WARM, 2)]
    told = workshop.build()["rows"]
    assert told == {"in": 4, "kept": 2, "dropped": {"generate.low_score": 1}, "failed": {"generate.truncated": 1}}
    assert balanced(told)
    kept = workshop.kept()
    answers = [m[-1]["content"] for m in kept["messages"].to_list()]
    assert answers == [f"{ANSWER.format(0)} It is the best.", ANSWER.format(1)]
    assert kept["generate.score"].to_list() == [5, 4]
    assert kept["generate.requests"].to_list() == [4, 4]


def test_every_round_asks_both_models_for_all_that_they_can_be_asked_by_then(workshop: Workshop) -> None:
    taught(workshop, 3, {"big": batch("big"), "small": batch("small")}, judge_model="small")

    def big(request: Line) -> str:
        return " " if sampling(request) == (2, 0, 1) else ANSWER.format(row(request))

    first, second, third = rounds(workshop, big=big, small=lambda _: '{"score": 3}')
    assert {name: sorted(map(row, lines)) for name, lines in first.items()} == {"big": [0, 1, 2]}
    assert {name: sorted(map(row, lines)) for name, lines in second.items()} == {"big": [2], "small": [0, 1]}
    assert {name: sorted(map(row, lines)) for name, lines in third.items()} == {"small": [2]}
    assert workshop.build()["rows"]["kept"] == 3


def test_a_server_is_asked_once_however_many_rounds_its_judge_takes(workshop: Workshop) -> None:
    with speaking(lambda request: ANSWER.format(request["seed"])) as server:
        taught(workshop, 5, {"big": endpoint(server), "small": batch("small")}, judge_model="small")

        def small(request: Line) -> str:
            return "four" if request["body"].get("seed") != 2 else '{"score": 4}'

        told = rounds(workshop, small=small)
        assert [len(r["small"]) for r in told] == [5, 5, 5]
        assert workshop.build()["rows"]["kept"] == 5
        assert len(server.seen) == 5
        assert stage(workshop)["generation"]["model"]["requests"] == 5


def test_a_translator_and_a_teacher_answer_in_rounds_and_each_goes_on_where_it_can(workshop: Workshop) -> None:
    workshop.rows("rows.jsonl", alpaca(3))
    workshop.catalog({"rows": {"path": "rows.jsonl"}}, {"big": batch("big"), "small": batch("small")})
    workshop.recipe(["rows"], [{"step": "respond_natively", "model": "big", "translator": "small"}])

    def small(request: Line) -> str:
        text = asked(request).partition("\n\n")[2]
        return text if sampling(request) == (1, 0, None) else ARABIC.format(row(request))  # an echo

    def big(request: Line) -> str:
        return ANSWER.format(2) if row(request) == 2 else f"نعم، {asked(request)}"

    first, second, third, fourth = rounds(workshop, big=big, small=small)
    assert {name: sorted(map(row, lines)) for name, lines in first.items()} == {"small": [0, 1, 2]}
    assert {name: sorted(map(row, lines)) for name, lines in second.items()} == {"small": [1], "big": [0, 2]}
    assert {name: sorted(sampling(r) for r in lines) for name, lines in third.items()} == {
        "big": [(1, 0, 1), (2, WARM, 2)]
    }
    assert [sampling(r) for r in fourth["big"]] == [(2, WARM, 3)]
    told = workshop.build()["rows"]
    assert told == {"in": 3, "kept": 2, "dropped": {}, "failed": {"respond_natively.wrong_language": 1}}
    assert balanced(told)


def test_a_text_is_translated_back_in_rounds(workshop: Workshop) -> None:
    workshop.rows("pairs.jsonl", BIRDS)
    source = {"path": "pairs.jsonl", "rows": "pair", "columns": {"en": "en", "ar": "ar"}, "language": ["en", "ar"]}
    workshop.catalog({"pairs": source}, {"later": batch("later")})
    sides = {"source": "translation.en", "target": "translation.ar"}
    workshop.recipe(["pairs"], [{"step": "back_translate", "model": "later", **sides}])

    def back(request: Line) -> Line | str:
        match sampling(request):
            case 1, 0, None:
                return REFUSAL
            case 2, _, _:
                return "The bakery opens at seven, and it closes at noon."
        return BIRDS[row(request)]["en"]

    first, second = (r["later"] for r in rounds(workshop, later=back))
    assert sorted(map(row, first)) == list(range(6))
    assert [sampling(r) for r in second] == [(1, WARM, 1)]
    told = workshop.build()["rows"]
    assert told == {"in": 6, "kept": 5, "dropped": {"back_translate.low_chrf": 1}, "failed": {}}
    assert balanced(told)

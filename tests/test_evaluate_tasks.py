"""The task files of the six benchmarks: a model that is told what to find likely scores exactly what it should."""

import json

import pytest

from hala_factory import benchmarks, catalog, questions
from hala_factory.fingerprint import file_digest
from hala_factory.models import scoring
from hala_factory.models.evaluate import SIX
from tests import six_benchmarks as six

pytestmark = [pytest.mark.train, pytest.mark.slow]
pytest.importorskip("lm_eval")


def ask(workshop, asked, says, chat=False):
    """What our program makes of questions and a model that says this: its report, and the lines of each task."""
    from hala_factory.train import evaluate
    from tests.scripted_lm import Scripted

    entries = six.written(workshop, asked)
    loaded = catalog.load(workshop.catalog({}, benchmarks=entries))
    tasks = {}
    for name, located in benchmarks.find(list(entries), loaded, file_digest).items():
        lines = [q.told() for q in questions.read(located)]
        tasks[name] = str(workshop.rows(f"ordered/{name}.jsonl", lines))
    (workshop.folder / "out").mkdir()
    model = Scripted(says)
    order = {"model": "scripted", "revision": None, "chat": chat, "batch": 1, "out": "out", "tasks": tasks}
    evaluate.main(order, workshop.folder, model)
    made = json.loads((workshop.folder / "made.json").read_text())["tasks"]
    lines = {n: [json.loads(x) for x in (workshop.folder / f"out/{n}.jsonl").read_text().splitlines()] for n in tasks}
    return made, lines, model.asked


def preferring(name, asked, preferred):
    """Per character a label is twice as likely where it is the preferred one."""
    spelt = six.labels(name, len(asked[1]))
    return {label: -len(label) * (1.0 if n == preferred else 2.0) for n, label in enumerate(spelt)}


def test_a_model_with_known_answers_scores_exactly_that_on_all_six(workshop):
    says, expected = {}, {}
    for name, asked in six.ALL.items():
        for n, (question, choices, right) in enumerate(asked):
            missed = n % (2 + SIX.index(name)) == 0  # another share for each of the six
            preferred = (right + 1) % len(choices) if missed else right
            says[question] = preferring(name, asked[n], preferred)
            expected.setdefault(name, []).append(not missed)
    made, lines, asked = ask(workshop, six.ALL, says)
    for name in SIX:
        assert [line["right"] for line in lines[name]] == expected[name]
        assert made[name] == {"accuracy": sum(expected[name]) / 12, "questions": 12, "cut": 0}
        for question, choices, _ in six.ALL[name]:
            assert asked[question][1] == six.labels(name, len(choices))
    assert len({made[name]["accuracy"] for name in SIX}) > 3


def test_the_fifth_letter_has_two_characters_and_wins_by_what_one_of_them_is_worth(workshop):
    choices = ["خيار"] * 5
    says = {"s؟": {"أ": -3.0, "ب": -9.0, "ج": -9.0, "د": -9.0, "هـ": -4.0}}
    made, lines, _ = ask(workshop, {"arabic-mmlu": [("s؟", choices, 4)]}, says)
    assert made["arabic-mmlu"]["accuracy"] == 1.0  # -4 / 2 characters is more than -3 / 1
    assert lines["arabic-mmlu"] == [{"right": True, "loglikelihoods": [-3.0, -9.0, -9.0, -9.0, -4.0]}]


HEAD = "السؤال التالي هو سؤال متعدد الإختيارات. اختر الإجابة الصحيحة:"
MANY = "الأسئلة التالية هي أسئلة متعددة الإختيارات مع الجواب الصحيح"
BASED = "بناءً على السياق أدناه، اختر الإجابة الصحيحة للسؤال التالي من قائمة الأجوبة:"
PROMPTS = [
    ("alghafa", ["x", "y"], f"{MANY}\n\nالسؤال: q؟\n0) x\n1) y\nالإجابة:"),
    ("arabic-mmlu", ["v", "w", "x", "y", "z"], f"{HEAD}\n\nq؟\nأ. v\nب. w\nج. x\nد. y\nهـ. z\nالإجابة:"),
    ("arabic-mmlu-ht", ["w", "x", "y", "z"], f"{HEAD}\n\nq؟\n1. w\n2. x\n3. y\n4. z\nالإجابة:"),
    (
        "exams",
        ["w", "x", "y", "z"],
        f"{MANY} حول Islamic Studies. \n\nالسؤال: q؟\n أ) w\n\n ب) x\n\n ج) y\n\n د) z\n\nالإجابة:",
    ),
    ("madinah-qa", ["x", "y"], f"{BASED}\n\n\nالسؤال:\nq؟\nأ. x\nب. y\nالإجابة:"),
    ("madinah-qa", ["x", "y", "z"], f"{BASED}\n\n\nالسياق:\nنص قصير.\nالسؤال:\nq؟\nأ. x\nب. y\nج. z\nالإجابة:"),
    ("aratrust", ["أ) x", "ب) y", "ج) z"], f"{HEAD} أ، ب أو ج. \n\nq؟\nأ) x\nب) y\nج) z\nالإجابة:"),
]


@pytest.mark.parametrize(("name", "choices", "prompt"), PROMPTS, ids=[f"{p[0]}-{len(p[1])}" for p in PROMPTS])
def test_a_prompt_is_what_lighteval_puts(workshop, name, choices, prompt):
    asked = ("q؟", choices, 0)
    _, _, said = ask(workshop, {name: [asked]}, {"q؟": preferring(name, asked, 0)})
    assert said["q؟"] == (prompt, six.labels(name, len(choices)))


def test_in_chat_a_prompt_is_a_user_s_turn(workshop):
    asked = ("q؟", ["x", "y"], 0)
    _, _, said = ask(workshop, {"alghafa": [asked]}, {"q؟": preferring("alghafa", asked, 0)}, chat=True)
    prompt, spelt = said["q؟"]
    assert prompt.startswith("<user>" + MANY)
    assert prompt.endswith("الإجابة:<assistant>")
    assert spelt == ["0", "1"]


def test_every_one_of_the_six_has_a_task_file():
    assert set(scoring.tasks()) == set(SIX)
    assert len(set(scoring.tasks().values())) == 6

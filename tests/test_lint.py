"""The training lint: what it finds in conversations as a model reads them, and the bounds that stand on it."""

import json
from importlib.util import find_spec
from pathlib import Path

import polars as pl
import pytest

from hala_factory.errors import BuildError
from hala_factory.models import linting, program
from hala_factory.models.lint_table import fertility, tell
from hala_factory.models.linting import LintBounds, Rows, hold
from hala_factory.models.step import NOTHING
from hala_factory.train import lint
from hala_factory.train.tally import EXAMPLES, Tally, percentiles
from hala_factory.train.turns import role_order
from tests import chat_templates
from tests.chat_templates import CHATML, END, GEMMA
from tests.workshop import Workshop

pytestmark = [
    pytest.mark.train,
    pytest.mark.skipif(find_spec("transformers") is None, reason="needs the extra `train`"),
]


def talk(*texts: str | None, roles: str = "ua", name: str = "row") -> dict:
    words = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}
    return {
        "id": name,
        "language": None,
        "messages": [{"role": words[r], "content": t} for r, t in zip(roles, texts, strict=True)],
    }


GOOD = talk("Name a river.", "The Nile")


@pytest.fixture(scope="module")
def tokenizer():
    made = chat_templates.tokenizer()
    made.chat_template = CHATML
    return made


def looked(tokenizer, rows, max_length=None):
    tally = Tally()
    lint.look(tokenizer, rows, max_length, tally)
    return tally.told(max_length)


def squeezed(table: str) -> str:
    return " ".join(table.split())


# What is found


@pytest.mark.parametrize(
    ("row", "max_length", "found"),
    [
        (GOOD, None, set()),
        (GOOD, 100, set()),
        (GOOD, 20, {"over_length"}),
        (GOOD, 15, {"over_length", "no_trainable_once_cut"}),
        (talk("Only asked", roles="u"), None, {"no_trainable", "role_order", "role_order.question_last"}),
        (talk("Only asked", roles="u"), 10, {"no_trainable", "over_length", "role_order", "role_order.question_last"}),
        (talk("Name a river.", ""), None, {"empty_turn"}),
        (talk("Name a river.", " \n"), None, {"empty_turn"}),
        (talk("Name a river.", None), None, {"empty_turn", "failed", "failed.broken"}),
        (talk("Name a river.", f"The{END} Nile"), None, {"special_in_text"}),
        (talk(f"What is {END}?", "An end"), None, {"special_in_text"}),
        (talk("Name a river.", "\n\nb"), None, {"failed", "failed.other_tokens"}),
        (talk("a", "b", "c", "d", roles="uaua"), None, set()),
        (talk("Be brief", "a", "b", roles="sua"), None, set()),
        (talk("a", "b", "c", roles="uau"), None, {"role_order", "role_order.question_last"}),
        (talk("a", "b", "c", roles="uaa"), None, {"role_order", "role_order.repeated"}),
    ],
)
def test_each_fault_of_a_row_is_found_and_nothing_else(tokenizer, row, max_length, found):
    assert set(looked(tokenizer, [row], max_length)["findings"]) == found


@pytest.mark.parametrize(
    ("roles", "word"),
    [
        ("ua", None),
        ("sua", None),
        ("uaua", None),
        ("", "no_turns"),
        ("s", "no_turns"),
        ("usa", "late_system"),
        ("uta", "other_role"),
        ("au", "assistant_first"),
        ("uuaa", "repeated"),
        ("uau", "question_last"),
    ],
)
def test_roles_go_by_turns(roles, word):
    names = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}
    assert role_order([names[r] for r in roles]) == word


def test_template_failures_are_counted_by_kind_with_the_template_s_own_words():
    strict = chat_templates.tokenizer()
    strict.chat_template = GEMMA
    rows = [GOOD, talk("Be brief", "a", "b", roles="sua"), talk("a", "b", "c", roles="uaa")]
    found = looked(strict, rows)["findings"]
    assert found["failed"]["rows"] == found["failed.refused"]["rows"] == 2
    assert "System role not supported" in found["failed.refused"]["message"]


def test_tokens_are_counted_as_the_template_writes_them(tokenizer):
    rows = [GOOD, talk("Name another river, please.", "The Rhine")]
    lengths = [len(tokenizer.apply_chat_template(r["messages"])["input_ids"]) for r in rows]
    answers = [len(tokenizer(r["messages"][1]["content"]).input_ids) for r in rows]  # and an end in place of a <s>
    told = looked(tokenizer, rows, min(lengths))
    assert told["tokens"] == {
        "total": sum(lengths),
        "trained": sum(answers),
        "cut": max(lengths) - min(lengths),
        "unknown": 0,
    }
    assert (told["lengths"]["p50"], told["lengths"]["p100"]) == (min(lengths), max(lengths))


def test_languages_are_told_by_script_or_by_the_column_and_have_their_fertility(tokenizer):
    rows = [talk("Name a river in Egypt.", "نهر النيل"), {**talk("Wie geht es?", "Gut"), "language": "de"}]
    rows += [{**talk("1 + 1?", "北京"), "language": "ar,en"}]  # judged by message: no one language
    told = looked(tokenizer, rows)["languages"]
    assert {name: counts["messages"] for name, counts in told.items()} == {
        "Latn": 1, "Arab": 1, "de": 2, "und": 1, "other": 1,
    }  # fmt: skip
    alone = len(tokenizer("نهر النيل", add_special_tokens=False).input_ids)
    assert told["Arab"] == {"messages": 1, "words": 2, "characters": 9, "tokens": alone}
    assert fertility(told["Arab"]) == {
        "tokens_per_word": round(alone / 2, 4),
        "tokens_per_character": round(alone / 9, 4),
    }


def test_unknown_tokens_are_counted_where_a_tokenizer_has_such_a_token(tokenizer):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {w: n for n, w in enumerate(["[UNK]", "</s>", "user", "assistant", "river", "Nile"])}
    bare = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    bare.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    template = "{% for m in messages %}{{ m['role'] + ' ' + m['content'] + ' ' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant ' }}{% endif %}"
    few = PreTrainedTokenizerFast(tokenizer_object=bare, unk_token="[UNK]", eos_token="</s>", chat_template=template)
    told = looked(few, [talk("river", "Nile"), talk("lake", "Nile Rhine")])
    assert told["findings"]["unknown_token"]["rows"] == 1
    assert told["tokens"]["unknown"] == 2
    assert "special_in_text" not in told["findings"]


def test_examples_are_few_and_counts_are_whole(tokenizer):
    found = looked(tokenizer, [talk("a", "", name=f"r{n}") for n in range(40)])["findings"]["empty_turn"]
    assert found["rows"] == 40
    assert found["examples"] == [f"r{n}" for n in range(EXAMPLES)]


def test_percentiles_are_lengths_that_so_many_do_not_exceed():
    from collections import Counter

    found = percentiles(Counter({n: 1 for n in range(1, 101)}))
    assert found == {"p1": 1, "p10": 10, "p50": 50, "p90": 90, "p95": 95, "p99": 99, "p100": 100}
    assert set(percentiles(Counter()).values()) == {0}


# Bounds


def report(rows=100, unknown=0, **findings):
    return {
        "rows": rows,
        "findings": {word: {"rows": n, "examples": [], "message": ""} for word, n in findings.items()},
        "tokens": {"total": 1000, "trained": 300, "cut": 0, "unknown": unknown},
        "languages": {"Latn": {"messages": 200, "words": 500, "characters": 2500, "tokens": 1000}},
    }


@pytest.mark.parametrize(
    ("found", "bounds", "broken"),
    [
        (report(), {}, []),
        (report(failed=1), {}, ["max_failed_share"]),
        (report(failed=1), {"max_failed_share": 0.01}, []),
        (report(failed=2), {"max_failed_share": 0.01}, ["max_failed_share"]),
        (report(no_trainable=1), {}, ["max_no_trainable_share"]),
        (
            report(no_trainable=1, no_trainable_once_cut=1),
            {"max_no_trainable_share": 0.01},
            ["max_no_trainable_share"],
        ),
        (report(role_order=1), {}, ["max_role_order_share"]),
        (report(empty_turn=1), {}, ["max_empty_share"]),
        (report(special_in_text=1), {}, ["max_special_share"]),
        (report(over_length=5), {}, []),
        (report(over_length=6), {}, ["max_over_length_share"]),
        (report(unknown=1), {}, []),
        (report(unknown=2), {}, ["max_unknown_share"]),
    ],
)
def test_a_bound_is_inclusive(found, bounds, broken):
    assert [v.gate for v in hold(found, LintBounds(**bounds)) if not v.passed] == broken


def test_rows_that_break_a_bound_are_refused_with_the_table(monkeypatch):
    whole = {**report(failed=3), "max_length": 128, "lengths": {"p50": 9}, "special": {}, "unread": {}}
    whole["findings"]["failed"] |= {"examples": ["r7"], "message": "the template refuses"}
    monkeypatch.setattr(program, "run", lambda *given, **named: whole)
    with pytest.raises(BuildError) as refused:
        linting.check(Rows([]), NOTHING, 128, LintBounds(), Path(), Path())
    assert "max_failed_share 3.000% ≤ 0.000% FAILED" in squeezed(str(refused.value))
    assert "failed 3 3.000% r7 the template refuses" in squeezed(str(refused.value))
    assert linting.check(Rows([]), NOTHING, 128, LintBounds(max_failed_share=0.03), Path(), Path())["rows"] == 100


# The command, with a program of its own


@pytest.fixture(scope="module")
def model(tmp_path_factory, tokenizer):
    from transformers import LlamaConfig

    folder = tmp_path_factory.mktemp("model")
    tokenizer.save_pretrained(folder)
    LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=64).save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_a_corpus_is_looked_at_as_it_stands_with_its_language(workshop: Workshop, model):
    rows = [{"instruction": f"Name river number {n}", "input": "", "output": f"The Nile {n}"} for n in range(20)]
    workshop.rows("some.jsonl", [*rows, {"instruction": "Name " * 40, "input": "", "output": "The Nile"}])
    workshop.catalog({"some": {"path": "some.jsonl"}})
    workshop.recipe(["some"], ["chat_shape", {"step": "language", "name": "told", "keep": ["en"], "min_score": 0}])
    kept = workshop.build()["rows"]["kept"]
    said = workshop.run("lint", "small@dev", "--model", str(model), "--json")
    found = json.loads(said.out)
    assert found["rows"] == kept
    assert (found["max_length"], list(found["languages"])) == (64, ["en"])
    (long,) = (r["id"] for r in workshop.kept().iter_rows(named=True) if len(r["messages"][0]["content"]) > 100)
    assert found["findings"]["no_trainable_once_cut"]["examples"] == [long]
    assert found["broken"] == ["max_no_trainable_share"]
    assert said.code == 1
    passed = workshop.run("lint", "small@dev", "--model", str(model), "--max-length", "500")
    assert passed.code == 0
    assert "21 rows, up to 500 tokens" in passed.out


@pytest.mark.slow
def test_pairs_are_looked_at_as_questions_for_their_translation(workshop: Workshop, model):
    pairs = [{"en": "The Nile", "ar": "النيل"}, {"en": "The Rhine", "ar": None}]
    workshop.rows("pairs.jsonl", pairs)
    prompt = ("--prompt", "Into Arabic: {text}", "--max-length", "500")
    said = workshop.run("lint", "pairs.jsonl", "--model", str(model), "--pair", "en", "ar", *prompt)
    assert said.code == 0, said.err
    assert said.out.startswith("1 rows, up to 500 tokens")
    assert "were not looked at" in said.out
    assert "Arab" in said.out


@pytest.mark.slow
def test_bounds_are_given_by_name(workshop: Workshop, model):
    workshop.rows("talks.jsonl", [{"messages": GOOD["messages"]}] * 2)
    wrong = workshop.run("lint", "talks.jsonl", "--model", str(model), "--bound", "max_fialed_share=1")
    assert wrong.code == 2
    assert "unknown field 'max_fialed_share'; did you mean 'max_failed_share'?" in wrong.err
    short = ("lint", "talks.jsonl", "--model", str(model), "--max-length", "20")
    assert "max_over_length_share 100.000% ≤ 5.000% FAILED" in squeezed(workshop.run(*short).out)
    assert workshop.run(*short, "--bound", "max_over_length_share=1").code == 0


@pytest.mark.parametrize(
    ("corpus", "told"),
    [("no-such@1.0.0", "there is no corpus 'no-such@1.0.0'"), ("No Such", "expected the name of a recipe")],
)
def test_a_corpus_that_is_not_there_is_told(workshop: Workshop, model, corpus, told):
    said = workshop.run("lint", corpus, "--model", str(model))
    assert said.code == 2
    assert told in said.err


def test_files_of_training_rows_are_read_in_both_forms(tmp_path):
    rows = [{"id": "a", "messages": GOOD["messages"]}, {"id": "b", "messages": GOOD["messages"]}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    pl.DataFrame([{**r, "told.label": "en"} for r in rows]).write_parquet(tmp_path / "rows.parquet")
    lines = list(lint.read(tmp_path / "rows.jsonl", None))
    (tmp_path / "bare.jsonl").write_text("".join(json.dumps(r["messages"]) + "\n" for r in rows))
    bare = list(lint.read(tmp_path / "bare.jsonl", None))
    assert [(r["id"], r["messages"]) for r in bare] == [(f"bare.jsonl:{n}", GOOD["messages"]) for n in (1, 2)]
    table = list(lint.read(tmp_path / "rows.parquet", "told.label"))
    assert [(r["id"], r["messages"], r["language"]) for r in lines] == [(r["id"], r["messages"], None) for r in rows]
    assert [(r["id"], r["messages"], r["language"]) for r in table] == [(r["id"], r["messages"], "en") for r in rows]


def test_the_table_says_what_was_found_where():
    whole = {**report(special_in_text=4), "max_length": None, "lengths": {"p50": 9}, "special": {END: 4}, "unread": {}}
    whole["findings"]["special_in_text"]["examples"] = ["r1", "r2"]
    told = squeezed(tell(whole, hold(whole, LintBounds())))
    assert "special_in_text 4 4.000% r1, r2" in told
    assert f"special tokens in texts: {END} (4)" in told
    assert "Latn 200 1,000 2.00 0.40" in told

"""What a store's answers are keyed by, what they saved, and the commands `generations …`."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from hala_factory.catalog import Model
from hala_factory.cost.telling import tell_hits
from hala_factory.errors import InputError
from hala_factory.generate import exchange
from hala_factory.generate.answers import Answer, ModelIdentity, Request
from hala_factory.generate.engines import make_engine
from hala_factory.generate.store import GenerationStore
from tests.workshop import Workshop, alpaca, answers

# ---- The key: what is changed never replays, what is not always does ----


def checkpoint(folder: Path) -> Path:
    """The files of a checkpoint, small."""
    folder.mkdir(parents=True)
    for name in (
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "model.safetensors",
    ):
        (folder / name).write_text(f"{name} of the first day")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    (folder / "modeling_own.py").write_text("pass")
    (folder / "README.md").write_text("# A model")
    return folder


SERVED = {
    "engine": "vllm",
    "path": "model",
    "quantisation": "FP8_DYNAMIC",
    "licence": "MIT",
    "serve": ["--dtype=float32"],
}
AWAY = {
    "engine": "openai",
    "hub": "org/model",
    "revision": "abc",
    "endpoints": ["http://127.0.0.1:8000/v1"],
    "licence": "MIT",
}
ASKED: dict[str, Any] = {
    "messages": (("system", "You translate."), ("user", "A sentence.")),
    "temperature": 0.0,
    "max_tokens": 100,
    "seed": 1,
}


def key(tmp_path: Path, model: dict[str, Any], **request: Any) -> str:
    """The key of a request to a model of the catalog, as a build computes it."""
    engine = make_engine("teacher", Model(**model), tmp_path, work=tmp_path / "store")
    return Request(**{**ASKED, **request}).key(ModelIdentity("teacher", engine.identity))


@pytest.mark.parametrize(
    ("request_fields", "replays"),
    [
        ({}, True),
        ({"text": "the bare text, for engines that take no prompt"}, True),
        ({"temperature": 0}, True),
        ({"messages": (("user", "A sentence."),)}, False),
        ({"messages": (("system", "You translate."), ("user", "A sentence. "))}, False),
        ({"messages": (("system", "You translate."), ("assistant", "A sentence."))}, False),
        ({"messages": (("user", "A sentence."), ("system", "You translate."))}, False),
        ({"messages": (("system", "You translate.A"), ("user", " sentence."))}, False),
        ({"temperature": 0.1}, False),
        ({"max_tokens": 101}, False),
        ({"seed": 2}, False),
        ({"seed": None}, False),
        ({"schema": '{"type":"object"}'}, False),
    ],
)  # fmt: skip
def test_a_changed_prompt_or_sampling_never_replays(
    tmp_path: Path, request_fields: dict[str, Any], replays: bool
) -> None:
    assert (key(tmp_path, AWAY, **request_fields) == key(tmp_path, AWAY)) is replays


@pytest.mark.parametrize(
    ("model", "fields", "replays"),
    [
        (AWAY, {"hub": "org/other"}, False),
        (AWAY, {"revision": "def"}, False),
        (AWAY, {"quantisation": "FP8_DYNAMIC"}, False),
        (AWAY, {"chat_template": "chatml"}, False),
        (AWAY, {"endpoints": ["http://10.0.0.1:9000/v1", "https://vendor.example/v1"]}, True),
        (AWAY, {"api_key_env": "KEY"}, True),
        (AWAY, {"model": "the name it has there"}, True),
        (AWAY, {"price_per_million": {"prompt": 1, "output": 2}}, True),
        (AWAY, {"licence": "Apache-2.0", "note": "x", "by": "us"}, True),
        (AWAY, {"engine": "batch", "endpoints": [], "batch": {"folder": "box"}}, True),
        (SERVED, {"quantisation": None}, False),
        (SERVED, {"serve": ["--dtype=bfloat16"]}, False),
        (SERVED, {"serve": ["--dtype=float32", "--reasoning-parser", "x"]}, False),
        (SERVED, {"serve": ["--dtype", "float32"]}, True),
        (SERVED, {"serve": ["--dtype=float32", "--max-num-seqs", "7", "--tensor-parallel-size=2"]}, True),
        (SERVED, {"context": 8192}, True),
    ],
)  # fmt: skip
def test_a_changed_model_never_replays_and_another_way_to_it_always_does(
    tmp_path: Path, model: dict[str, Any], fields: dict[str, Any], replays: bool
) -> None:
    checkpoint(tmp_path / "model")
    assert (key(tmp_path, {**model, **fields}) == key(tmp_path, model)) is replays


@pytest.mark.parametrize(
    ("file", "replays"),
    [
        ("model.safetensors", False),
        ("config.json", False),
        ("generation_config.json", False),
        ("tokenizer.json", False),
        ("tokenizer_config.json", False),
        ("chat_template.jinja", False),
        ("modeling_own.py", False),
        ("template.jinja", False),
        ("README.md", True),
    ],
)
def test_a_changed_file_of_a_checkpoint_never_replays(tmp_path: Path, file: str, replays: bool) -> None:
    folder = checkpoint(tmp_path / "model")
    (tmp_path / "template.jinja").write_text("{{ messages }}")  # beside it, named in the server's arguments
    model = {**SERVED, "serve": ["--chat-template", str(tmp_path / "template.jinja")]}
    before = key(tmp_path, model)
    assert key(tmp_path, model) == before
    changed = tmp_path / file if file == "template.jinja" else folder / file
    changed.write_text("of the second day")
    assert (key(tmp_path, model) == before) is replays


def test_a_checkpoint_that_moved_replays(tmp_path: Path) -> None:
    checkpoint(tmp_path / "model")
    before = key(tmp_path, SERVED)
    (tmp_path / "model").rename(tmp_path / "elsewhere")
    assert key(tmp_path, {**SERVED, "path": "elsewhere"}) == before


# ---- Hits and money ----


class Vendor:
    """An OpenAI-compatible endpoint in this process that translates what `alpaca` says."""

    def __init__(self) -> None:
        self.known = {r["text"]: r["answer"] for r in answers(60)}
        self.asked: list[str] = []

    async def answer(self, request: Request) -> Answer:
        text = (request.last_user_text or "").partition(":\n\n")[2]
        self.asked.append(text)
        await asyncio.sleep(0)
        return Answer(self.known[text], "stop", 1000, 500)


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Vendor:
    """It answers in place of the client of endpoints."""
    from hala_factory.generate.client import ChatClient

    it = Vendor()
    monkeypatch.setattr(ChatClient, "answer", lambda self, request: it.answer(request))
    return it


def bench(workshop: Workshop, rows: int, steps: list[Any] | None = None, **model: Any) -> Workshop:
    workshop.rows("plain.jsonl", alpaca(rows))
    teacher = {"engine": "openai", "model": "m", "endpoints": ["http://127.0.0.1:9/v1"], "licence": "MIT", **model}
    workshop.catalog({"plain": {"path": "plain.jsonl"}}, {"teacher": teacher})
    workshop.recipe(["plain"], [*(steps or []), {"step": "translate", "to": "ar", "model": "teacher"}])
    return workshop


PRICE = {"prompt": 0.15, "output": 0.6}


def test_a_build_tells_what_was_spent_and_what_the_store_saved(workshop: Workshop, vendor: Vendor) -> None:
    bench(workshop, 4, price_per_million=PRICE)
    a_text = (1000 * 0.15 + 500 * 0.6) / 1e6
    told = workshop.build()["generation"]
    assert (told["spent"], told["saved"]) == ({"USD": round(8 * a_text, 6)}, {"USD": 0.0})
    assert workshop.manifest()["generation"]["spent"] == told["spent"]
    bench(workshop, 6, price_per_million={**PRICE, "currency": "EUR"})
    told = workshop.build()["generation"]
    assert (told["requests"], told["from_store"]) == (12, 8)
    assert (told["spent"], told["saved"]) == ({"EUR": round(4 * a_text, 6)}, {"EUR": round(8 * a_text, 6)})
    assert len(vendor.asked) == 12
    bench(workshop, 7, price_per_million={"prompt": 150, "output": 600})
    said = workshop.run("build", "recipe.yaml", "--quiet").out
    assert "  models  14 answers, 12 of them from the store; spent 0.90 USD, saved 5.40 USD\n" in said


def test_without_prices_no_money_is_told(workshop: Workshop, vendor: Vendor) -> None:
    bench(workshop, 2)
    assert workshop.build()["generation"] == {
        "requests": 4, "from_store": 0, "prompt_tokens": 4000, "output_tokens": 2000,
    }  # fmt: skip


def hits(workshop: Workshop) -> dict[str, int] | None:
    told = workshop.run("plan", "recipe.yaml", "--json").json
    return next((s["hits"] for s in told["stages"] if "hits" in s), None)


def test_plan_tells_how_many_questions_are_stored(workshop: Workshop, vendor: Vendor) -> None:
    bench(workshop, 10, [{"step": "length", "max_chars": 10_000}])
    assert hits(workshop) is None  # the rows are not there yet
    workshop.build()
    assert hits(workshop) is None  # there is nothing to do
    workshop.rows("plain.jsonl", [*alpaca(10), *alpaca(5, "another thing")])
    workshop.recipe(["plain"], [{"step": "length", "max_chars": 10_000}])
    workshop.build()
    bench(workshop, 10, [{"step": "length", "max_chars": 10_000}])
    workshop.rows("plain.jsonl", [*alpaca(10), *alpaca(5, "another thing")])
    assert hits(workshop) == {"questions": 30, "looked_up": 30, "stored": 20}
    assert "follows" not in workshop.run("plan", "recipe.yaml").out
    assert "20 of 30 questions stored" in workshop.run("plan", "recipe.yaml").out
    assert len(vendor.asked) == 20


def test_a_question_counts_as_stored_only_with_the_retries_that_its_answers_bring_about(
    workshop: Workshop, vendor: Vendor
) -> None:
    text = alpaca(1)[0]["instruction"]
    good, vendor.known[text] = vendor.known[text], text  # an echo, whatever is asked
    bench(workshop, 3)
    assert workshop.build()["rows"]["failed"] == {"translate.echo": 1}
    vendor.known[text] = good
    recipe = workshop.folder / "recipe.yaml"
    plain = recipe.read_text()
    recipe.write_text(plain.replace("model: teacher", "model: teacher\n  max_chars: 900"))
    assert hits(workshop) == {"questions": 6, "looked_up": 6, "stored": 6}
    warm = "model: teacher\n  retries: {echo: [{temperature: 0.9, seed: 5}]}"
    recipe.write_text(plain.replace("model: teacher", warm))
    assert hits(workshop) == {"questions": 6, "looked_up": 6, "stored": 5}
    assert workshop.build()["generation"]["from_store"] == 6  # of 7: the echo came from there, its retry did not


def test_many_questions_are_estimated_and_the_plan_says_so(
    workshop: Workshop, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hala_factory.cost import estimate as module

    bench(workshop, 40)
    workshop.build("--shard-rows", "5")
    recipe = workshop.folder / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("model: teacher", "model: teacher\n  max_chars: 900"))
    monkeypatch.setattr(module, "ROWS_READ", 10)
    monkeypatch.setattr(module, "LOOKED_UP", 8)
    assert hits(workshop) == {"questions": 80, "looked_up": 8, "stored": 8}
    assert "about 80 questions, 100 % stored (of 8 looked up)" in workshop.run("plan", "recipe.yaml").out


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((0, 0, 0), "none of 0 questions stored"),
        ((20, 20, 20), "all of 20 questions stored"),
        ((20, 20, 0), "none of 20 questions stored"),
        ((2000, 2000, 1234), "1,234 of 2,000 questions stored"),
        ((12_345, 500, 499), "about 12,345 questions, 99 % stored (of 500 looked up)"),
    ],
)
def test_hits_in_words(counts: tuple[int, int, int], words: str) -> None:
    assert tell_hits(dict(zip(("questions", "looked_up", "stored"), counts, strict=True))) == words


# ---- The commands ----


def test_ls_and_show_tell_what_is_held_and_what_was_made_of_it(workshop: Workshop, vendor: Vendor) -> None:
    assert workshop.run("generations", "ls").err == "no answers are stored yet\n"
    bench(workshop, 3)
    workshop.build()
    (held,) = workshop.run("generations", "ls", "--json").json
    assert {k: held[k] for k in ("model", "answers", "prompt_tokens", "output_tokens", "by_finish_reason", "versions")} == {
        "model": "teacher", "answers": 6, "prompt_tokens": 6000, "output_tokens": 3000,
        "by_finish_reason": {"stop": 6}, "versions": ["small@dev"],
    }  # fmt: skip
    assert [s.partition("-")[0] for s in held["stages"]] == ["translate"]
    assert held["bytes"] == sum(p.stat().st_size for p in Path("store/generations").glob("*/segment-*"))
    head, line = workshop.run("generations", "ls").out.splitlines()
    assert head.split()[:3] == ["model", "fingerprint", "answers"]
    assert line.split()[:5] == ["teacher", held["fingerprint"][:12], "6", "6,000", "3,000"]
    assert line.endswith("small@dev")
    shown = workshop.run("generations", "show", held["fingerprint"][:6]).out
    assert "answers   6 (6 stop)" in shown
    assert '"model": "m"' in shown
    unknown = workshop.run("generations", "show", "techer")
    assert (unknown.code, "did you mean 'teacher'?" in unknown.err) == (2, True)


def test_ls_counts_what_a_writer_holds_in_its_journal(workshop: Workshop, vendor: Vendor) -> None:
    bench(workshop, 2)
    workshop.build()
    with GenerationStore(Path("store/generations"), ModelIdentity("other", {"model": "other"})) as store:
        request = Request((("user", "x"),), 0.0, 10)
        store.put(request.key(store.model), request, Answer("y", "length", 3, 10))
        other, teacher = workshop.run("generations", "ls", "--json").json
    assert (other["answers"], other["journals"], other["output_tokens"]) == (1, 1, 10)
    assert (teacher["answers"], teacher["journals"]) == (4, 0)


@pytest.mark.parametrize("name", ["answers.parquet", "answers.jsonl"])
def test_what_is_exported_and_imported_elsewhere_asks_nothing_there(
    workshop: Workshop, vendor: Vendor, name: str
) -> None:
    bench(workshop, 5)
    digest = workshop.build()["digest"]
    assert workshop.run("generations", "export", name, "--json").json == {
        "file": name,
        "answers": {next(Path("store/generations").iterdir()).name: 10},
    }
    new = workshop.run("generations", "import", name, "--store", "other", "--json").json
    assert new == {"read": 10, "new": 10, "known": 0}
    again = workshop.run("generations", "import", name, "--store", "other").out
    assert again == f"{name}: 10 answers: 0 new, 10 known already\n"
    vendor.asked.clear()
    told = workshop.build("--store", "other")
    assert (told["generation"]["from_store"], vendor.asked, told["digest"]) == (10, [], digest)


@pytest.mark.parametrize("place", ["store", "store/generations", "a model's folder"])
def test_another_stores_folder_is_imported_as_it_is(workshop: Workshop, vendor: Vendor, place: str) -> None:
    bench(workshop, 3)
    workshop.build()
    if place == "a model's folder":
        place = str(next(Path("store/generations").iterdir()))
    assert workshop.run("generations", "import", place, "--store", "other", "--json").json == {
        "read": 6,
        "new": 6,
        "known": 0,
    }
    assert workshop.build("--store", "other")["generation"]["from_store"] == 6


def test_an_export_has_the_columns_that_people_look_for_and_only_the_answers_that_count(tmp_path: Path) -> None:
    first, second = (ModelIdentity(n, {"model": n}) for n in ("one", "two"))
    request = Request((("system", "س"), ("user", "x")), 0.0, 10, 4, schema="{}")
    for model, replies in ((first, ["counts", "too late"]), (second, ["another"])):
        for text in replies:
            store = GenerationStore(tmp_path, model)
            store.put(request.key(model), request, Answer(text, "stop", 1, 2))
            store.close()
    assert exchange.export(tmp_path, tmp_path / "all.jsonl") == {first.folder: 1, second.folder: 1}
    one, two = (json.loads(line) for line in (tmp_path / "all.jsonl").read_text(encoding="utf-8").splitlines())
    assert one.pop("time").endswith("+00:00")
    assert one == {
        "model": "one", "identity": {"model": "one"}, "key": request.key(first),
        "messages": [{"role": "system", "content": "س"}, {"role": "user", "content": "x"}],
        "temperature": 0.0, "max_tokens": 10, "seed": 4, "answer": "counts", "finish_reason": "stop",
        "prompt_tokens": 1, "output_tokens": 2, "error": None, "schema": "{}",
    }  # fmt: skip
    assert two["answer"] == "another"
    exchange.export(tmp_path, tmp_path / "one.parquet", ["two"])
    assert pl.read_parquet(tmp_path / "one.parquet")["answer"].to_list() == ["another"]
    with pytest.raises(InputError, match=r"a \.parquet or a \.jsonl file"):
        exchange.export(tmp_path, tmp_path / "all.csv")


def test_an_import_replaces_no_answer_but_a_refusal(tmp_path: Path) -> None:
    model, kept, refused = (
        ModelIdentity("m", {"model": "m"}),
        Request((("user", "a"),), 0, 9),
        Request((("user", "b"),), 0, 9),
    )
    with GenerationStore(tmp_path / "there", model) as store:
        store.put(kept.key(model), kept, Answer("theirs", "stop"))
        store.put(refused.key(model), refused, Answer("theirs", "stop"))
    with GenerationStore(tmp_path / "here", model) as store:
        store.put(kept.key(model), kept, Answer("ours", "stop"))
        store.put(refused.key(model), refused, Answer("", "error", error="HTTP 400: too long"))
    assert exchange.take_in(tmp_path / "here", tmp_path / "there") == {"read": 2, "new": 1, "known": 1}
    with GenerationStore(tmp_path / "here", model) as store:
        texts = [answer.text for r in (kept, refused) if (answer := store.get(r.key(model)))]
    assert texts == ["ours", "theirs"]


GOOD = {
    "model": "m", "identity": {"model": "m"}, "messages": [{"role": "user", "content": "x"}], "temperature": 0,
    "max_tokens": 9, "seed": None, "answer": "y", "finish_reason": "stop", "prompt_tokens": 1, "output_tokens": 1,
    "error": None, "schema": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"key": "0" * 64}, "key 000000000000… is not that of its prompt, sampling and model"),
        ({"messages": [{"role": "user"}]}, "field 'messages': expected objects with the texts 'role' and 'content'"),
        ({"messages": "x"}, "field 'messages': expected a list, found str"),
        ({"temperature": "0"}, "field 'temperature': expected a whole number or a number, found str"),
        ({"max_tokens": True}, "field 'max_tokens': expected a whole number, found bool"),
        ({"answer": None}, "field 'answer': expected text, found NoneType"),
        ({"identity": {}}, "field 'identity': expected an object that says what decides the model's answers"),
        ({"identity": "{"}, "field 'identity': expected an object that says what decides the model's answers"),
        ({"finish_reason": "miss"}, "finish_reason 'miss' with error None is no answer of a model"),
        ({"finish_reason": "error"}, "finish_reason 'error' with error None is no answer of a model"),
    ],
)  # fmt: skip
def test_a_wrong_row_is_told_and_nothing_of_its_file_is_taken_in(
    workshop: Workshop, changes: dict[str, Any], fault: str
) -> None:
    rows = [GOOD, {**GOOD, **changes}, {**GOOD, **changes}]
    workshop.write("in.jsonl", "".join(json.dumps(r) + "\n" for r in rows) + "half a li")
    said = workshop.run("generations", "import", "in.jsonl")
    assert said.code == 2
    first, second, torn = said.err.splitlines()
    assert first.startswith(f"in.jsonl:2:1: {fault}")
    assert second.startswith(f"in.jsonl:3:1: {fault}")
    assert torn == "in.jsonl:4:1: expected an object"
    assert not list(Path("store").glob("generations/*"))


@pytest.mark.parametrize(
    ("place", "fault"),
    [("none.jsonl", "there is no such file"), ("x.csv", "a .parquet or a .jsonl file"), (".", "holds no answers"), ("torn.parquet", "cannot be read")],
)  # fmt: skip
def test_what_cannot_be_imported_is_told(workshop: Workshop, place: str, fault: str) -> None:
    workshop.write("torn.parquet", b"PAR1")
    said = workshop.run("generations", "import", place)
    assert (said.code, fault in said.err) == (2, True)


def test_a_store_whose_segments_were_tampered_with_is_not_taken_in(tmp_path: Path) -> None:
    model, request = ModelIdentity("m", {"model": "m"}), Request((("user", "a"),), 0, 9)
    with GenerationStore(tmp_path / "there", model) as store:
        store.put(request.key(model), request, Answer("theirs", "stop"))
    (segment,) = (tmp_path / "there").glob("*/segment-*")
    table = pq.read_table(segment)
    pq.write_table(table.set_column(3, "max_tokens", [[10]]), segment)
    with pytest.raises(InputError, match="is not that of its prompt"):
        exchange.take_in(tmp_path / "here", tmp_path / "there")


def test_gc_removes_what_nothing_is_made_of_and_only_when_told_to(workshop: Workshop, vendor: Vendor) -> None:
    bench(workshop, 3)
    workshop.build()
    orphan = ModelIdentity("orphan", {"model": "orphan"})
    request = Request((("user", "x"),), 0.0, 10)
    for n in range(3):
        with GenerationStore(Path("store/generations"), orphan) as store:
            store.put(f"{n}" * 64, request, Answer("y", "stop"))
    dry = workshop.run("generations", "gc")
    assert dry.out.splitlines()[1].split()[0] == "orphan"
    assert "unused" in dry.out
    assert dry.out.endswith("could go; do it with --yes\n")
    assert len(workshop.run("generations", "ls", "--json").json) == 2
    done = workshop.run("generations", "gc", "--yes", "--json").json
    assert {d["model"]: d["fate"] for d in done} == {"orphan": "gone", "teacher": "used"}
    assert [h["model"] for h in workshop.run("generations", "ls", "--json").json] == ["teacher"]
    assert [p.name.partition("-")[0] for p in Path("store/generations").iterdir()] == ["teacher"]
    assert workshop.run("generations", "gc", "--yes", "--dry-run").code == 2


def test_gc_leaves_what_a_writer_has_open_and_what_only_a_stage_is_made_of(workshop: Workshop, vendor: Vendor) -> None:
    bench(workshop, 3)
    workshop.build()
    shutil.rmtree("store/corpora")
    with GenerationStore(Path("store/generations"), ModelIdentity("orphan", {"model": "orphan"})):
        fates = {d["model"]: d["fate"] for d in workshop.run("generations", "gc", "--yes", "--json").json}
        assert fates == {"orphan": "in use", "teacher": "used"}
    shutil.rmtree("store/stages")
    fates = {d["model"]: d["fate"] for d in workshop.run("generations", "gc", "--yes", "--json").json}
    assert fates == {"orphan": "gone", "teacher": "gone"}
    workshop.build()
    assert len(vendor.asked) == 12


def test_gc_merges_the_small_segments_of_what_stays(workshop: Workshop, vendor: Vendor) -> None:
    for n in (2, 3, 4):
        bench(workshop, n)
        workshop.build()
    (folder,) = Path("store/generations").iterdir()
    assert len(list(folder.glob("segment-*"))) == 3
    (told,) = workshop.run("generations", "gc", "--yes", "--json").json
    assert (told["merged"], told["into"], len(list(folder.glob("segment-*")))) == (3, 1, 1)
    shutil.rmtree("store/stages")
    shutil.rmtree("store/corpora")
    assert workshop.build()["generation"]["from_store"] == 8


def test_an_identity_that_was_changed_by_hand_is_told(workshop: Workshop, vendor: Vendor) -> None:
    bench(workshop, 1)
    workshop.build()
    (record,) = Path("store/generations").glob("*/model.json")
    record.write_text(record.read_text().replace('"model": "m"', '"model": "n"'))
    said = workshop.run("generations", "ls")
    assert (said.code, "was changed" in said.err) == (2, True)

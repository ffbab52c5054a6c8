"""`lock` pins what a recipe reads, and `build --locked` takes that and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from ruamel.yaml import YAML

from hala_factory import yamlfile
from hala_factory.options import catalog_at, plan_of
from tests.stand_in_hub import Hub, running
from tests.workshop import Workshop, alpaca, answers


def made(workshop: Workshop, **fields: Any) -> Workshop:
    """Two sources, a benchmark and a model, all files."""
    workshop.rows("s.jsonl", alpaca(4))
    workshop.rows("t.jsonl", alpaca(3, "thing"))
    workshop.rows("answers.jsonl", [*answers(4), *answers(3, "thing")])
    workshop.rows("exam.jsonl", [{"q": "Which river is the longest of all in Africa?"}])
    exam = {"path": "exam.jsonl", "columns": {"question": "q"}, "language": "en", "licence": "MIT"}
    workshop.catalog(
        {"s": {"path": "s.jsonl"}, "t": {"path": "t.jsonl"}},
        {"people": {"engine": "recorded", "path": "answers.jsonl", "licence": "CC0-1.0"}},
        benchmarks={"exam": exam},
    )
    steps = [
        {"step": "decontaminate", "texts": {"en": "messages"}},
        {"step": "translate", "to": "ar", "model": "people"},
    ]
    workshop.recipe(["s", "t"], steps, **fields)
    return workshop


def test_the_lock_beside_a_recipe_has_the_form_of_a_versions_own(workshop: Workshop) -> None:
    made(workshop).build()
    told = workshop.run("lock", "recipe.yaml", "--json").json
    assert told["file"] == "recipe.lock.yaml"
    beside = yamlfile.read(workshop.folder / "recipe.lock.yaml").data
    assert beside == yamlfile.read(workshop.corpus() / "lock.yaml").data
    assert set(beside) == {"sources", "models", "benchmarks"}


def test_locking_builds_and_asks_nothing(workshop: Workshop) -> None:
    made(workshop)
    assert "2 sources, 1 models, 1 benchmarks, 3 files" in workshop.run("lock", "recipe.yaml").out
    for folder in ("stages", "generations", "benchmarks", "corpora"):
        assert not (workshop.folder / "store" / folder).exists()


def test_a_locked_build_of_what_is_locked_is_the_same_build(workshop: Workshop) -> None:
    made(workshop)
    workshop.run("lock", "recipe.yaml")
    locked = workshop.build("--locked")
    assert locked["digest"] == workshop.build("--store", "other")["digest"]
    assert workshop.run("verify", "small@dev").code == 0


def more_rows(workshop: Workshop) -> None:
    workshop.rows("s.jsonl", alpaca(5))


def other_answers(workshop: Workshop) -> None:
    workshop.rows("answers.jsonl", [{**a, "answer": a["answer"] + " نعم"} for a in answers(4)])


def other_exam(workshop: Workshop) -> None:
    workshop.rows("exam.jsonl", [{"q": "Which river is the shortest of all in Africa?"}])


def other_licence(workshop: Workshop) -> None:
    catalog = workshop.folder / "catalog.yaml"
    catalog.write_text(catalog.read_text().replace("licence: CC0-1.0", "licence: MIT", 1))


def fewer_sources(workshop: Workshop) -> None:
    recipe = yamlfile.read(workshop.folder / "recipe.yaml").data
    workshop.recipe(["s"], recipe["steps"])


def another_source(workshop: Workshop) -> None:
    lock = workshop.folder / "recipe.lock.yaml"
    data = yamlfile.read(lock).data
    del data["sources"]["t"]
    with lock.open("w") as file:
        YAML().dump(data, file)


CHANGES = [
    (more_rows, ["sources.s.files.s.jsonl.bytes: locked ", "sources.s.files.s.jsonl.digest: locked '"]),
    (other_answers, ["models.people.identity."]),
    (other_exam, ["benchmarks.exam.table: locked 'exam-", "benchmarks.exam.files.exam.jsonl.digest: locked '"]),
    (other_licence, ["sources.s.licence: locked 'CC0-1.0', found 'MIT'"]),
    (fewer_sources, ["sources.t: is locked, and the recipe does not read it"]),
    (another_source, ["sources.t: is not in the lock"]),
]


@pytest.mark.parametrize(("change", "lines"), CHANGES, ids=[c[0].__name__ for c in CHANGES])
def test_a_locked_build_refuses_everything_else_line_by_line(
    workshop: Workshop, change: Any, lines: list[str]
) -> None:
    made(workshop)
    workshop.run("lock", "recipe.yaml")
    change(workshop)
    said = workshop.run("build", "recipe.yaml", "--locked")
    assert said.code == 2
    for line in lines:
        assert f"recipe.lock.yaml: {line}" in said.err
    assert "write the lock again: hala-factory lock recipe.yaml" in said.err
    assert not (workshop.folder / "store" / "stages").exists()
    assert workshop.run("build", "recipe.yaml", "--quiet").code == 0  # without --locked it is built


def test_every_difference_is_told_at_once(workshop: Workshop) -> None:
    made(workshop)
    workshop.run("lock", "recipe.yaml")
    for change in (more_rows, other_answers, other_exam):
        change(workshop)
    said = workshop.run("build", "recipe.yaml", "--locked").err
    assert all(f"recipe.lock.yaml: {kind}." in said for kind in ("sources", "models", "benchmarks"))


TORN = [
    (None, "there is no lock; write it with: hala-factory lock recipe.yaml"),
    ("sources: {}\nmodels: {}\n", "expected a mapping 'benchmarks'"),
    ("sources: {", "recipe.lock.yaml:1:11: "),
]


@pytest.mark.parametrize(("text", "message"), TORN)
def test_a_lock_that_is_missing_or_torn_is_told(workshop: Workshop, text: str | None, message: str) -> None:
    made(workshop)
    if text is not None:
        workshop.write("recipe.lock.yaml", text)
    said = workshop.run("build", "recipe.yaml", "--locked")
    assert said.code == 2
    assert message in said.err


def test_a_profile_has_a_lock_of_its_own(workshop: Workshop) -> None:
    made(workshop, profiles={"short": {"limit": 2, "version": "1.0.0-short"}})
    assert workshop.run("lock", "recipe.yaml", "--profile", "short").code == 0
    assert (workshop.folder / "recipe.short.lock.yaml").exists()
    assert workshop.build("--profile", "short", "--locked")["rows"]["in"] == 4
    said = workshop.run("build", "recipe.yaml", "--locked")
    assert "recipe.lock.yaml: there is no lock" in said.err


def test_locks_beside_the_recipes_of_a_project_are_no_recipes(workshop: Workshop) -> None:
    made(workshop)
    (workshop.folder / "recipes").mkdir()
    (workshop.folder / "recipe.yaml").rename(workshop.folder / "recipes" / "small.yaml")
    assert workshop.run("lock", "small").code == 0
    assert (workshop.folder / "recipes" / "small.lock.yaml").exists()
    assert workshop.run("check").code == 0
    assert workshop.run("build", "small", "--locked", "--quiet").code == 0


# ---- The Hub ----


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with running() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
        monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
        yield hub


def files(n: int) -> dict[str, bytes]:
    return {"rows.jsonl": "".join(json.dumps(r) + "\n" for r in alpaca(n)).encode()}


def pinned_hub(workshop: Workshop, hub: Hub) -> None:
    hub.datasets["me/rows"] = files(4)
    workshop.catalog({"s": {"hub": "me/rows", "files": ["*.jsonl"]}})
    workshop.recipe(["s"], ["chat_shape"])


def test_a_locked_build_takes_the_commit_that_was_locked_and_not_the_newest(workshop: Workshop, hub: Hub) -> None:
    pinned_hub(workshop, hub)
    locked = workshop.run("lock", "recipe.yaml", "--json").json["sources"]["s"]
    assert len(locked["revision"]) == 40
    hub.push("me/rows", files(9))
    assert workshop.build("--store", "newest")["rows"]["in"] == 9
    assert workshop.build("--locked")["rows"]["in"] == 4
    assert workshop.manifest()["lock"]["sources"]["s"] == locked


def test_a_catalog_that_names_another_commit_than_the_lock_is_refused(workshop: Workshop, hub: Hub) -> None:
    pinned_hub(workshop, hub)
    workshop.run("lock", "recipe.yaml")
    newest = hub.push("me/rows", files(9))
    catalog = workshop.folder / "catalog.yaml"
    catalog.write_text(catalog.read_text().replace("hub: me/rows\n", f"hub: me/rows\n    revision: '{newest}'\n"))
    said = workshop.run("build", "recipe.yaml", "--locked")
    assert said.code == 2
    assert f"found '{newest}'" in said.err
    assert "sources.s.revision: locked '" in said.err


def test_the_commit_of_a_model_is_locked_too(workshop: Workshop, hub: Hub) -> None:
    hub.models.add("me/translator")
    workshop.rows("s.jsonl", alpaca(2))
    model = {"engine": "vllm", "hub": "me/translator", "licence": "Apache-2.0"}
    workshop.catalog({"s": {"path": "s.jsonl"}}, {"translator": model})
    workshop.recipe(["s"], [{"step": "translate", "to": "ar", "model": "translator"}])
    locked = workshop.run("lock", "recipe.yaml", "--json").json["models"]["translator"]["revision"]
    newest = hub.push("me/rows", {})
    for fixed, commit in ((True, locked), (False, newest)):
        plan = plan_of("recipe.yaml", None, None, catalog_at(None), None, locked=fixed)
        assert plan.stage("translate").engines["model"].identity["revision"] == commit

"""The graph of recipes: what an artifact is made of is built before it, and only what changed is built again."""

import pytest

from tests.workshop import Workshop, alpaca


@pytest.fixture
def shop(workshop: Workshop) -> Workshop:
    """Corpora a ← b ← d and c ← d: of d, everything is made of others."""
    workshop.rows("rows.jsonl", alpaca(40))
    workshop.rows("other.jsonl", alpaca(20, "thing"))
    made = {name: {"ref": name, "rows": "instruction", "language": "en"} for name in "abcde"}
    sources = {"rows": {"path": "rows.jsonl"}, "other": {"path": "other.jsonl"}}
    plain = {"columns": "alpaca", "licence": "CC0-1.0", "language": "en"}
    workshop.yaml("catalog.yaml", {"sources": {**{n: {**plain, **s} for n, s in sources.items()}, **made}})
    corpus(workshop, "a", ["rows"], [{"step": "length", "min_chars": 10}])
    corpus(workshop, "b", ["a"], ["exact_dedup"])
    corpus(workshop, "c", ["other"], ["exact_dedup"])
    corpus(workshop, "d", ["b", "c"], ["exact_dedup"], profiles={"few": {"version": "0.0.1", "limit": 5}})
    return workshop


def corpus(shop: Workshop, name: str, sources: list, steps: list, **fields: object) -> None:
    steps = [{"step": s} if isinstance(s, str) else s for s in steps]
    head = {"name": name, "kind": "corpus", "version": "dev", "language": "en"}
    shop.yaml(f"{name}.yaml", {**head, "sources": [{"source": s} for s in sources], "steps": steps, **fields})


def needed(shop: Workshop, *words: str) -> dict[str, str]:
    return {
        n["artifact"]: n["status"] for n in shop.run("build", "d.yaml", "--json", "--quiet", *words).json["needed"]
    }


def test_what_a_corpus_is_made_of_is_built_before_it_and_then_stands(shop):
    told = shop.run("plan", "d.yaml", "--json").json
    assert [(n["artifact"], n["status"]) for n in told["needed"]] == [(f"{n}@dev", "to run") for n in "abc"]
    assert "its stages are known when what it is made of stands" in shop.run("plan", "d.yaml").out
    first = shop.run("build", "d.yaml", "--json", "--quiet").json
    assert [n["artifact"] for n in first["needed"]] == ["a@dev", "b@dev", "c@dev"]
    assert first["rows"]["kept"] == 60
    again = shop.run("build", "d.yaml", "--json", "--quiet").json
    assert {n["status"] for n in again["needed"]} == {"stored"}
    assert again["digest"] == first["digest"]
    assert "a@dev" in shop.run("plan", "d.yaml").out
    corpus(shop, "a", ["rows"], [{"step": "length", "min_chars": 11}])
    told = shop.run("plan", "d.yaml", "--json").json
    assert [(n["status"], n["reason"]) for n in told["needed"]] == [
        ("to run", "what it is made from has changed"),
        ("to run", "made of a@dev"),
        ("stored", "unchanged"),
    ]


def test_a_changed_recipe_rebuilds_what_follows_and_nothing_else(shop):
    first = shop.run("build", "d.yaml", "--json", "--quiet").json
    corpus(shop, "a", ["rows"], [{"step": "length", "min_chars": 10}, {"step": "sample", "max_rows": 30}])
    assert needed(shop) == {"a@dev": "run", "b@dev": "run", "c@dev": "stored"}
    second = shop.run("build", "d.yaml", "--json", "--quiet").json
    assert (second["rows"]["kept"], second["digest"] != first["digest"]) == (50, True)
    corpus(shop, "c", ["other"], [{"step": "length", "min_chars": 10}, "exact_dedup"])  # drops nothing: the same rows
    assert needed(shop) == {"a@dev": "stored", "b@dev": "stored", "c@dev": "run"}


def test_a_profile_is_that_of_every_recipe_that_has_it(shop):
    profiles = {"few": {"version": "0.0.1", "limit": 5}}
    corpus(shop, "a", ["rows"], [{"step": "length", "min_chars": 10}], profiles=profiles)
    assert set(needed(shop, "--profile", "few")) == {"a@0.0.1", "b@dev", "c@dev"}
    assert shop.run("build", "d.yaml", "--profile", "few", "--json", "--quiet").json["artifact"] == "d@0.0.1"
    assert set(needed(shop)) == {"a@dev", "b@dev", "c@dev"}


def test_a_version_that_stands_is_not_built_over(shop):
    corpus(shop, "a", ["rows"], ["exact_dedup"], version="1.0.0")
    shop.run("build", "d.yaml", "--quiet")
    corpus(shop, "a", ["rows"], [{"step": "sample", "max_rows": 3}], version="1.0.0")
    said = shop.run("build", "d.yaml", "--quiet")
    assert said.code == 2
    assert "a@1.0.0" in said.err
    assert "bump the version" in said.err


def test_a_ref_with_a_version_stays_with_it(shop):
    corpus(shop, "a", ["rows"], ["exact_dedup"], version="1.0.0")
    assert shop.run("build", "a.yaml", "--quiet").code == 0
    corpus(shop, "a", ["rows"], [{"step": "sample", "max_rows": 3}], version="1.1.0")
    catalog = (shop.folder / "catalog.yaml").read_text()
    shop.write("catalog.yaml", catalog.replace("ref: a\n", "ref: a@1.0.0\n"))
    assert set(needed(shop)) == {"b@dev", "c@dev"}
    shop.write("catalog.yaml", catalog.replace("ref: a\n", "ref: a@2.0.0\n"))
    said = shop.run("build", "d.yaml", "--quiet")
    assert (said.code, "ref 'a@2.0.0' is not in" in said.err, "its recipe makes 1.1.0" in said.err) == (2, True, True)


@pytest.mark.parametrize(
    ("recipe", "sources", "told"),
    [
        ("a", ["d"], "d needs b needs a needs d: a recipe needs itself"),
        ("a", ["a"], "a needs a: a recipe needs itself"),
        ("d", ["b", "e"], "ref 'e': there is no recipe 'e' beside it or in the project"),
    ],
)
def test_a_graph_that_cannot_be_is_refused(shop, recipe, sources, told):
    corpus(shop, recipe, sources, ["exact_dedup"])
    for command in ("plan", "build", "check"):
        said = shop.run(command, "d.yaml")
        assert (said.code, told in said.err) == (2, True), said.err


def test_a_wrong_recipe_is_told_before_anything_is_built(shop):
    corpus(shop, "c", ["other"], ["exact_dedupe"])
    said = shop.run("build", "d.yaml")
    assert said.code == 2
    assert "c.yaml:" in said.err
    assert "did you mean 'exact_dedup'" in said.err
    assert not (shop.folder / "store" / "corpora").exists()


def test_a_budget_is_for_one_corpus(shop):
    said = shop.run("build", "d.yaml", "--max-tokens", "5")
    assert (said.code, "build what it is made of first (a@dev, b@dev, c@dev)" in said.err) == (2, True)

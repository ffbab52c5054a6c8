"""Licences: what every source and model of the catalog asks, what several of them make of a corpus, and who may sign."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from hala_factory import catalog, recipe
from hala_factory.errors import InputError
from hala_factory.inheriting import foreseen, model_part
from hala_factory.licence_table import TABLE, known
from hala_factory.licences import (
    CANDIDATES,
    Derived,
    Override,
    Part,
    carries,
    derive,
    forbidden_commerce,
    forced,
    refusal,
    signed,
)
from tests.workshop import Workshop, alpaca, answers

HERE = Path(__file__).resolve().parents[1]
CATALOG = catalog.load(HERE / "catalog.yaml")
OPEN = "unknown"
"""Stands for: no licence can be derived, because nobody knows what binds these rows."""

# ---- The catalog: every source, model and benchmark ----

SOURCES = [  # name, licence of its rows, what a corpus of them alone is under
    ("open-orca", "MIT", "MIT"),
    ("open-orca-qa", "MIT", "MIT"),
    ("hermes-3", "Apache-2.0", "Apache-2.0"),
    ("scp-116k", "conflict", "CC-BY-NC-SA-4.0"),
    ("realign-alpaca", "unknown", OPEN),
    ("lamini", "CC-BY-NC-4.0", "CC-BY-NC-4.0"),
    ("tulu-3", "ODC-By-1.0", "ODC-By-1.0"),
    ("synthetic-instruct", "unknown", OPEN),
    ("opus-100", "unknown", OPEN),
    ("opus-100-test", "unknown", OPEN),
    ("bilingual-orca", "inherited", OPEN),  # its rows say their own, see test_refs
    ("bilingual-opus", "inherited", OPEN),
]
SUBSETS = [  # of tulu-3, by licence: parts, rows as far as they are known
    ("Apache-2.0", 1, 7_132),
    ("CC-BY-NC-4.0", 1, 9_500),
    ("ODC-By-1.0", 5, 265_922),
    ("unknown", 12, None),
]
MODELS = [  # name, its licence, what it writes counts as
    ("command-a-translate", "CC-BY-NC-4.0", "CC-BY-NC-4.0"),
    ("command-a-translate-fp8", "CC-BY-NC-4.0", "CC-BY-NC-4.0"),
    ("hala-translator-1.2b", "CC-BY-NC-4.0", "CC-BY-NC-4.0"),
    ("hala-1.2b-en-ar-translator", "CC-BY-NC-4.0", "CC-BY-NC-4.0"),
    ("tiny-teacher", "Apache-2.0", "Apache-2.0"),
    ("tiny-teacher-int8", "Apache-2.0", "Apache-2.0"),
    ("tiny-base", "Apache-2.0", "Apache-2.0"),
    ("tiny-translator", "Apache-2.0", "Apache-2.0"),
    ("judge", "unknown", OPEN),
    ("lfm2-350m", "lfm1.0", OPEN),
    ("lfm2-700m", "lfm1.0", OPEN),
    ("lfm2-1.2b", "lfm1.0", OPEN),
    ("fanar-1-9b-instruct", "unknown", OPEN),
    ("opus-mt-en-ar", "Apache-2.0", "Apache-2.0"),
    ("recorded-samples", "Apache-2.0", "Apache-2.0"),
    ("recorded-verdicts", "Apache-2.0", "Apache-2.0"),
]
BENCHMARKS = [
    ("alghafa", "unknown"),
    ("arabic-mmlu", "CC-BY-NC-SA-4.0"),
    ("exams", "unknown"),
    ("madinah-qa", "unknown"),
    ("aratrust", "unknown"),
    ("arabic-mmlu-ht", "unknown"),
    ("arcd", "MIT"),
    ("xquad-ar", "CC-BY-SA-4.0"),
    ("xquad-en", "CC-BY-SA-4.0"),
    ("mmlu", "MIT"),
    ("gsm8k", "MIT"),
    ("arc", "CC-BY-SA-4.0"),
    ("hellaswag", "unknown"),
    ("truthfulqa", "Apache-2.0"),
    ("ifeval", "Apache-2.0"),
]


def source_part(name: str, rows: int | None = 10) -> Part:
    entry = CATALOG.catalog.sources[name]
    return Part(name, "source", entry.licence, rows, says=entry.licence_says, also=entry.also_under)


def under(made: Derived) -> str | None:
    return OPEN if made.conflicts and made.licence == CANDIDATES[0] else made.licence


@pytest.mark.parametrize(("name", "licence", "alone"), SOURCES)
def test_every_source_asks_what_its_pages_say(name: str, licence: str, alone: str) -> None:
    assert CATALOG.catalog.sources[name].licence == licence
    assert under(derive([source_part(name)])) == alone


@pytest.mark.parametrize(("licence", "parts", "rows"), SUBSETS)
def test_every_part_of_the_mixture_has_a_licence_of_its_own(licence: str, parts: int, rows: int | None) -> None:
    held = [s for s in CATALOG.catalog.sources["tulu-3"].subsets.values() if s.licence == licence]
    assert len(held) == parts
    if rows is not None:
        assert sum(s.rows or 0 for s in held) == rows


@pytest.mark.parametrize(("name", "licence", "outputs"), MODELS)
def test_every_model_binds_what_it_writes(name: str, licence: str, outputs: str) -> None:
    assert CATALOG.catalog.models[name].licence == licence
    assert under(derive([model_part(name, CATALOG.catalog.models[name], 10)])) == outputs


@pytest.mark.parametrize(("name", "licence"), BENCHMARKS)
def test_every_benchmark_has_a_licence_that_the_table_knows_or_none(name: str, licence: str) -> None:
    assert CATALOG.catalog.benchmarks[name].licence == licence
    assert licence == "unknown" or known(licence) == licence


def test_the_tables_above_leave_nothing_of_the_catalog_out() -> None:
    held = CATALOG.catalog
    assert [n for n, *_ in SOURCES] == list(held.sources)
    assert [n for n, *_ in MODELS] == list(held.models)
    assert [n for n, _ in BENCHMARKS] == list(held.benchmarks)
    assert {s.licence for source in held.sources.values() for s in source.subsets.values()} == {s[0] for s in SUBSETS}


# ---- Several licences together ----

TOGETHER = [  # licences of the rows, what the corpus is under (None: nothing carries all)
    (["MIT"], "MIT"),
    (["MIT", "Apache-2.0"], "Apache-2.0"),
    (["CC0-1.0"], "CC0-1.0"),
    (["Apache-2.0", "ODC-By-1.0", "MIT"], "ODC-By-1.0"),
    (["ODC-By-1.0", "CC-BY-4.0"], "CC-BY-4.0"),
    (["CC-BY-4.0", "CC-BY-SA-4.0"], "CC-BY-SA-4.0"),
    (["CC-BY-SA-3.0"], "CC-BY-SA-3.0"),
    (["CC-BY-SA-3.0", "CC-BY-SA-4.0"], "CC-BY-SA-4.0"),
    (["CC-BY-NC-4.0", "MIT"], "CC-BY-NC-4.0"),
    (["CC-BY-NC-4.0", "CC-BY-NC-SA-4.0"], "CC-BY-NC-SA-4.0"),
    (["CC-BY-NC-SA-3.0", "CC-BY-NC-SA-4.0"], "CC-BY-NC-SA-4.0"),
    (["CC-BY-SA-4.0", "CC-BY-NC-SA-4.0"], None),
    (["CC-BY-SA-4.0", "CC-BY-NC-4.0"], None),
    (["CC-BY-ND-4.0"], None),
    (["CC-BY-NC-ND-4.0", "MIT"], None),
    (["gemma"], None),  # rows under the terms of a model, not what it wrote
    (["cc-by-nc-4.0", "odc-by"], "CC-BY-NC-4.0"),  # as the Hub spells them
]


@pytest.mark.parametrize(("licences", "expected"), TOGETHER)
def test_a_corpus_takes_the_freest_licence_that_carries_all_its_rows(
    licences: list[str], expected: str | None
) -> None:
    made = derive([Part(f"s{i}", "source", licence, 5) for i, licence in enumerate(licences)])
    assert made.licence == expected
    assert bool(made.conflicts) == (expected is None)
    assert (refusal(made) is None) == (expected is not None)


OUTPUTS = [  # a model's licence, what a corpus of CC0 rows that it wrote is under, terms that go along
    ("Apache-2.0", "Apache-2.0", []),
    ("CC-BY-NC-4.0", "CC-BY-NC-4.0", []),
    ("gemma", "CC0-1.0", ["gemma"]),
    ("llama3.1", "CC0-1.0", ["llama3.1"]),
    ("OpenAI-terms", "CC0-1.0", ["OpenAI-terms"]),
]


@pytest.mark.parametrize(("licence", "expected", "terms"), OUTPUTS)
def test_what_a_model_wrote_is_bound_by_its_licence_or_by_its_terms(
    licence: str, expected: str, terms: list[str]
) -> None:
    made = derive([Part("rows", "source", "CC0-1.0", 5), Part("m", "model", licence, 5)])
    assert (made.licence, made.conflicts) == (expected, ())
    assert [o for o in made.obligations if TABLE[licence].condition and TABLE[licence].condition in o] == [
        f"{t}, by 5 rows of m: {TABLE[t].condition}." for t in terms
    ]


def test_a_licence_that_nobody_knows_forbids_publishing_and_names_its_rows() -> None:
    for licence, why in [
        ("unknown", "no licence is known"),
        ("conflict", "does not say on what"),
        ("EUPL-1.2", "does not have it"),
    ]:
        made = derive([Part("good", "source", "MIT", 90), Part("bad", "source", licence, 7)])
        assert made.licence == "MIT"
        assert made.published_under is None
        said = str(refusal(made))
        assert f"7 rows of bad ({licence})" in said
        assert why in said
        assert "good" not in said


def test_conflicting_statements_count_as_the_strictest_of_them() -> None:
    made = derive([Part("torn", "source", "conflict", 3, says=("MIT", "CC-BY-NC-SA-4.0"))])
    assert made.licence == "CC-BY-NC-SA-4.0"
    assert "Of 3 rows of torn (conflict: MIT or CC-BY-NC-SA-4.0), the strictest counts." in made.obligations


def test_a_source_of_which_no_row_is_left_does_not_bind() -> None:
    made = derive([Part("kept", "source", "MIT", 3), Part("gone", "source", "CC-BY-NC-4.0", 0)])
    assert made.licence == "MIT"
    assert refusal(made) is None


def test_two_share_alikes_that_exclude_each_other_are_told_with_their_rows() -> None:
    made = derive([Part("a", "source", "CC-BY-SA-4.0", 12), Part("b", "source", "CC-BY-NC-SA-4.0", 30)])
    (conflict,) = made.conflicts
    assert conflict.text.startswith(
        "12 rows of a (CC-BY-SA-4.0) and 30 rows of b (CC-BY-NC-SA-4.0): no licence carries"
    )
    assert [p.name for p in conflict.parts] == ["a", "b"]


parts = st.lists(
    st.builds(
        Part,
        name=st.sampled_from(["a", "b", "c"]),
        kind=st.sampled_from(["source", "model"]),
        licence=st.sampled_from([*TABLE, "unknown", "conflict", "EUPL-1.2"]),
        rows=st.one_of(st.none(), st.integers(0, 3)),
    ),
    max_size=5,
)


@settings(deadline=None)
@given(parts, st.randoms())
def test_the_order_of_parts_does_not_matter(made: list[Part], random: object) -> None:
    other = list(made)
    random.shuffle(other)  # type: ignore[attr-defined]
    one, two = derive(made), derive(other)
    assert (one.licence, one.published_under, len(one.conflicts)) == (
        two.licence,
        two.published_under,
        len(two.conflicts),
    )


@settings(deadline=None)
@given(parts, parts)
def test_more_parts_never_make_a_licence_freer(some: list[Part], more: list[Part]) -> None:
    fewer, all_ = derive(some).licence, derive([*some, *more]).licence
    if all_ is not None:
        assert fewer is not None
        assert CANDIDATES.index(fewer) <= CANDIDATES.index(all_)
    assert not derive(some).conflicts or derive([*some, *more]).conflicts


@settings(deadline=None)
@given(parts)
def test_a_corpus_has_a_licence_or_is_told_why_not_and_a_refusal_names_it(made: list[Part]) -> None:
    derived = derive(made)
    assert (derived.licence is None) <= bool(derived.conflicts)
    assert (refusal(derived) is None) == (not derived.conflicts)
    assert Derived.read(derived.told()).told() == derived.told()


@settings(deadline=None)
@given(parts, st.sampled_from(CANDIDATES))
def test_publishing_under_a_licence_is_refused_unless_it_carries_every_part(made: list[Part], wanted: str) -> None:
    there = [p for p in made if p.rows != 0]
    fine = all(p.bound_by is not None and all(carries(wanted, b) for b in p.bound_by) for p in there)
    assert (refusal(derive(made), wanted) is None) == fine


def test_carrying_goes_through() -> None:
    for a, b, c in itertools.product(CANDIDATES, repeat=3):
        assert not (carries(a, b) and carries(b, c)) or carries(a, c)


def test_every_entry_of_the_table_says_where_it_was_read() -> None:
    for name, each in TABLE.items():
        assert each.page.startswith("https://"), name
        assert set(each.becomes) <= set(CANDIDATES), name
        assert each.of_rows or each.condition, name


# ---- Hala ----


def hala() -> Derived:
    """The full recipe, all seven English sets and the translator, with the teacher that the translator learnt from."""
    ready = recipe.load(HERE / "recipes" / "arabic-instruct-v1.yaml", CATALOG)
    teacher = model_part("command-a-translate", CATALOG.catalog.models["command-a-translate"])
    return derive([*foreseen(ready, {}).parts, teacher])


def test_the_full_hala_recipe_derives_what_is_known_of_it() -> None:
    made = hala()
    why = {word: {(p.name, p.licence, p.rows) for p in parts} for word, parts in forced(made.parts).items()}
    assert why["non_commercial"] == {  # the teacher, the translator that derives from it, LaMini, No Robots, SCP
        ("command-a-translate", "CC-BY-NC-4.0", None),
        ("hala-translator-1.2b", "CC-BY-NC-4.0", None),
        ("lamini", "CC-BY-NC-4.0", 2_580_000),
        ("tulu-3", "CC-BY-NC-4.0", 9_500),
        ("scp-116k", "conflict", 116_756),
    }
    assert why["share_alike"] == {("scp-116k", "conflict", 116_756)}
    assert {name for name, *_ in why["unknown"]} == {"realign-alpaca", "synthetic-instruct", "tulu-3"}
    assert {name for name, *_ in why["terms"]} == {
        "open-orca",  # OpenAI's models wrote these three
        "realign-alpaca",
        "lamini",
        "hala-translator-1.2b",  # lfm1.0
        "command-a-translate",  # Cohere's acceptable use
    }
    assert made.licence == "CC-BY-NC-SA-4.0"
    assert made.published_under is None


def test_releasing_hala_under_plain_cc_by_nc_is_refused_by_the_rows_of_scp() -> None:
    said = str(refusal(hala(), "CC-BY-NC-4.0"))
    assert "116,756 rows of scp-116k (conflict: MIT or CC-BY-NC-SA-4.0): share-alike" in said
    assert "52,000 rows of realign-alpaca (unknown)" in said
    assert "lamini" not in said


PERMISSIVE = ["open-orca", "hermes-3"]


def test_the_permissive_profile_is_permissive() -> None:
    translator = model_part("opus-mt-en-ar", CATALOG.catalog.models["opus-mt-en-ar"], 10)
    odc = Part("tulu-3", "source", "ODC-By-1.0", 10)
    made = derive([*(source_part(name) for name in PERMISSIVE), odc, translator])
    assert (made.licence, made.conflicts) == ("ODC-By-1.0", ())
    assert any("OpenAI-terms, by 10 rows of open-orca" in o for o in made.obligations)


# ---- In a build ----


def head(card: Path) -> dict[str, object]:
    return dict(YAML(typ="safe").load(card.read_text().split("---\n")[1]))


def mixed(workshop: Workshop, *licences: str, **fields: object) -> None:
    for i, _ in enumerate(licences):
        workshop.rows(f"s{i}.jsonl", alpaca(4, f"w{i}"))
    workshop.rows("answers.jsonl", [a for i, _ in enumerate(licences) for a in answers(4, f"w{i}")])
    workshop.catalog(
        {f"s{i}": {"path": f"s{i}.jsonl", "licence": licence} for i, licence in enumerate(licences)},
        {"people": {"engine": "recorded", "path": "answers.jsonl", "licence": "CC0-1.0", "by": "two people"}},
    )
    steps = [{"step": "translate", "to": "ar", "model": "people"}]
    workshop.recipe([f"s{i}" for i, _ in enumerate(licences)], steps, **fields)


def test_the_licence_lands_in_manifest_card_and_attribution(workshop: Workshop) -> None:
    mixed(workshop, "MIT", "CC-BY-NC-4.0")
    workshop.build()
    told = workshop.manifest()["licence"]
    assert (told["licence"], told["published_under"]) == ("CC-BY-NC-4.0", "CC-BY-NC-4.0")
    assert told["forced_by"]["non_commercial"] == [
        {"name": "s1", "kind": "source", "licence": "CC-BY-NC-4.0", "rows": 4}
    ]
    assert head(workshop.corpus() / "README.md")["license"] == "cc-by-nc-4.0"
    page = (workshop.corpus() / "ATTRIBUTION.md").read_text()
    for line in ("- **s0**, 4 rows: MIT", "- **s1**, 4 rows: CC-BY-NC-4.0", "- **people**, 8 rows: CC0-1.0"):
        assert line in page
    assert "https://creativecommons.org/licenses/by-nc/4.0/" in page
    assert "licence CC-BY-NC-4.0 (non-commercial by 4 rows of s1)" in workshop.run("show", "small@dev").out


def test_the_plan_warns_of_a_conflict_before_anything_is_built(workshop: Workshop) -> None:
    mixed(workshop, "CC-BY-SA-4.0", "CC-BY-NC-SA-4.0")
    said = workshop.run("plan", "recipe.yaml").out
    assert "licence none fits" in said
    assert "warning may not be published: rows of s0 (CC-BY-SA-4.0) and rows of s1 (CC-BY-NC-SA-4.0)" in said
    assert not (workshop.folder / "store" / "stages").exists()
    assert workshop.run("plan", "recipe.yaml", "--json").json["licence"]["licence"] is None


def test_a_corpus_in_conflict_is_built_and_says_so_everywhere(workshop: Workshop) -> None:
    mixed(workshop, "MIT", "unknown")
    workshop.build()
    assert workshop.manifest()["licence"]["published_under"] is None
    card = workshop.corpus() / "README.md"
    assert {k: v for k, v in head(card).items() if k.startswith("license")} == {
        "license": "other",
        "license_name": "unresolved",
        "license_link": "ATTRIBUTION.md",
    }
    for page in (card, workshop.corpus() / "ATTRIBUTION.md"):
        assert "4 rows of s1 (unknown): no licence is known" in page.read_text()


SIGNED = {"by": "Maha Example", "reason": "The authors of s1 wrote to us on 2026-11-03.", "licence": "CC-BY-4.0"}


def test_a_signature_lands_in_manifest_card_and_attribution(workshop: Workshop) -> None:
    mixed(workshop, "MIT", "unknown", licence_override=SIGNED)
    workshop.build()
    told = workshop.manifest()["licence"]
    assert (told["override"], told["published_under"]) == (SIGNED, "CC-BY-4.0")
    assert refusal(Derived.read(told)) is None
    assert "4 rows of s1" in str(refusal(Derived.read(told), "MIT"))  # that is not what was signed
    assert head(workshop.corpus() / "README.md")["license"] == "cc-by-4.0"
    for page in ("README.md", "ATTRIBUTION.md"):
        assert f"by Maha Example: {SIGNED['reason']}" in (workshop.corpus() / page).read_text()


def test_a_signature_is_part_of_the_version_and_of_no_stage(workshop: Workshop) -> None:
    mixed(workshop, "MIT", "unknown", version="1.0.0")
    workshop.build()
    mixed(workshop, "MIT", "unknown", version="1.0.0", licence_override=SIGNED)
    said = workshop.run("build", "recipe.yaml")
    assert (said.code, "bump the version" in said.err) == (2, True)
    mixed(workshop, "MIT", "unknown", version="1.0.1", licence_override=SIGNED)
    built = workshop.build()
    assert [s["name"] for s in built["stages"] if s["status"] == "run"] == ["corpus"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"by": " ", "reason": "x"}, "by: expected text"),
        ({"by": "x"}, "reason"),
        ({"by": "x", "reason": "y", "licence": "CC-BY-4"}, "did you mean 'CC-BY-4.0'?"),
        ({"by": "x", "reason": "y", "licence": "gemma"}, "a corpus cannot be put under 'gemma'"),
    ],
)
def test_a_signature_needs_a_name_a_reason_and_a_licence_that_exists(
    workshop: Workshop, override: dict[str, str], message: str
) -> None:
    mixed(workshop, "MIT", licence_override=override)
    said = workshop.run("check", "recipe.yaml")
    assert said.code == 2
    assert message in said.err
    assert "recipe.yaml:" in said.err


def test_a_publisher_may_have_a_person_sign_later() -> None:
    made = derive([Part("bad", "source", "unknown", 7)])
    assert refusal(made) is not None
    later = signed(made, Override(by="Maha Example", reason="asked"))
    assert refusal(later) is None
    assert later.told()["override"] == {"by": "Maha Example", "reason": "asked", "licence": None}
    with pytest.raises(InputError, match=r"CC-BY-5\.0.*did you mean"):
        refusal(made, "CC-BY-5.0")


CATALOG_FAULTS = [
    ({"licence_says": ["MIT"]}, "'licence_says' is for 'licence: conflict'"),
    ({"also_under": ["OpenAI-term"]}, "did you mean 'OpenAI-terms'?"),
]


@pytest.mark.parametrize(("fields", "message"), CATALOG_FAULTS)
def test_what_the_catalog_says_of_terms_is_checked(
    workshop: Workshop, fields: dict[str, object], message: str
) -> None:
    workshop.rows("s.jsonl", alpaca(1))
    workshop.catalog({"s": {"path": "s.jsonl", **fields}})
    workshop.recipe(["s"], ["chat_shape"])
    said = workshop.run("check", "recipe.yaml")
    assert said.code == 2
    assert message in said.err


def test_the_rows_that_a_fallback_model_did_not_write_are_not_counted_as_its_own(workshop: Workshop) -> None:
    workshop.rows("s.jsonl", alpaca(4))
    known_answers = answers(4)
    workshop.rows("first.jsonl", known_answers[:6])
    workshop.rows("second.jsonl", known_answers)
    models = {
        "first": {"engine": "recorded", "path": "first.jsonl", "licence": "CC0-1.0"},
        "second": {"engine": "recorded", "path": "second.jsonl", "licence": "CC-BY-NC-4.0"},
    }
    workshop.catalog({"s": {"path": "s.jsonl"}}, models)
    workshop.recipe(["s"], [{"step": "translate", "to": "ar", "model": "first", "fallback_model": "second"}])
    workshop.build()
    told = workshop.manifest()["licence"]
    assert {p["name"]: p["rows"] for p in told["parts"] if p["kind"] == "model"} == {"first": 4, "second": 1}
    assert told["licence"] == "CC-BY-NC-4.0"


# ---- Commercial use ----

FREE = [  # licences of two sources and of the translator, what is said against them
    (("MIT", "CC-BY-SA-4.0"), "Apache-2.0", None),
    (("MIT", "ODC-By-1.0"), "gemma", None),  # its outputs are free; the terms are told
    (("MIT", "CC-BY-NC-4.0"), "CC0-1.0", "4 rows of s1 (CC-BY-NC-4.0): CC-BY-NC-4.0 is non-commercial"),
    (("MIT", "CC-BY-NC-SA-4.0"), "CC0-1.0", "4 rows of s1 (CC-BY-NC-SA-4.0): CC-BY-NC-SA-4.0 is non-commercial"),
    (("MIT", "unknown"), "CC0-1.0", "4 rows of s1 (unknown): no licence is known"),
    (("MIT", "somebody's own"), "CC0-1.0", "the table of licences does not have it"),
    (("MIT", "MIT"), "CC-BY-NC-4.0", "written or chosen by people (CC-BY-NC-4.0): CC-BY-NC-4.0 is non-commercial"),
    (("MIT", "MIT"), "lfm1.0", "its licence says nothing that is known here about what it writes"),
]


@pytest.mark.parametrize(("sources", "translator", "against"), FREE)
def test_a_corpus_that_must_be_free_for_commerce_is_built_of_nothing_else(
    workshop: Workshop, sources: tuple[str, ...], translator: str, against: str | None
) -> None:
    mixed(workshop, *sources, commercial_use=True)
    page = workshop.folder / "catalog.yaml"
    page.write_text(page.read_text().replace("licence: CC0-1.0\n    by", f"licence: {translator}\n    by"))
    said = workshop.run("build", "recipe.yaml", "--quiet", "--workers", "1")
    assert said.code == (0 if against is None else 1)
    if against is not None:
        assert "the recipe asks for 'commercial_use', and the corpus would not allow it" in said.err
        assert against in said.err
        assert not workshop.corpus().exists()
        assert not list(Path("store/stages").glob("translate-*"))  # no model was asked


def test_no_signature_makes_rows_free_for_commerce(workshop: Workshop) -> None:
    mixed(workshop, "MIT", "unknown", commercial_use=True, licence_override=SIGNED)
    assert workshop.run("build", "recipe.yaml", "--quiet").code == 1


def test_a_version_that_stands_is_held_to_commercial_use_too(workshop: Workshop) -> None:
    mixed(workshop, "MIT", "CC-BY-NC-4.0")
    workshop.build()
    mixed(workshop, "MIT", "CC-BY-NC-4.0", commercial_use=True)
    said = workshop.run("build", "recipe.yaml", "--quiet")
    assert said.code == 1
    assert "4 rows of s1 (CC-BY-NC-4.0): CC-BY-NC-4.0 is non-commercial" in said.err


def test_rows_that_where_leaves_out_are_no_hindrance(workshop: Workshop) -> None:
    rows = [{**r, "kind": "a" if i % 2 else "b"} for i, r in enumerate(alpaca(8))]
    workshop.rows("s.jsonl", rows)
    subsets = {"a": {"licence": "MIT", "rows": 4}, "b": {"licence": "CC-BY-NC-4.0", "rows": 4}}
    workshop.catalog({"s": {"path": "s.jsonl", "subset": "kind", "subsets": subsets}})
    workshop.recipe([{"source": "s", "where": {"kind": ["a"]}}], [], commercial_use=True)
    told = workshop.run("plan", "recipe.yaml", "--json").json["licence"]
    assert (told["licence"], told["conflicts"]) == ("MIT", [])
    assert [(p["licence"], p["rows"]) for p in told["parts"]] == [("MIT", 4)]
    assert workshop.build()["rows"]["kept"] == 4


def test_the_permissive_recipe_reads_nothing_that_forbids_commerce() -> None:
    ready = recipe.load(HERE / "recipes" / "arabic-instruct-permissive-v1.yaml", CATALOG)
    made = foreseen(ready, {})
    assert ready.recipe.commercial_use
    assert forbidden_commerce(made) == []
    assert (made.licence, made.conflicts) == ("ODC-By-1.0", ())
    assert [name for name, *_ in ((p.name, p.rows) for p in forced(made.parts)["terms"])] == ["open-orca"]
    assert any("may not be used to develop models that compete" in o for o in made.obligations)

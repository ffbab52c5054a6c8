"""The report page: it counts what the ledger counts, loads nothing, finds rows, and is not moved by what rows hold."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from lxml import html as lxml_html

from hala_factory import recipe, report
from hala_factory.fingerprint import file_digest
from hala_factory.passages import MAX_CHARS, direction, passage
from hala_factory.report import figures
from hala_factory.report.charts import histogram
from hala_factory.rules import rules
from tests.browser import look, needs_chromium
from tests.driving import driving
from tests.workshop import Workshop, alpaca, troubled


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A corpus with losses at every kind of stage."""
    with pytest.MonkeyPatch.context() as patch:
        workshop = troubled(Workshop(tmp_path_factory.mktemp("report")), 40)
        patch.chdir(workshop.folder)
        patch.delenv("HALA_STORE", raising=False)
        workshop.build()
        return workshop


def page_of(workshop: Workshop, version: str = "dev") -> str:
    return (workshop.corpus(version) / "report.html").read_text(encoding="utf-8")


def data_of(page: str) -> dict[str, Any]:
    """What the browser of rows reads."""
    (held,) = lxml_html.document_fromstring(page).xpath("//script[@id='data']")
    return dict(json.loads(held.text))


def shown(page: str) -> str:
    return " ".join(lxml_html.document_fromstring(page).text_content().split())


# What it tells


def test_the_report_is_a_file_of_the_version_with_its_digest(built: Workshop) -> None:
    page = built.corpus() / "report.html"
    assert built.manifest()["files"]["report.html"]["sha256"] == file_digest(page)


def test_the_same_version_gives_the_same_page(built: Workshop) -> None:
    manifest = built.manifest()
    assert report.render(built.corpus(), manifest, recipe.steps_of(manifest)) == page_of(built)


def test_the_waterfall_is_that_of_the_ledger(built: Workshop) -> None:
    manifest = built.manifest()
    for source in (None, *manifest["sources"]):
        lines = figures.waterfall(manifest, source)
        rows = manifest["rows"] if source is None else manifest["sources"][source]
        assert (lines[0]["rows_in"], lines[-1]["rows_out"]) == (rows["in"], rows["kept"])
        for line, following in itertools.pairwise(lines):
            assert line["rows_in"] - sum(line["lost"].values()) == line["rows_out"] == following["rows_in"]
    stages = {s["name"]: s["rows"] for s in manifest["stages"] if s["kind"] != "source"}
    by_stage = figures.waterfall(manifest)
    for name, rows in stages.items():
        mine = [line for line in by_stage if line["stage"] == name]
        assert (mine[0]["rows_in"], mine[-1]["rows_out"]) == (rows["in"], rows["kept"])


def test_every_reason_is_shown_with_rows_that_it_lost(built: Workshop) -> None:
    page, lost = page_of(built), built.lost()
    for step, reason in lost.select("step", "reason").unique().iter_rows():
        ids = lost.filter(step=step, reason=reason)["id"].fill_null("")
        (found,) = lxml_html.document_fromstring(page).xpath(
            f"//section[@id='lost']/details[summary/b='{step}.{reason}']"
        )
        examples = found.xpath(".//*[@class='id']/text()")
        assert examples or set(ids) == {""}
        assert set(examples) <= {i[:12] for i in ids}


def test_the_browser_holds_rows_of_every_reason_and_source_with_what_decided(built: Workshop) -> None:
    data, kept, lost = data_of(page_of(built)), built.kept(), built.lost()
    fates = {(r["step"], r["reason"]) for r in data["rows"]}
    assert fates == {("", ""), *lost.select("step", "reason").unique().iter_rows()}
    assert {r["source"] for r in data["rows"] if r["status"] == "kept"} == set(kept["source"])
    column = data["measures"].index("length.chars")
    measured = dict(zip(kept["id"], kept["length.chars"], strict=True))
    for row in (r for r in data["rows"] if r["status"] == "kept"):
        assert row["measures"][column] == measured[row["id"]]
    assert ["length", "chars", "too_short", "<", 30.0] in data["rules"]


def test_histograms_stand_with_their_bounds_and_name_the_setting(built: Workshop) -> None:
    (figure,) = lxml_html.document_fromstring(page_of(built)).xpath(
        "//section[@id='measures']//details[summary/b='length']//figure[figcaption/b='chars']"
    )
    said = " ".join(figure.text_content().split())
    assert "drops too_short where < 30" in said
    assert "--set length.min_chars=30" in said
    (drawing,) = figure.xpath(".//svg")
    assert drawing.get("role") == "img"
    lost = built.lost().filter(step="length").height
    assert drawing.get("aria-label").endswith(f"{lost} lost")


def test_another_bound_is_told_with_the_rows_it_would_lose(built: Workshop) -> None:
    rows = lxml_html.document_fromstring(page_of(built)).xpath(
        "//section[@id='measures']//details[summary/b='length']//figure[figcaption/b='chars']//details//tr"
    )
    told = [[" ".join(cell.text_content().split()) for cell in row] for row in rows]
    every = pl.concat(
        [frame.select("length.chars").drop_nulls() for frame in (built.kept(), built.lost())], how="vertical"
    )["length.chars"]
    lost = {float(bound.split()[1]): int(said.split()[0]) for bound, said, _ in told}
    assert len(lost) >= 2
    assert lost == {bound: int((every < bound).sum()) for bound in lost}
    assert [bound for bound, *_ in told if "as set" in bound] == ["< 30 (as set)"]


def test_every_contract_is_told_with_what_was_found(workshop: Workshop) -> None:
    contracts = [
        {"max_drop_share": 0.9},
        {"holds": "duplicates", "max": 0.5},
        {"holds": "tokens", "min": 1e9, "soft": True},
        {"expect_rows": 5_000, "soft": True},
    ]
    workshop.rows("a.jsonl", alpaca(20))
    workshop.catalog({"a": {"path": "a.jsonl"}})
    workshop.recipe(["a"], [{"step": "length", "min_chars": 1}], contracts=contracts)
    workshop.build("--limit", "15")
    page = lxml_html.document_fromstring(page_of(workshop))
    told = [
        [" ".join(c.text_content().split()) for c in row] for row in page.xpath("//section[@id='contracts']//tbody/tr")
    ]
    assert told[0] == ["at most 90 % of all rows are dropped", "holds"]
    assert told[1][1].startswith("not judged")
    assert told[2] == ["at most 50 % of the rows have the texts of another row", "0 %"]
    assert told[3][0] == "at least 1,000,000,000 tokenssoft"
    assert [cell.text_content() for cell in page.xpath("//section[@id='contracts']//td[@class='bad']")] == [told[3][1]]


@pytest.mark.parametrize(
    ("kept", "lost", "bounds", "expected"),
    [
        ([1, 2, 2, 3], [0], [("<", 1)], {"kept": [0, 1, 2, 1], "lost": [1, 0, 0, 0]}),
        ([1, 1], [2], [(">", 1)], {"kept": [2, 0], "lost": [0, 1]}),
        ([5, 5, 5], [], [], {"kept": [3], "lost": [0]}),
    ],
)
def test_whole_numbers_have_a_bin_each_and_bounds_part_them(
    kept: list[int], lost: list[int], bounds: list[tuple[str, float]], expected: dict[str, Any]
) -> None:
    import numpy as np

    told = histogram(np.array(kept, dtype=float), np.array(lost, dtype=float), bounds)
    assert {k: told[k] for k in expected} == expected
    bins = len(told["kept"])
    for line in told["lines"]:  # between the bins of what is kept and of what is lost
        edge = round(line["at"] * bins / 100)
        parts = told["kept"][:edge], told["kept"][edge:]
        assert 0 in (sum(parts[0]), sum(parts[1]))


def test_no_value_is_left_out_of_a_histogram_and_far_bounds_do_not_squeeze_it() -> None:
    import numpy as np

    values = np.concatenate([np.linspace(0, 1, 5_000), [1e6]])
    told = histogram(values, np.array([]), [(">", 500.0)])
    assert sum(told["kept"]) == len(values)
    assert told["high"] < 2
    assert told["cut"][1]
    assert told["lines"] == []


STEPS = [
    ({"step": "length", "min_chars": 30}, {("chars", "too_short", "<", 30.0, "min_chars")}),
    ({"step": "script_share", "min_share": 0.4}, {("share", "too_little_script", "<", 0.4, "min_share")}),
    ({"step": "char_share", "max_symbols": 0.3}, {("symbols", "symbols", ">", 0.3, "max_symbols")}),
    ({"step": "length_ratio", "max_ratio": 2.5}, {("highest", "too_long", ">", 2.5, "max_ratio")}),
]


@pytest.mark.parametrize(("told", "expected"), STEPS)
def test_bounds_are_read_off_the_rules_of_steps(told: dict[str, Any], expected: set[Any]) -> None:
    step = recipe.load_steps(plugins=False)[told["step"]].model_validate(told)
    found = {(r.measure, r.reason, r.sign, r.bound, r.field) for r in rules([step])}
    assert expected <= found


# Texts

DIRECTIONS = [
    ("Hello there", "ltr"),
    ("مرحبا بكم", "rtl"),
    ("1. مرحبا بكم في Rome", "rtl"),
    ("The word سلام means peace", "ltr"),
    ("שלום עולם", "rtl"),
    ("", "ltr"),
    ("123 !", "ltr"),
]


@pytest.mark.parametrize(("text", "expected"), DIRECTIONS)
def test_a_text_runs_the_way_most_of_its_letters_do(text: str, expected: str) -> None:
    assert direction(text) == expected


def test_code_is_told_apart_and_does_not_turn_an_arabic_text() -> None:
    told = passage(
        "استخدم الأمر `print(value_of_everything)` هنا:\n\n```python\nprint('a long line of code')\n```\n\nانتهى."
    )
    assert told["dir"] == "rtl"
    assert [k for k, _ in told["parts"] if k != "t"] == ["c", "b"]
    assert ("c", "`print(value_of_everything)`") in told["parts"]


@pytest.mark.parametrize("text", ["x" * (MAX_CHARS + 5), "كلمة " * MAX_CHARS])
def test_long_texts_are_cut_and_say_so(text: str) -> None:
    told = passage(text)
    assert sum(len(t) for _, t in told["parts"]) == MAX_CHARS
    assert told["cut"] == len(text) - MAX_CHARS


# Untrusted rows

NASTY = {
    "a script": "<script>document.title='owned'</script>",
    "the end of the data": "</script><script>document.title='owned'</script>",
    "the end of a text area": "</textarea><img src=x onerror=\"document.title='owned'\">",
    "an attribute": '"><svg onload="document.title=\'owned\'">',
    "a comment that opens": "<!--<script>",
    "a template": "{{ 7 * 7 }}{% include 'page.js' %}",
    "a picture from elsewhere": "<img src='http://127.0.0.1:9/x.png'><link rel=stylesheet href=//127.0.0.1:9/x>",
    "controls that turn the line": "abc \u202egnp.exe\u202c \u2066x\u2069 \u200f\u061c",
    "controls and separators": "a\x01b\u2028c\u2029d\ufeffe\u200bf",
    "an entity": "&lt;b&gt; &amp;amp; &#x202e;",
}


@pytest.fixture(scope="module")
def nasty(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Every nasty text kept in one version and dropped in the next, under a source and fields that are nasty as well."""
    with pytest.MonkeyPatch.context() as patch:
        workshop = Workshop(tmp_path_factory.mktemp("nasty"))
        patch.chdir(workshop.folder)
        patch.delenv("HALA_STORE", raising=False)
        rows = [{"instruction": f"{t} number {i}", "input": "", "output": t} for i, t in enumerate(NASTY.values())]
        workshop.rows("<i>&rows.jsonl", rows)
        workshop.catalog({"first": {"path": "<i>&rows.jsonl", "licence": "<script>alert(1)</script>"}})
        for version, steps in (("1.0.0", []), ("2.0.0", [{"step": "length", "min_chars": 5_000}])):
            workshop.recipe(["first"], steps, version=version, description="<script>alert(2)</script>")
            workshop.build()
        workshop.run("diff", "small@1.0.0", "small@2.0.0", "--rows", "50", "--html", "diff.html")
        return workshop


def pages(workshop: Workshop) -> dict[str, str]:
    return {
        "kept": page_of(workshop, "1.0.0"),
        "dropped": page_of(workshop, "2.0.0"),
        "diff": (workshop.folder / "diff.html").read_text(encoding="utf-8"),
    }


@pytest.mark.parametrize("which", ["kept", "dropped", "diff"])
def test_nothing_that_a_row_holds_becomes_part_of_the_page(nasty: Workshop, which: str) -> None:
    page = pages(nasty)[which]
    tree = lxml_html.document_fromstring(page)
    assert len(tree.xpath("//script")) == (1 if which == "diff" else 2)
    assert not tree.xpath("//img | //link | //iframe | //object | //embed | //*[@src]")
    assert not [a for node in tree.iter() for a in node.attrib if a.startswith("on")]
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200f\u061c\u2028\u2029\x01\u200b\ufeff]", page)
    assert "7 * 7" in page


def test_unseen_characters_are_shown_by_number_and_the_rest_as_it_is(nasty: Workshop) -> None:
    rows = data_of(page_of(nasty, "1.0.0"))["rows"]
    said = {"".join(t for _, t in row["turns"][-1]["sides"][0]["parts"]) for row in rows}
    unseen = re.compile("[\x01\u202a-\u202e\u2066-\u2069\u200f\u061c\u2028\u2029\u200b\ufeff]")
    assert said == {unseen.sub(lambda m: f"U+{ord(m[0]):04X}", t) for t in NASTY.values()}


# Corpora at the edges

EDGES: dict[str, dict[str, Any]] = {
    "no row that can be read": {"rows": [{"instruction": None, "output": "x"}], "steps": ["chat_shape"]},
    "no row kept": {"rows": alpaca(3), "steps": [{"step": "length", "min_chars": 5_000}]},
    "no step": {"rows": alpaca(3), "steps": []},
    "one row": {"rows": alpaca(1), "steps": [{"step": "length", "min_chars": 5}]},
}


@pytest.mark.parametrize("what", EDGES)
def test_a_corpus_at_the_edge_has_a_page(workshop: Workshop, what: str) -> None:
    told = EDGES[what]
    workshop.rows("first.jsonl", told["rows"])
    workshop.catalog({"first": {"path": "first.jsonl"}})
    workshop.recipe(["first"], told["steps"])
    kept = workshop.build()["rows"]["kept"]
    assert f"From {len(told['rows'])} rows to {kept}" in shown(page_of(workshop))


def test_rows_of_translations_stand_side_by_side(workshop: Workshop) -> None:
    workshop.write("pairs.tsv", "en\tar\nThe well is deep.\tالبئر عميقة.\n")
    columns = {"en": "en", "ar": "ar"}
    workshop.catalog({"pairs": {"path": "pairs.tsv", "rows": "pair", "columns": columns, "language": ["en", "ar"]}})
    workshop.recipe(["pairs"], [])
    workshop.build()
    (row,) = data_of(page_of(workshop))["rows"]
    assert [(s["label"], s["dir"]) for s in row["turns"][0]["sides"]] == [("en", "ltr"), ("ar", "rtl")]


# Commands


def test_the_command_says_where_the_page_is_and_draws_it_anew(
    built: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(built.folder)
    assert built.run("report", "small@dev").out.strip() == str(built.corpus() / "report.html")
    assert built.run("report", "small@dev", "--out", "again.html", "--json").json["report"] == "again.html"
    assert (built.folder / "again.html").read_text(encoding="utf-8") == page_of(built)


def test_a_version_without_a_page_says_what_to_do(workshop: Workshop) -> None:
    workshop.rows("first.jsonl", alpaca(3))
    workshop.catalog({"first": {"path": "first.jsonl"}})
    workshop.recipe(["first"], [])
    workshop.build("--no-report")
    assert not (workshop.corpus() / "report.html").exists()
    said = workshop.run("report", "small@dev")
    assert said.code == 2
    assert "report small@dev --out report.html" in said.err


def test_a_page_that_cannot_be_drawn_does_not_hold_back_the_corpus(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "waterfall", lambda *given: 1 / 0)
    workshop.rows("first.jsonl", alpaca(3))
    workshop.catalog({"first": {"path": "first.jsonl"}})
    workshop.recipe(["first"], [])
    with pytest.warns(UserWarning, match=r"ZeroDivisionError.*report small@dev --out"):
        assert workshop.build()["rows"]["kept"] == 3
    assert "report.html" not in workshop.manifest()["files"]


# In a browser


def found(html: str) -> tuple[str, list[str]]:
    """How many rows the browser of rows says it found, and the ids it shows."""
    tree = lxml_html.document_fromstring(html)
    (status,) = tree.xpath("//*[@id='found']")
    return status.text_content(), tree.xpath("//*[@id='list']//*[@class='id']/text()")


@needs_chromium
@pytest.mark.slow
def test_the_page_loads_without_an_error_or_a_request_and_finds_a_known_row(built: Workshop, tmp_path: Path) -> None:
    page = built.corpus() / "report.html"
    rows = data_of(page_of(built))["rows"]
    known = next(r for r in rows if r["status"] == "kept")
    for number, words in enumerate((known["id"], "")):
        seen = look(page, tmp_path / str(number), f"#find={words}" if words else "")
        assert seen.console == []
        assert seen.requests == set()
        says, ids = found(seen.html)
        if words:
            same = [r["id"][:12] for r in rows if known["id"] in (r["id"], *r["detail"].split())]  # and its duplicates
            assert says == f"{len(same)} of {len(rows)} rows"
            assert ids == same
        else:
            assert says == f"{len(rows)} of {len(rows)} rows"


@needs_chromium
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_the_page_fits_a_desk_a_tablet_and_a_phone_by_day_and_by_night(
    built: Workshop, tmp_path: Path, mode: str
) -> None:
    with driving(tmp_path) as page:
        page.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": mode}])
        for width in (1280, 768, 390):
            page.send("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
            page.open(f"file://{built.corpus()}/report.html")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            shade = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)")
            assert (sum(shade) > 3 * 128) == (mode == "light")
        assert not page.console


@needs_chromium
@pytest.mark.slow
def test_a_request_and_an_error_of_a_page_would_be_seen(tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text("<img src=http://127.0.0.1:9/x.png><script>nothing_of_this_name()</script>")
    seen = look(page, tmp_path)
    assert seen.requests == {"http://127.0.0.1:9/x.png"}
    assert any("nothing_of_this_name" in line for line in seen.console)


@needs_chromium
@pytest.mark.slow
def test_the_search_finds_arabic_whatever_its_marks(workshop: Workshop, tmp_path: Path) -> None:
    rows = [*alpaca(5), {"instruction": "ما إِعْرابُ هذه الكلمـــة؟", "input": "", "output": "اسمٌ مرفوعٌ."}]
    workshop.rows("first.jsonl", rows)
    workshop.catalog({"first": {"path": "first.jsonl"}})
    workshop.recipe(["first"], [])
    workshop.build()
    (wanted,) = workshop.kept().filter(pl.col("origin").struct.field("position") == 6)["id"]
    says, ids = found(look(workshop.corpus() / "report.html", tmp_path, "#find=اعراب%20الكلمة").html)
    assert (says, ids) == ("1 of 6 rows", [wanted[:12]])


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize("which", ["kept", "diff"])
def test_no_script_of_a_row_runs(nasty: Workshop, tmp_path: Path, which: str) -> None:
    page = nasty.folder / f"{which}.html"
    page.write_text(pages(nasty)[which], encoding="utf-8")
    seen = look(page, tmp_path)
    assert "<title>owned" not in seen.html
    assert seen.console == []
    assert seen.requests == set()
    assert "onerror=" not in re.sub(r">[^<]*<", "><", seen.html)

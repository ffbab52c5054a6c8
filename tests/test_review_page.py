"""The report page of a version with a review: the plan when it is built, and what people found when it is drawn anew."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import html as lxml_html

from tests.browser import look, needs_chromium
from tests.reviewed import PLAN, all_answer, reviewed
from tests.workshop import Workshop


def section(page: Path) -> str:
    (found,) = lxml_html.document_fromstring(page.read_text(encoding="utf-8")).xpath("//section[@id='review']")
    return " ".join(found.text_content().split())


def drawn(workshop: Workshop) -> Path:
    assert workshop.run("report", "small@dev", "--out", "again.html").code == 0
    return workshop.folder / "again.html"


def test_the_page_of_a_build_tells_the_plan_and_how_to_see_more(workshop: Workshop) -> None:
    reviewed(workshop).build()
    said = section(workshop.corpus() / "report.html")
    assert "people judge 12 of 80 rows" in said
    assert "hala-factory report small@dev --out report.html" in said
    assert "nobody has answered yet" in section(drawn(workshop))


def test_a_page_without_a_review_has_no_section_of_it(workshop: Workshop) -> None:
    reviewed(workshop)
    workshop.recipe(["first"], ["chat_shape"])
    workshop.build()
    assert 'id="review"' not in (workshop.corpus() / "report.html").read_text()


@pytest.mark.parametrize(("verdict", "state"), [("good", "accepted"), ("bad", "rejected")])
def test_a_page_drawn_anew_tells_what_people_found(workshop: Workshop, verdict: str, state: str) -> None:
    reviewed(workshop, {**PLAN, "accept_if": {"sample": 40}}).build()
    all_answer(workshop, lambda task: verdict)
    said = section(drawn(workshop))
    assert said.startswith(f"What people found {state}")
    for words in ("Clopper-Pearson", "Bad rows by source", "Bad rows by length_ar.chars", "Gwet's AC1", "reviewer-"):
        assert words in said
    assert "too few to set any threshold by" in said
    assert "What people found" in (workshop.corpus() / "report.html").read_text(), "the sealed page is left as it was"
    assert workshop.run("verify", "small@dev").code == 0


def test_a_page_tells_thresholds_where_there_are_enough_rows(workshop: Workshop) -> None:
    reviewed(workshop, {"accept_if": {"sample": 70}}).build()
    counted = iter(range(10**6))
    all_answer(workshop, lambda task: "bad" if next(counted) % 3 == 0 else "good")
    said = section(drawn(workshop))
    assert "--set length_ar.min_chars=" in said
    assert "hala-factory whatif small@dev --set" in said


@needs_chromium
@pytest.mark.slow
def test_the_page_loads_without_an_error_or_a_request(workshop: Workshop, tmp_path: Path) -> None:
    reviewed(workshop).build()
    all_answer(workshop)
    seen = look(drawn(workshop), tmp_path)
    assert (seen.console, seen.requests) == ([], set())

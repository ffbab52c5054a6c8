"""Review with no server: the page in a real browser, lines of JSON and spreadsheets, and who gets which tasks."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hala_factory.errors import InputError
from hala_factory.review import form, lines, questions, sheet
from hala_factory.review.answers import Answer
from hala_factory.review.decks import Deck, Task, Turn, joined, parted
from hala_factory.review.shares import share
from tests.browser import needs_chromium
from tests.driving import Page, driving

TALK = (
    Turn("user", "How do I print in Python?", "كيف أطبع في بايثون؟"),
    Turn("assistant", "Use `print('hi')`.\n</script><b>bold</b>", "استخدم `print('hi')`.\n</script><b>غامق</b>"),
)
ALONE = (Turn("user", None, "من كتب المقدمة؟"), Turn("assistant", None, "كتبها ابن خلدون."))
DECK = Deck(
    "corpus",
    "1.0.0",
    "ab" * 32,
    "en",
    "ar",
    "Keep **names** as they are.",
    (
        Task("0000000000000001", "single", TALK),
        Task("0000000000000002", "double", ALONE),
        Task("0000000000000003", "single", (Turn("text", "=1+1", "=واحد زائد واحد"),)),
    ),
)
AT = datetime(2026, 11, 22, 10, tzinfo=UTC)


# ---- The text that is corrected ----


@given(
    st.lists(
        st.tuples(st.sampled_from(["system", "user", "assistant"]), st.text("كتب x\n#`", max_size=20)), min_size=1
    )
)
def test_texts_of_turns_come_apart_as_they_were_joined(turns: list[tuple[str, str]]) -> None:
    made = [Turn(role, None, text.strip()) for role, text in turns]
    assert parted(joined(made, "target"), made) == [turn.target for turn in made]


def test_a_text_whose_headings_were_changed_is_no_correction() -> None:
    text = joined(TALK, "target")
    assert parted(text.replace("### user", "### المستخدم"), TALK) is None
    assert parted("مقدمة\n" + text, TALK) is None


# ---- The page ----


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with driving(tmp_path_factory.mktemp("browser"), width=1280, height=1000) as page:
        yield page


def opened(browser: Page, folder: Path, deck: Deck = DECK, reviewer: str | None = None) -> Page:
    file = folder / "review.html"
    file.write_text(form.page(deck, reviewer), encoding="utf-8")
    browser.downloads.mkdir(exist_ok=True)
    for old in browser.downloads.iterdir():
        old.unlink()
    browser.open(f"file://{file}")
    browser.wait_for("document.querySelectorAll('.turn').length")
    return browser


def downloaded(page: Page, folder: Path, deck: Deck = DECK) -> dict[str, Answer]:
    page.click("#save")
    return {answer.task: answer for answer in lines.read(page.downloaded("*.jsonl"), deck)}


@needs_chromium
def test_a_person_judges_corrects_and_discards_with_the_keyboard_alone(browser: Page, tmp_path: Path) -> None:
    page = opened(browser, tmp_path)
    page.press("Enter")
    assert "name" in page.evaluate("document.getElementById('note').textContent")
    assert page.evaluate("document.activeElement.id") == "who"
    page.fill("#who", "أميرة")
    page.press("Escape")
    page.press("Enter")
    assert "good, fix or bad" in page.evaluate("document.getElementById('note').textContent")
    for key in ("2", "s", "j", "s", "v"):  # the second s takes the first one back
        page.press(key)
    page.press("e")
    page.wait_for("document.activeElement.matches('textarea')")
    page.press("a", "Control")
    page.send("Input.insertText", text="كيف أطبع بلغة بايثون؟")
    page.press("Escape")
    page.press("Enter")
    page.wait_for("document.getElementById('done').textContent.startsWith('1 / 3')")
    page.press("x")
    page.press("3")
    page.press("ArrowLeft")  # back, with the last one begun
    assert page.evaluate("document.getElementById('done').textContent") == "2 / 3 · 1 begun"
    found = downloaded(page, tmp_path)
    first, second, third = (found[task.id] for task in DECK.tasks)
    corrected = joined([Turn("user", None, "كيف أطبع بلغة بايثون؟"), TALK[1]], "target")
    assert (first.annotator, first.status, first.verdict) == ("أميرة", "submitted", "fix")
    assert (first.errors, first.severity, first.correction) == (("audience",), "critical", corrected)
    assert (second.status, second.verdict) == ("discarded", None)
    assert (third.status, third.verdict, third.correction) == ("draft", "bad", None)
    assert not [line for line in page.console if "rror" in line]


@needs_chromium
def test_answers_outlive_the_page_and_another_browser_takes_them_up(browser: Page, tmp_path: Path) -> None:
    page = opened(browser, tmp_path, reviewer="بلال")
    page.click("#verdict .choice:nth-of-type(1)")
    page.click("#submit")
    page.wait_for("document.getElementById('done').textContent.startsWith('1 / 3')")
    page.evaluate("save()")
    saved = page.downloaded("*.jsonl").read_text(encoding="utf-8")
    page = opened(browser, tmp_path, reviewer="بلال")
    assert page.evaluate("document.getElementById('done').textContent") == "1 / 3"
    assert page.evaluate("at") == 1, "it goes on with the first that is open"
    page.evaluate("localStorage.clear()")
    page = opened(browser, tmp_path, reviewer="بلال")
    assert page.evaluate("document.getElementById('done').textContent") == "0 / 3"
    page.evaluate(f"load(new File([{json.dumps(saved)}], 'a.jsonl'))")
    assert page.evaluate("document.getElementById('done').textContent") == "1 / 3"
    page.evaluate(f"load(new File([{json.dumps(saved.replace('abab', 'cdcd'))}], 'a.jsonl'))")
    assert "another sample" in page.evaluate("document.getElementById('note').textContent")


@needs_chromium
def test_arabic_runs_from_the_right_code_from_the_left_and_nothing_is_loaded(browser: Page, tmp_path: Path) -> None:
    before = len(browser.requests)
    page = opened(browser, tmp_path, replace(DECK, digest="ef" * 32))
    looks = "[...document.querySelectorAll('.turn .text')].map(e => [getComputedStyle(e).direction, e.textContent])"
    assert page.evaluate(looks) == [[d, t] for turn in TALK for d, t in (("ltr", turn.source), ("rtl", turn.target))]
    assert page.evaluate("getComputedStyle(document.querySelector('.text[dir=rtl] code')).direction") == "ltr"
    assert page.evaluate("document.querySelectorAll('b, .text script').length") == 0, "a row is text, whatever it says"
    assert page.evaluate("document.querySelectorAll('.guide').length") == 3
    assert page.evaluate("[...document.querySelectorAll('.guide')].map(e => e.dir)") == ["ltr", "rtl", "ltr"]
    assert all(address.startswith("file://") for address in page.requests[before:])


def test_nothing_in_the_page_tells_why_a_task_is_asked() -> None:
    said = form.page(DECK)
    assert "double" not in said.split('id="deck"')[1].split("</script>")[0]


# ---- Lines of JSON ----


def filled(**fields: Any) -> str:
    base = {"deck": DECK.digest, "task": DECK.tasks[0].id, "annotator": "amira", "verdict": "good"}
    return json.dumps({**base, **fields}, ensure_ascii=False) + "\n"


def test_tasks_are_filled_in_where_they_stand(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    file.write_text(lines.write(DECK), encoding="utf-8")
    assert lines.read(file, DECK) == [], "nobody has answered"
    records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert records[0]["turns"][0] == {"role": "user", "source": TALK[0].source, "target": TALK[0].target}
    records[1] |= {"annotator": "amira", "verdict": "bad", "errors": ["style"], "severity": "major"}
    file.write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
    os.utime(file, (AT.timestamp(), AT.timestamp()))
    expected = Answer(DECK.tasks[1].id, "amira", "submitted", "bad", ("style",), "major", None, AT)
    assert lines.read(file, DECK) == [expected]


WRONG = [
    (
        "another sample",
        filled(deck="cd" * 32),
        "is about another sample (deck 'cdcdcdcdcdcd'), not that of corpus@1.0.0",
    ),
    ("a strange task", filled(task="f" * 16), "is not in the sample of corpus@1.0.0"),
    ("no name", filled(annotator=" "), "'annotator' is empty"),
    ("a strange verdict", filled(verdict="great"), "'verdict': found 'great'; expected one of good, fix, bad"),
    ("a strange error", filled(errors=["typo"]), "'errors': found 'typo'"),
    ("errors as text", filled(errors="style"), "'errors': expected a list"),
    ("a strange severity", filled(severity="huge"), "'severity': found 'huge'"),
    ("a strange status", filled(status="done"), "'status': found 'done'"),
    ("no verdict", filled(status="submitted", verdict=None), "was submitted without a verdict"),
    ("a number for a text", filled(correction=3), "'correction': expected text"),
    ("no time", filled(at="yesterday"), "'yesterday' is no time"),
    ("cut off", filled()[:40], "is not JSON"),
    ("no object", "[1]\n", "expected an answer, an object; found list"),
]


@pytest.mark.parametrize(("line", "message"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_a_fault_is_told_by_its_line_and_nothing_is_taken(tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_text(filled() + "\n" + line, encoding="utf-8")
    with pytest.raises(InputError) as told:
        lines.read(file, DECK)
    assert [fault.line for fault in told.value.faults] == [3]
    assert message in str(told.value)


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"answers\.jsonl: cannot be read as UTF-8 text"):
        lines.read(file, DECK)


# ---- Spreadsheets ----


def test_a_spreadsheet_is_filled_in_and_read_back(tmp_path: Path) -> None:
    file = tmp_path / "r.xlsx"
    sheet.write(DECK, file)
    assert sheet.read(file, DECK) == []
    book = openpyxl.load_workbook(file)
    page = book["review"]
    column = {cell.value: cell.column for cell in page[1]}
    assert page.cell(4, column["target"]).value == "=واحد زائد واحد", "a text that begins with = is no formula"
    assert page.cell(2, column["target"]).alignment.readingOrder == 2
    assert page.cell(2, column["source"]).alignment.readingOrder == 1
    assert page.cell(3, column["source"]).value is None, "there is no source"
    for name, value in {
        "verdict": "fix",
        "style": "x",
        "severity": "minor",
        "correction": "نص",
        "annotator": "ب",
    }.items():
        page.cell(3, column[name]).value = value
    book.save(file)
    found = sheet.read(file, DECK)
    assert [(a.task, a.annotator, a.status, a.verdict, a.errors, a.severity, a.correction) for a in found] == [
        (DECK.tasks[1].id, "ب", "submitted", "fix", ("style",), "minor", "نص")
    ]
    page.cell(3, column["style"]).value = "very"
    page.cell(4, column["verdict"]).value = "perhaps"
    book.save(file)
    with pytest.raises(InputError) as told:
        sheet.read(file, DECK)
    assert [fault.line for fault in told.value.faults] == [3, 4, 4]  # and nobody's name on the last


def test_what_a_cell_cannot_hold_is_said_before_anyone_looks(tmp_path: Path) -> None:
    long = Deck("c", "1.0.0", "00", "en", "ar", None, (Task("1", "single", (Turn("text", "a", "ا" * 40_000),)),))
    with pytest.raises(InputError, match="40,000 characters does not fit a cell"):
        sheet.write(long, tmp_path / "r.xlsx")
    odd = Deck("c", "1.0.0", "00", "en", "ar", None, (Task("1", "single", (Turn("text", "a\x00", "ا\x1b"),)),))
    sheet.write(odd, tmp_path / "r.xlsx")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04torn", b"a,b\n"], ids=["empty", "torn", "csv"])
def test_a_file_that_is_no_workbook_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "r.xlsx").write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as a workbook"):
        sheet.read(tmp_path / "r.xlsx", DECK)


# ---- Shares ----


@given(st.lists(st.sampled_from(["single", "double"]), max_size=60), st.integers(2, 6))
def test_single_tasks_go_to_one_and_double_ones_to_two_and_all_have_as_much(batches: list[Any], people: int) -> None:
    deck = Deck("c", "1.0.0", "00", None, "ar", None, tuple(Task(f"{n}", b, ALONE) for n, b in enumerate(batches)))
    shares = share(deck, [f"p{n}" for n in range(people)])
    asked = Counter(task.id for each in shares.values() for task in each.tasks)
    assert asked == {task.id: 1 + (task.batch == "double") for task in deck.tasks}
    sizes = [len(each.tasks) for each in shares.values()]
    assert max(sizes) - min(sizes) <= 1


def test_one_person_is_not_asked_twice() -> None:
    with pytest.raises(InputError, match="name two reviewers or more"):
        share(DECK, ["amira"])
    with pytest.raises(InputError, match="a name is given twice"):
        share(DECK, ["amira", "amira"])


def test_every_choice_has_a_key_of_its_own() -> None:
    keys = "".join(form.LETTERS.values()) + "egx"
    assert len(set(keys)) == len(keys)
    assert {name: len(letters) for name, letters in form.LETTERS.items()} == {
        n: len(c) for n, c in questions.CHOICES.items()
    }

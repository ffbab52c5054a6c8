"""Argilla as a place of review: a deck goes to a real server and answers come back, whatever happens on the way."""

from __future__ import annotations

import dataclasses
import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hala_factory.errors import BuildError, InputError
from hala_factory.review import argilla_client, argilla_place
from hala_factory.review.address import KEY, URL, Server, find
from hala_factory.review.argilla_answers import Reading
from hala_factory.review.decks import Deck, Task, Turn
from hala_factory.review.questions import ERRORS, VERDICTS
from tests.browser import needs_chromium
from tests.driving import driving
from tests.reviewing import Served, answer, dataset_id, deck, needs_argilla, records, served

pytestmark = needs_argilla
AR = "أنت مساعد مفيد."


@pytest.fixture(autouse=True)
def no_server_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(URL, raising=False)
    monkeypatch.delenv(KEY, raising=False)


def everything(served: Served, name: str) -> list[dict[str, Any]]:
    with served.owner as owner:
        path = f"/datasets/{dataset_id(served, name)}/records"
        told = owner.get(path, params={"limit": 1000, "include": ["responses", "suggestions"]})
        return list(told.json()["items"])


def test_a_deck_is_pushed_once_however_often_and_two_people_answer_it(argilla: Served) -> None:
    pushed, steps = deck("twice", 130, double=10), list[tuple[int, int]]()
    told = argilla_place.push(pushed, argilla.server, lambda done, total: steps.append((done, total)))
    single, double = "twice-1.0.0-a1b2c3d4-single", "twice-1.0.0-a1b2c3d4-double"
    assert [(d["name"], d["tasks"], d["added"]) for d in told["datasets"]] == [(single, 120, 120), (double, 10, 10)]
    assert {"amira", "bilal"} <= set(told["annotators"])
    assert steps[-1] == (130, 130)
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    before = everything(argilla, single)
    again = argilla_place.push(pushed, argilla.server)
    assert [d["added"] for d in again["datasets"]] == [0, 0]
    assert everything(argilla, single) == before
    assert argilla.key not in json.dumps([told, again])

    with argilla.annotator("amira") as amira, argilla.annotator("bilal") as bilal:
        hers = {r["external_id"]: r for r in records(amira, dataset_id(argilla, single))}
        text = hers[f"{0:016x}"]["fields"]["target"]
        fix = {"errors": ["accuracy", "style"], "severity": "major", "correction": text.replace("المتحف", "مُتحف")}
        answer(amira, hers[f"{0:016x}"]["id"], "fix", **fix)
        answer(amira, hers[f"{1:016x}"]["id"], "good", correction=hers[f"{1:016x}"]["fields"]["target"] + "  \n")
        answer(amira, hers[f"{2:016x}"]["id"], "bad", "draft")
        answer(bilal, hers[f"{3:016x}"]["id"], "bad", "discarded")
        both = {r["external_id"]: r for r in records(bilal, dataset_id(argilla, double))}
        pair = both[f"{120:016x}"]["id"]
        answer(amira, pair, "good")
        answer(bilal, pair, "bad")
    told = {(a.task, a.annotator): a for a in argilla_place.pull(pushed, argilla.server).answers}
    assert len(told) == 6
    fixed = told[f"{0:016x}", "amira"]
    assert (fixed.status, fixed.verdict, fixed.errors, fixed.severity) == (
        "submitted",
        "fix",
        ("accuracy", "style"),
        "major",
    )
    assert fixed.correction == fix["correction"]
    assert abs(datetime.now(UTC) - fixed.at) < timedelta(hours=1)
    assert (told[f"{1:016x}", "amira"].verdict, told[f"{1:016x}", "amira"].correction) == ("good", None)
    assert (told[f"{2:016x}", "amira"].status, told[f"{2:016x}", "amira"].verdict) == ("draft", "bad")
    assert (told[f"{3:016x}", "bilal"].status, told[f"{3:016x}", "bilal"].verdict) == ("discarded", None)
    assert {told[f"{120:016x}", who].verdict for who in ("amira", "bilal")} == {"good", "bad"}
    with argilla.owner as owner:
        assert owner.get(f"/datasets/{dataset_id(argilla, double)}/progress").json()["completed"] == 1


def test_annotators_see_the_texts_and_no_hint_of_what_to_answer(argilla: Served) -> None:
    pushed = dataclasses.replace(deck("blind", 3), guidelines="**Names** stay as they are.")
    argilla_place.push(pushed, argilla.server)
    with argilla.annotator("carim") as carim:
        place = dataset_id(argilla, "blind-1.0.0-a1b2c3d4-single")
        questions = {q["id"]: q for q in carim.get(f"/datasets/{place}/questions").json()["items"]}
        for record in records(carim, place):
            assert set(record["fields"]) == {"source", "target"}
            assert not record["metadata"]
            assert [questions[s["question_id"]]["name"] for s in record["suggestions"]] == ["correction"]
        asked = {q["name"]: q for q in questions.values()}
        assert asked["verdict"]["required"]
        assert [o["value"] for o in asked["verdict"]["settings"]["options"]] == list(VERDICTS)
        assert [o["value"] for o in asked["errors"]["settings"]["options"]] == list(ERRORS)
        guidelines = carim.get(f"/datasets/{place}").json()["guidelines"]
        assert "يصلح للنشر كما هو" in guidelines
        assert guidelines.endswith("**Names** stay as they are.")


def test_texts_without_an_original_and_conversations_are_shown(argilla: Served) -> None:
    turns = (Turn("system", None, AR), Turn("user", None, "اكتب بيتًا"), Turn("assistant", None, "كان البحر هادئًا"))
    pushed = Deck("native", "1.0.0", "c" * 64, None, "ar", None, (Task("1" * 16, "single", turns),))
    argilla_place.push(pushed, argilla.server)
    record = everything(argilla, "native-1.0.0-cccccccc-single")[0]
    assert record["fields"].get("source") is None
    assert [t["role"] for t in record["fields"]["target"]] == ["system", "user", "assistant"]
    written = record["suggestions"][0]["value"]
    assert written == f"### system\n{AR}\n\n### user\nاكتب بيتًا\n\n### assistant\nكان البحر هادئًا"
    with argilla.annotator("amira") as amira:
        answer(amira, record["id"], "good", correction=written)
    with argilla.annotator("bilal") as bilal:
        answer(bilal, record["id"], "fix", correction=written.replace("هادئًا", "ساكنًا"))
    told = {a.annotator: a.correction for a in argilla_place.pull(pushed, argilla.server).answers}
    assert told == {"amira": None, "bilal": written.replace("هادئًا", "ساكنًا")}


def test_texts_that_argilla_would_refuse_are_pushed_and_answered(argilla: Served) -> None:
    """Rows that were dropped, which people look at too, may have empty turns, or be books."""
    empty = (Turn("user", "Why?", "لماذا؟"), Turn("assistant", None, ""))
    book = (Turn("system", None, "كتاب. " * 5_000), Turn("user", None, "\n"), Turn("assistant", "x", "نعم"))
    tasks = (Task("1" * 16, "single", empty), Task("2" * 16, "double", book))
    odd = Deck("edges", "1.0.0", "e" * 64, "en", "ar", None, tasks)
    told = argilla_place.push(odd, argilla.server)
    assert [d["added"] for d in told["datasets"]] == [1, 1]
    again = argilla_place.push(odd, argilla.server)
    assert ([d["added"] for d in again["datasets"]], again["warnings"]) == ([0, 0], [])
    with argilla.annotator("amira") as amira:
        for made in told["datasets"]:
            (record,) = records(amira, dataset_id(argilla, made["name"]))
            answer(amira, record["id"], "bad")
    pulled = argilla_place.pull(odd, argilla.server)
    assert ([(a.verdict, a.correction) for a in pulled.answers], pulled.warnings) == ([("bad", None)] * 2, [])


def test_what_is_odd_on_the_server_is_told_with_counts_and_loses_nothing_else(argilla: Served) -> None:
    pushed = deck("odd", 8)
    argilla_place.push(pushed, argilla.server)
    with argilla.owner as owner:
        admitted = owner.post(
            "/users", json={"username": "gone", "first_name": "g", "password": "a-long-password", "role": "annotator"}
        )
        assert admitted.status_code == 201
    argilla_place.push(pushed, argilla.server, annotators=["gone"])
    argilla.passwords["gone"] = "a-long-password"
    held = {r["external_id"]: r for r in everything(argilla, "odd-1.0.0-a1b2c3d4-single")}
    ids = [held[task.id]["id"] for task in pushed.tasks]
    with argilla.annotator("amira") as amira, argilla.annotator("gone") as gone, argilla.owner as owner:
        assert (
            amira.post(f"/records/{ids[0]}/responses", json={"status": "discarded", "values": None}).status_code == 201
        )
        for record in ids[1:5]:
            answer(amira, record)
        answer(gone, ids[5])
        first = argilla_place.pull(pushed, argilla.server)
        assert (len(first.answers), first.warnings) == (6, [])
        place = dataset_id(argilla, "odd-1.0.0-a1b2c3d4-single")
        assert owner.delete(f"/datasets/{place}/records", params={"ids": ids[1]}).status_code == 204
        assert owner.patch(f"/records/{ids[2]}", json={"fields": {"source": "x", "target": "y"}}).status_code == 200
        extra = {"items": [{"external_id": "stranger", "fields": {"source": "x", "target": "y"}}]}
        assert owner.post(f"/datasets/{place}/records/bulk", json=extra).status_code in (200, 201)
        user = next(u["id"] for u in owner.get("/users").json()["items"] if u["username"] == "gone")
        assert owner.delete(f"/users/{user}").status_code == 200
    told = argilla_place.pull(pushed, argilla.server)
    assert {(a.task, a.annotator, a.status) for a in told.answers} == {
        (pushed.tasks[0].id, "amira", "discarded"),
        (pushed.tasks[3].id, "amira", "submitted"),
        (pushed.tasks[4].id, "amira", "submitted"),
    }
    said = "\n".join(told.warnings)
    assert "1 records are no tasks of the deck" in said
    assert "1 of 8 tasks are not on the server" in said
    assert "1 answers to a text that was changed on the server, not taken" in said
    again = argilla_place.push(pushed, argilla.server)
    assert again["datasets"][0]["added"] == 1
    assert "1 records of odd-1.0.0-a1b2c3d4-single show another text than the deck" in again["warnings"][0]


def test_answers_with_parts_missing_or_unknown_are_read() -> None:
    task = deck("x", 1).tasks[0]
    at = "2026-11-22T10:00:00"

    def response(user: str, status: str, values: Any, at: str = at) -> dict[str, Any]:
        return {"user_id": user, "status": status, "values": values, "updated_at": at}

    reading = Reading({"1": "amira"}, False)
    record = {"fields": {"target": task.turns[0].target}}
    mess = {
        "verdict": {"value": "nonsense"},
        "errors": None,
        "severity": {"value": "huge"},
        "correction": {"value": " "},
    }
    reading.take(task, record | {"responses": [response("1", "submitted", mess), response("2", "draft", None)]})
    told = {a.annotator: a for a in reading.answers.values()}
    assert told["amira"].status == "draft"
    assert (told["amira"].verdict, told["amira"].errors, told["amira"].severity) == (None, (), None)
    assert told["amira"].at == datetime(2026, 11, 22, 10, tzinfo=UTC)
    assert set(told) == {"amira", "2"}
    assert sorted(reading.odd) == [
        "answers of people whom the server no longer lists, taken under their ids",
        "answers that were submitted without a verdict, taken as drafts",
    ]
    later = response("1", "submitted", {"verdict": {"value": "bad"}}, "2026-11-22T11:00:00+00:00")
    reading.take(task, record | {"responses": [later]})
    reading.take(task, record | {"responses": [response("1", "draft", None)]})
    assert reading.answers[task.id, "amira"].verdict == "bad"


def test_another_sample_of_the_same_version_is_told_of_and_not_mixed_in(argilla: Served) -> None:
    argilla_place.push(deck("edited", 2), argilla.server)
    other = deck("edited", 2, digest="ffff0000")
    with pytest.raises(
        InputError, match=r"no review of edited@1\.0\.0 as it is now \(found: edited-1\.0\.0-a1b2c3d4-single\)"
    ):
        argilla_place.pull(other, argilla.server)
    told = argilla_place.push(other, argilla.server)
    assert "edited-1.0.0-a1b2c3d4-single" in told["warnings"][0]
    with pytest.raises(InputError, match=r"found: none of this version"):
        argilla_place.pull(deck("never", 1), argilla.server)


def test_a_dataset_that_a_crash_left_half_made_is_made_again(argilla: Served) -> None:
    with argilla.owner as owner:
        review = next(w["id"] for w in owner.get("/me/workspaces").json()["items"] if w["name"] == "review")
        name = "half-1.0.0-a1b2c3d4-single"
        assert owner.post("/datasets", json={"name": name, "workspace_id": review}).status_code == 201
    told = argilla_place.push(deck("half", 3), argilla.server)
    assert told["datasets"][0]["added"] == 3
    assert len(everything(argilla, name)) == 3


def test_a_server_killed_in_the_middle_of_a_push_and_of_a_pull_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = deck("killed", 350)
    name = "killed-1.0.0-a1b2c3d4-single"
    with served(tmp_path / "data", "amira") as first:

        def kill_in_the_next_batch(done: int, total: int) -> None:
            if done == 100:
                threading.Timer(0.3, first.kill).start()

        with pytest.raises(
            BuildError, match=r"\d00 of 350 tasks of killed@1\.0\.0 are there; run the same command"
        ) as e:
            argilla_place.push(pushed, first.server, kill_in_the_next_batch)
        assert first.key not in str(e.value)
        with pytest.raises(BuildError, match=r"does not answer \(ConnectError\)"):
            argilla_place.push(pushed, first.server)
    with served(tmp_path / "data", options=("--new-password", "amira")) as second:
        assert find(None, second.data) == second.server
        assert second.key == first.key
        argilla_place.push(pushed, second.server)
        assert sorted(r["external_id"] for r in everything(second, name)) == [t.id for t in pushed.tasks]
        with second.annotator("amira") as amira:
            for record in records(amira, dataset_id(second, name))[:20]:
                answer(amira, record["id"])
        monkeypatch.setattr(argilla_client, "PAGE", 100)
        with pytest.raises(BuildError, match=r"100 of 350 tasks were read, and nothing is taken over; run the same"):
            argilla_place.pull(pushed, second.server, lambda done, total: second.kill())
    with served(tmp_path / "data") as third:
        assert len(argilla_place.pull(pushed, third.server).answers) == 20


def test_where_the_server_is_and_its_key_are_found_or_asked_for(
    argilla: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        InputError, match=r"there is no Argilla server: give its address with --url or HALA_ARGILLA_URL"
    ):
        find(None, tmp_path)
    assert find(None, argilla.data) == argilla.server
    assert find(argilla.url + "/", argilla.data) == argilla.server
    with pytest.raises(InputError, match=r"no key to the Argilla server at https://elsewhere: set HALA_ARGILLA_KEY"):
        find("https://elsewhere", argilla.data)
    with pytest.raises(InputError, match="expected http:// or https://"):
        find("elsewhere", argilla.data)
    monkeypatch.setenv(KEY, "a-key")
    monkeypatch.setenv(URL, "https://elsewhere/")
    assert find(None, argilla.data) == Server("https://elsewhere", "a-key")
    assert "a-key" not in repr(find(None, argilla.data))


def test_a_server_that_refuses_is_told_of_without_the_key(argilla: Served) -> None:
    with pytest.raises(InputError, match="does not know the key; set HALA_ARGILLA_KEY") as e:
        argilla_place.push(deck("no", 1), Server(argilla.url, "wrong-key"))
    assert "wrong-key" not in str(e.value)
    with argilla.annotator("amira") as amira:
        key = amira.get("/me").json()["api_key"]
    with pytest.raises(InputError, match="the key must be an owner's"):
        argilla_place.push(deck("no", 1), Server(argilla.url, key))
    with pytest.raises(InputError, match="answers what no Argilla 2 server answers"):
        argilla_place.push(deck("no", 1), Server(f"{argilla.url}/sign-in?", argilla.key))
    long = dataclasses.replace(deck("no", 1), guidelines="x" * 10_000)
    with pytest.raises(InputError, match=r"characters; Argilla takes 10,000"):
        argilla_place.push(long, argilla.server)
    with pytest.raises(InputError, match="knows no annotator 'nobody'"):
        argilla_place.push(deck("no", 1), argilla.server, annotators=["nobody"])


@needs_chromium
def test_an_annotator_reads_arabic_on_argillas_own_page_submits_and_discards(argilla: Served, tmp_path: Path) -> None:
    pushed = deck("page", 2)
    code = (
        Turn("user", "Sort it.", "رتّبها."),
        Turn(
            "assistant",
            "`sorted(xs)`",
            "استخدم `sorted(first, second)`:\n\n```python\nprint(sorted(first, second))\n```",
        ),
    )
    chat = Deck("talk", "1.0.0", "d" * 64, "en", "ar", None, (Task("2" * 16, "single", code),))
    page_of = {d.name: argilla_place.push(d, argilla.server)["datasets"][0]["url"] for d in (pushed, chat)}

    def statuses() -> list[str]:
        return [a.status for a in argilla_place.pull(pushed, argilla.server).answers]

    with driving(tmp_path, 1400, 900) as page:
        page.open(f"{argilla.url}/sign-in")
        page.fill("input[name=Username]", "emad")
        page.fill("input[name=Password]", str(argilla.passwords["emad"]))
        page.press("Enter")
        page.wait_for("location.pathname === '/'")
        page.open(page_of["page"])
        body = "document.body.innerText"
        page.wait_for(f"/[\u0600-\u06ff]{{3}}/.test({body}) && !!document.querySelector('.button--submit')")
        look = "(s => [...document.querySelectorAll(s)].filter(e => !e.children.length && /[\u0600-\u06ff]/.test(e.textContent))"
        look += ".map(e => [getComputedStyle(e).direction, getComputedStyle(e).unicodeBidi]))"
        assert ["rtl", "plaintext"] in page.wait_for(f"{look}('.--rtl')")
        assert page.evaluate("document.querySelector('.button--submit').disabled")  # no verdict is preselected
        first = page.evaluate("document.querySelector('.--rtl').innerText")
        page.screenshot(tmp_path / "record.png")
        page.click("label", "Good · جيد")
        page.wait_for("!document.querySelector('.button--submit').disabled")
        page.click(".button--submit")
        page.wait_for(f"(t => t && t !== {json.dumps(first)})(document.querySelector('.--rtl')?.innerText)")
        assert statuses() == ["submitted"]
        page.click(".button--discard")
        for _ in range(300):
            if len(statuses()) == 2:
                break
            page.evaluate("new Promise(done => setTimeout(done, 100))")
        page.open(page_of["talk"])
        bubbles = page.wait_for(f"(all => all.length > 1 && all)({look}('p, .content__text'))")
        assert {bidi for _, bidi in bubbles} == {"plaintext"}  # each line has its own direction, among code, too
        elsewhere = [r for r in page.requests if r.startswith("http") and not r.startswith(argilla.url)]
        assert elsewhere == []
        assert page.console == []
    told = {a.status: a for a in argilla_place.pull(pushed, argilla.server).answers}
    assert {a.annotator for a in told.values()} == {"emad"}
    assert (told["submitted"].verdict, told["submitted"].correction) == ("good", None)
    assert told["discarded"].verdict is None
    assert told["submitted"].task != told["discarded"].task

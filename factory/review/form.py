"""The review as one page in a file: no server, no network, the same questions; answers are downloaded as JSONL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup

from hala_factory.pages import allowed, embedded, templates
from hala_factory.passages import direction, passage
from hala_factory.review import questions
from hala_factory.review.decks import Deck, Task

_HERE = Path(__file__).parent
LETTERS = {"verdict": "123", "errors": "asdfhjk", "severity": "zcv"}
"""The key of every choice, by its place on a Latin keyboard; `g`, `e` and `x` do other things."""
KEYS = {
    "1 2 3": "verdict · الحكم",
    "a s d f h j k": "errors · الأخطاء",
    "z c v": "severity · الخطورة",
    "e": "correct the text; Esc leaves it · تصحيح النص، وEsc للخروج",
    "Enter": "submit, and on to the next · إرسال والانتقال إلى التالي",
    "x": "cannot judge · لا أستطيع الحكم",
    "← →": "back, next · السابق والتالي",
    "g": "guidelines · الإرشادات",
}
_KINDS = {"verdict": "radio", "errors": "checkbox", "severity": "radio"}


def page(deck: Deck, reviewer: str | None = None) -> str:
    """The page of a deck, or of one reviewer's share of it, whose name then stands in it."""
    style, script = ((_HERE / f"form.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    data = {
        "artifact": deck.artifact,
        "digest": deck.digest,
        "reviewer": reviewer,
        "source_language": deck.source_language,
        "target_language": deck.target_language,
        "titles": {name: title.label for name, title in questions.TITLES.items()},
        "letters": LETTERS,
        "tasks": [_task(task) for task in deck.tasks],
    }
    return (
        templates(_HERE)
        .get_template("form.html")
        .render(
            artifact=deck.artifact,
            style=Markup(style),
            script=Markup(script),
            csp=allowed(script),
            keys=KEYS.items(),
            guidelines=[_guide(part) for part in questions.guideline_parts(deck.guidelines)],
            questions={
                name: {
                    "kind": _KINDS[name],
                    "title": questions.TITLES[name],
                    "choices": choices,
                    "letters": LETTERS[name],
                }
                for name, choices in questions.CHOICES.items()
            },
            correction=questions.TITLES["correction"],
            deck=embedded(data),
        )
    )


def _task(task: Task) -> dict[str, Any]:
    turns = [
        {
            "role": turn.role,
            "source": None if turn.source is None else passage(turn.source, None),
            "target": passage(turn.target, None),
            "text": turn.target,
        }
        for turn in task.turns
    ]
    return {"id": task.id, "turns": turns}


def _guide(text: str) -> dict[str, Any]:
    html = MarkdownIt("commonmark", {"html": False}).render(text)
    return {"dir": direction(text), "html": Markup(html)}  # Markdown without HTML of its own

"""The ladder that a text climbs until its translation is good: cut, asked for, judged, asked for in another way.

The model:
- A text is cut into segments, and each is asked for on its own; what the contract keeps from the model stays here.
- A failure has rungs, ways of asking again; the first that would not send what was sent before is tried next.
- A piece is judged as an answer, the pieces of a segment together as a text, and so are the segments.
- What came back in another spelling is repaired where only one thing can be meant, and the repairs are counted.
- When a model is at its wits' end, the fallback model is asked, if there is one.
- The best there is is kept even when it failed, charged with every attempt.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

from pydantic import Field

from hala_factory.documented import Documented
from hala_factory.generate.answers import Answer
from hala_factory.generate.asking import Answerer
from hala_factory.quality.failures import Failure, Finding, Judge
from hala_factory.quality.scripts import LETTER
from hala_factory.quality.together import together
from hala_factory.structure import Cut, mask, prose, repair, segments, unmask

_MARK = re.compile(r"<[a-z]+[0-9]+/>")
_LINE_BREAKS = re.compile(r"\s*\n\s*")
_SHORTEST_PIECE = 40  # characters; nothing is cut smaller in the hope of a whole answer


class Rung(Documented):
    """One way of asking again."""

    cut: Cut = "block"
    """What is sent at once: as much as fits, a line (markers and table pipes stay here), or prose between spans."""
    mask: bool = True
    """Whether code, formulas, URLs and the like inside prose are replaced by marks."""
    share: float = Field(1.0, gt=0, le=1)
    """The longest piece, as a share of the piece that failed."""
    temperature: float | None = Field(None, ge=0, le=2)
    """The step's own if not given."""
    seed: int | None = None
    """Sent with the request, so that it can be repeated."""
    model: Literal["model", "fallback_model"] = "model"
    """Who is asked; a rung with `fallback_model` is passed over where the step names none, and stands at the end of
    every ladder where it names one."""


_WARM = (Rung(temperature=0.3, seed=1), Rung(temperature=0.3, seed=2, share=0.5))
Retries = dict[Failure, tuple[Rung, ...]]
RETRIES: Retries = {
    "broken_structure": (Rung(mask=False), Rung(cut="line"), Rung(cut="span")),
    "truncated": (Rung(share=0.5), Rung(share=0.25)),
    "engine_error": (Rung(share=0.5), Rung(share=0.25)),
    "loop": _WARM,
    "prompt_leak": _WARM,
    "refusal": (Rung(share=0.5), *_WARM[:1]),
    "answered": (Rung(cut="line"), *_WARM[:1]),
    "echo": (Rung(mask=False), Rung(cut="line"), *_WARM[:1]),
    "wrong_language": (Rung(mask=False), Rung(cut="line"), *_WARM[:1]),
}


def translatable(text: str, *, protect: bool) -> bool:
    """Whether a text has a letter; outside code and formulas, where those are protected."""
    return bool(LETTER.search(text)) and (not protect or bool(LETTER.search(prose(text))))


@dataclass(frozen=True)
class Translation:
    """What became of one text: the best there is, kept even when it failed."""

    text: str
    failure: str | None = None
    """A `Failure`, or None when all is well."""
    detail: str = ""
    """The evidence, and the failures of earlier attempts."""
    requests: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    repairs: int = 0
    """Spans and marks in `text` that had come back in another spelling."""
    fallback: bool = False
    """Whether the fallback model wrote any of `text`."""


@dataclass(frozen=True)
class _Piece:
    """What one request carries (`asked`), for which stretch of the text, and what the marks in it stand for."""

    text: str
    asked: str | None
    held: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Ladder:
    """Who is asked for the texts of a step, in which words and ways, and what the answers are held against."""

    ask: Answerer
    language: str
    """Code of the language that is translated into."""
    prompt: str
    """What the model is asked; `{text}` stands for the text."""
    max_chars: int
    """Longest segment, in characters."""
    protect: bool
    """Whether code, formulas, URLs and the like are kept from the model and must come back unchanged."""
    max_tokens: int
    """Longest answer to one request."""
    system: str | None = None
    temperature: float = 0
    """Of the first attempt."""
    retries: Retries = field(default_factory=RETRIES.copy)
    fallback: Answerer | None = None
    """Who is asked last."""

    @cached_property
    def judge(self) -> Judge:
        """What the answers are held against."""
        return Judge(self.language, self.prompt.replace("{text}", "\n"), structure=self.protect)

    async def translate(self, text: str) -> Translation:
        """One text, cut, asked for piece by piece, checked, and asked for again where `retries` say so.

        One with nothing to translate passes as it is.
        """
        if not translatable(text, protect=self.protect):
            return Translation(text)
        if self.ask.unit == "text":
            whole = await self._recorded(text)
        else:
            whole = await self._segmented(text)
        if whole.failure and self.fallback and "text" in (self.ask.unit, self.fallback.unit):
            # One of the two knows whole texts only, so they cannot share a segment's ladder.
            other = await replace(self, ask=self.fallback, fallback=None).translate(text)
            whole = replace(_spent(other, whole, [whole.failure]), fallback=True)
        return whole

    async def _segmented(self, text: str) -> Translation:
        parts = segments(text, self.max_chars, protect=self.protect)
        done = await together(self._climb(p.text) if p.sent else _given(p.text) for p in parts)
        whole = _joined(done)
        if whole.failure is None and len(done) > 1:
            whole = _found(whole, self.judge.of_text(text, whole.text))
        if whole.failure == "broken_structure" and all(d.failure is None for d in done) and self.retries:
            last = Rung(cut="span")  # every segment kept its structure, the text did not
            again = await self._attempt(text, self._pieces(text, last), last)
            whole = _spent(again, whole, ["broken_structure"])
        return whole

    async def _recorded(self, text: str) -> Translation:
        answer = await self.ask(
            [{"role": "user", "content": text}], temperature=self.temperature, max_tokens=self.max_tokens, text=text
        )
        judge = replace(self.judge, structure=False, length=False)  # the filters see to both
        return _found(_counted(answer), judge.of_answer(text, answer))

    async def _climb(self, text: str) -> Translation:
        """One segment, up the ladder until an answer is good or no way of asking is left."""
        rung, before = Rung(), Translation("")
        failures: list[str] = []
        tried = []
        while True:
            pieces = self._pieces(text, rung)
            tried.append((pieces, rung.temperature, rung.seed, rung.model))
            found = _spent(await self._attempt(text, pieces, rung), before, failures)
            if found.failure is None:
                return found
            failures.append(found.failure)
            for other in self._rungs(found.failure, rung):
                if (self._pieces(text, other), other.temperature, other.seed, other.model) not in tried:
                    break
            else:
                return found
            rung, before = other, found

    def _rungs(self, failure: str, before: Rung) -> list[Rung]:
        """The ways of asking again; the fallback model comes last, and climbs the same ladder from its foot."""
        rungs: tuple[Rung, ...] = self.retries.get(failure, ())  # type: ignore[call-overload]
        own = [r for r in rungs if r.model == "model"]
        if self.fallback is None or self.fallback.unit == "text":
            return own
        last = [r for r in rungs if r.model == "fallback_model"] or [Rung(model="fallback_model")]
        if before.model == "model":
            return own + last
        return [*last, *(r.model_copy(update={"model": "fallback_model"}) for r in own)]

    async def _attempt(self, text: str, pieces: Sequence[_Piece], rung: Rung) -> Translation:
        """Every piece once; the text is judged as a whole when every piece is good."""
        whole = _joined(await together(self._ask_piece(p, rung) for p in pieces))
        if whole.failure is None and self.protect:
            repaired, count = repair(text, whole.text)
            whole = replace(whole, text=repaired, repairs=whole.repairs + count)
        return whole if whole.failure else _found(whole, self.judge.of_text(text, whole.text))

    def _pieces(self, text: str, rung: Rung) -> list[_Piece]:
        most = max(_SHORTEST_PIECE, int(min(self.max_chars, len(text)) * rung.share))
        pieces = []
        for part in segments(text, most, rung.cut if self.protect else "block", protect=self.protect):
            if not part.sent:
                pieces.append(_Piece(part.text, None))
            elif self.protect and rung.mask:
                masked, held = mask(part.text)
                said = LETTER.search(_MARK.sub("", masked)) if held else True
                pieces.append(_Piece(part.text, masked if said else None, tuple(held.items())))
            else:
                pieces.append(_Piece(part.text, part.text))
        return pieces

    async def _ask_piece(self, piece: _Piece, rung: Rung) -> Translation:
        if piece.asked is None:
            return Translation(piece.text)
        messages = [{"role": "user", "content": self.prompt.replace("{text}", piece.asked)}]
        if self.system is not None:
            messages.insert(0, {"role": "system", "content": self.system})
        asked = self.fallback if self.fallback and rung.model == "fallback_model" else self.ask
        answer = await asked(
            messages,
            temperature=self.temperature if rung.temperature is None else rung.temperature,
            max_tokens=self.max_tokens,
            seed=rung.seed,
            text=piece.asked,
        )
        given = _counted(answer)
        unmasked = unmask(given.text, dict(piece.held))
        bare, repairs = (given.text, 0) if unmasked is None else unmasked
        said = replace(answer, text=bare)
        judge = replace(self.judge, structure=False)  # a piece's skeleton depends on what stands around it
        found = judge.of_answer(piece.text, said)
        if found is None and unmasked is None:
            found = Finding("broken_structure", f"{len(piece.held)} marks did not come back once each")
        text = said.text
        if rung.cut != "block" and "\n" not in piece.text:
            text = _LINE_BREAKS.sub(" ", text)
        return _found(replace(given, text=text, repairs=repairs, fallback=asked is self.fallback), found)


def _counted(answer: Answer) -> Translation:
    return Translation(
        answer.text.strip(), requests=1, prompt_tokens=answer.prompt_tokens, output_tokens=answer.output_tokens
    )


def _found(translation: Translation, finding: Finding | None) -> Translation:
    if finding is None:
        return translation
    return replace(translation, failure=finding.failure, detail=finding.detail)


def _joined(parts: Sequence[Translation]) -> Translation:
    """The parts as one; its failure is that of the first part that failed."""
    first = next((p for p in parts if p.failure), Translation(""))
    return Translation(
        "".join(p.text for p in parts),
        first.failure,
        first.detail,
        sum(p.requests for p in parts),
        sum(p.prompt_tokens for p in parts),
        sum(p.output_tokens for p in parts),
        sum(p.repairs for p in parts),
        any(p.fallback for p in parts),
    )


def _spent(last: Translation, before: Translation, failures: Sequence[str]) -> Translation:
    """`last`, charged with the attempts before it, and with their failures in its detail if it failed too."""
    told = f"{last.detail} (before: {', '.join(failures)})" if last.failure and failures else last.detail
    return replace(
        last,
        detail=told,
        requests=last.requests + before.requests,
        prompt_tokens=last.prompt_tokens + before.prompt_tokens,
        output_tokens=last.output_tokens + before.output_tokens,
    )


async def _given(text: str) -> Translation:
    return Translation(text)

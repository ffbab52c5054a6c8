"""`evaluate`: a model beside the one its chain began with, on benchmarks and on held-out translations."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from hala_factory import questions
from hala_factory.errors import did_you_mean
from hala_factory.models import scoring, significance, translations
from hala_factory.models.contamination import attributed
from hala_factory.models.data import PLACES, RowsFrom
from hala_factory.models.step import Bench, Checkpoint, Judging, Verdict
from hala_factory.models.translations import Translations
from hala_factory.questions import Question
from hala_factory.validation import FieldError

SIX = ("alghafa", "arabic-mmlu", "exams", "madinah-qa", "aratrust", "arabic-mmlu-ht")
"""On which the Hala report scores its models."""


class Evaluate(Judging):
    """Score the model that the chain has made, and the one that it began with, on the same questions and texts.

    Benchmarks are asked by lm-eval, without examples: the choice whose label is likeliest per character counts, as in
    lighteval. A benchmark's score is the mean over its subsets where it has some, as the Open Arabic LLM Leaderboard
    has it, and else the share of right answers; both are told. Translations are asked of a server of vLLM, greedily,
    and told are BLEU, chrF++ and ROUGE-L, and the share of distinct answers: a translator that has collapsed says one
    thing to every text. A difference that a paired bootstrap test (1,000 resamples) does not tell from chance is
    called noise. The report names the corpora that went into the model, their licences, and what was found in them of
    the benchmarks. What a checkpoint answered is stored, and no other chain asks it again.
    """

    revision: ClassVar[int] = 1
    gates: ClassVar[tuple[str, ...]] = ("min_gain", "min_chrf_gain", "min_distinct_share", "min_gap")

    step: Literal["evaluate"] = "evaluate"
    benchmarks: tuple[str, ...] = SIX
    """Benchmarks of the catalog; the six of the Hala report by default."""
    samples: bool = False
    """Ask the few questions of their `sample` in place of the benchmarks, e.g. in a profile that knows no Hub."""
    limit: int | None = Field(None, ge=1)
    """Questions of each benchmark, drawn by lot, the same ones every time; null: all."""
    chat: bool = False
    """Whether a prompt is put as a user's turn in the model's chat template, and not as plain text. What the Hala
    report did is not known."""
    translations: tuple[Translations, ...] = ()
    """Held-out texts to translate."""
    min_gain: float | None = None
    """Points (of 100) that the mean over all benchmarks has to gain; null: not asked."""
    min_chrf_gain: float | None = None
    """Points of chrF++ that each set of translations has to gain; null: not asked."""
    min_distinct_share: float | None = Field(0.5, ge=0, le=1)
    """Share of distinct answers among the texts, all of which are distinct; null: not asked."""
    min_gap: float | None = Field(0.05, ge=0)
    """By how many nats a token the right translations of other texts are less likely than those of its own, at least,
    for a model that reads what it is asked; null: not asked."""

    @model_validator(mode="after")
    def _coherent(self) -> Evaluate:
        known = scoring.tasks()
        for name in self.benchmarks:
            if name not in known:
                raise FieldError(
                    "benchmarks", f"benchmarks: there is no task file for {name!r}{did_you_mean(name, known)}"
                )
        if not self.benchmarks and not self.translations:
            raise FieldError("benchmarks", "benchmarks: expected some, or 'translations': there is nothing to score")
        if self.min_gain is not None and not self.benchmarks:
            raise FieldError("min_gain", "min_gain is of benchmarks, and none is asked")
        if self.min_chrf_gain is not None and not self.translations:
            raise FieldError("min_chrf_gain", "min_chrf_gain is of translations, and none are asked for")
        return self

    def data(self) -> dict[str, RowsFrom]:
        """The held-out pairs."""
        return {f"translations.{n}": wanted for n, wanted in enumerate(self.translations)}

    def tests(self) -> list[str]:
        """The benchmarks."""
        return list(self.benchmarks)

    def sampled(self) -> bool:
        """Whether samples are asked."""
        return self.samples

    def identity(self) -> dict[str, Any]:
        """What decides the report: the questions and texts count by their content, prompts by their task files."""
        config = self.model_dump(mode="json", exclude={*self.gates, "name", "benchmarks", "samples"})
        for each in config["translations"]:
            for place in PLACES:
                del each[place]
        known = scoring.tasks()
        return {"config": config, "tasks": {n: known[n] for n in self.benchmarks}, "revision": self.revision}

    def measure(self, bench: Bench, folder: Path) -> dict[str, Any]:
        """Both models' answers, scored. Raises what `compared` raises."""
        return self.compared(bench, {"before": bench.base, "after": bench.model}, folder)

    def compared(self, bench: Bench, models: Mapping[str, Checkpoint], folder: Path) -> dict[str, Any]:
        """The report of one model, or of two (before, after).

        Raises what `questions.read`, `scoring.run`, `answering.run` and `data.find` raise.
        """
        kept = folder / "kept"
        kept.mkdir()
        sets = {name: questions.read(located, self.limit) for name, located in bench.tests.items()}
        found = {w: scoring.run(m, sets, bench, chat=self.chat) for w, m in models.items()} if sets else {}
        told, gains = {}, []
        for name, asked in sets.items():
            records = {word: records[name] for word, records in found.items()}
            right = {word: [a["right"] for a in record["answers"]] for word, record in records.items()}
            _write(kept / f"{name}.jsonl", asked, {w: r["answers"] for w, r in records.items()})
            entry = bench.tests[name].entry
            told[name] = {
                **_scored(asked, right),
                "cut": {word: record["cut"] for word, record in records.items()},
                "licence": entry.licence,
                "revision": bench.tests[name].files.revision,
            }
            if len(right) == 2:
                gains.append(_gain(asked, right))
                told[name] |= gains[-1].told()
        means = {w: round(sum(b["score"][w] for b in told.values()) / len(told), 4) for w in models} if told else {}
        return {
            "samples": self.samples,
            "limit": self.limit,
            "chat": self.chat,
            "benchmarks": told,
            "mean": {"score": means, **(significance.mean(gains).told() if gains else {})},
            "translations": [
                translations.measured(wanted, models, bench, kept / f"translations-{n}.jsonl", folder)
                for n, wanted in enumerate(self.translations, 1)
            ],
            "models": {word: checkpoint.name for word, checkpoint in models.items()},
            "read": attributed(bench),
            "software": {
                n: v for records in found.values() for r in records.values() for n, v in r["software"].items()
            },
        }

    def verdicts(self, report: dict[str, Any]) -> list[Verdict]:
        """The gates over a report; those that are null are not asked."""
        found = []
        if self.min_gain is not None:
            found.append(_verdict("min_gain", report["mean"], self.min_gain, "points", "ask more questions to know"))
        for each in report["translations"]:
            of = f" on {each['of']}" if len(report["translations"]) > 1 else ""
            if self.min_chrf_gain is not None:
                chrf = each["scores"]["chrf"]
                found.append(
                    _verdict("min_chrf_gain", chrf, self.min_chrf_gain, f"points{of}", "draw more texts to know")
                )
            if self.min_distinct_share is not None:
                share, least = each["distinct_share"]["after"], self.min_distinct_share
                because = (
                    "" if share >= least else "many texts have the same answer: the translator may have collapsed"
                )
                shown = f"{share:.1%} of {each['texts']:,} answers{of}"
                found.append(Verdict("min_distinct_share", shown, f"≥ {least:.1%}", share >= least, because))
            if self.min_gap is not None:
                gap = each["reads"]["after"]["gap"]
                because = "" if gap >= self.min_gap else "it translates without reading: the translator has collapsed"
                shown = f"{gap:+.3f} nats a token{of}"
                found.append(Verdict("min_gap", shown, f"≥ {self.min_gap:g}", gap >= self.min_gap, because))
        return found


def _verdict(gate: str, told: Mapping[str, Any], least: float, points: str, hint: str) -> Verdict:
    p = told["p"]
    sure = "both score the same" if p is None else f"{'noise' if told['noise'] else 'beyond noise'}, p = {p:.3f}"
    shown = f"{told['gain']:+.2f} {points} ({sure})"
    return Verdict(gate, shown, f"≥ {least:g}", told["gain"] >= least, hint if told["noise"] else "")


def _subsets(asked: Sequence[Question]) -> dict[str, list[int]]:
    """Places of the questions of each subset; of a benchmark without subsets, all under ''."""
    found: dict[str, list[int]] = {}
    for n, question in enumerate(asked):
        found.setdefault(question.subset, []).append(n)
    return dict(sorted(found.items()))


def _scored(asked: Sequence[Question], right: Mapping[str, list[bool]]) -> dict[str, Any]:
    """Scores from 0 to 100: over subsets, over all questions, and of each subset."""
    subsets = _subsets(asked)
    shares = {
        name: {word: 100 * sum(r[n] for n in places) / len(places) for word, r in right.items()}
        for name, places in subsets.items()
    }
    return {
        "questions": len(asked),
        "averaged": "subsets" if len(subsets) > 1 else "questions",
        "score": {w: round(sum(share[w] for share in shares.values()) / len(shares), 4) for w in right},
        "accuracy": {word: round(100 * sum(r) / len(r), 4) for word, r in right.items()},
        "subsets": {
            name: {"questions": len(subsets[name]), **{w: round(s, 4) for w, s in share.items()}}
            for name, share in shares.items()
            if len(shares) > 1
        },
    }


def _gain(asked: Sequence[Question], right: Mapping[str, list[bool]]) -> significance.Gain:
    before, after = right.values()
    return significance.gain([[after[n] - before[n] for n in places] for places in _subsets(asked).values()])


def _write(path: Path, asked: Sequence[Question], answers: Mapping[str, list[dict[str, Any]]]) -> None:
    """Every question with what each model made of it."""
    with path.open("w", encoding="utf-8") as out:
        for n, question in enumerate(asked):
            head = {"row": question.row, "subset": question.subset, "answer": question.answer}
            line = {**head, **{word: each[n] for word, each in answers.items()}}
            out.write(json.dumps(line, ensure_ascii=False) + "\n")

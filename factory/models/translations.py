"""How well models translate held-out texts: BLEU, chrF++ and ROUGE-L, and how many of their answers are distinct."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from hala_factory.models import answering, program
from hala_factory.models.data import RowsFrom, Task, Turns, find
from hala_factory.models.rouge import SIGNATURE, rouge_l
from hala_factory.models.scores import compare, score
from hala_factory.models.significance import gain
from hala_factory.models.step import Bench, Checkpoint

CALLED = {"chrf": "chrF++", "bleu": "BLEU", "rouge_l": "ROUGE-L"}


LOOKED = 64
"""Texts over which is looked whether a model reads them."""


class Translations(RowsFrom, Task):
    """Held-out texts and their translations by people, and how a model is asked for its own."""

    max_tokens: int = Field(512, ge=1)
    """Of an answer; what is longer is cut, and counted as cut."""


def measured(
    wanted: Translations, models: Mapping[str, Checkpoint], bench: Bench, kept: Path, folder: Path
) -> dict[str, Any]:
    """What the models answer, one or two (before, after), scored; the answers go to the file `kept`.

    `folder` is for programs to work in. Raises what `answering.run`, `data.find` and `program.run` raise.
    """
    found = find(wanted, bench.catalog, bench.store)
    pairs = found.pairs(wanted.source_language, wanted.to)
    texts, references = map(list, zip(*pairs, strict=True))
    asked = answering.Asked(tuple(texts), wanted.prompt, wanted.max_tokens)
    runs = {word: answering.run(checkpoint, asked, bench) for word, checkpoint in models.items()}
    answers = {word: run["hypotheses"] for word, run in runs.items()}
    with kept.open("w", encoding="utf-8") as out:
        for n, (text, reference) in enumerate(zip(texts, references, strict=True)):
            line = {"text": text, "reference": reference, **{word: answers[word][n] for word in answers}}
            out.write(json.dumps(line, ensure_ascii=False) + "\n")
    return {
        "of": found.told,
        "licence": _licence(wanted, bench),
        "content": found.identity,
        "from": wanted.source_language,
        "to": wanted.to,
        "texts": len(texts),
        "scores": scored(answers, references),
        "distinct_share": {word: round(len(set(said)) / len(texts), 4) for word, said in answers.items()},
        "distinct_references": round(len(set(references)) / len(texts), 4),
        "runs": {
            word: {k: run[k] for k in ("answered", "failed", "cut", "first_error")} for word, run in runs.items()
        },
        "reads": _reads([wanted.conversation(*pair) for pair in pairs[:LOOKED]], models, bench, folder),
    }


def _reads(
    chats: list[Turns], models: Mapping[str, Checkpoint], bench: Bench, folder: Path
) -> dict[str, dict[str, float]]:
    """By model, whether what it answers depends on what it is asked: see `train.collapse`."""
    found = {}
    for word, checkpoint in models.items():
        work = folder / f"reads-{word}"
        work.mkdir()
        order = {"model": str(checkpoint.place), "revision": checkpoint.revision, "chats": chats, "max_length": 1024}
        log = bench.store.root / "logs" / f"collapse-{checkpoint.name}-{os.getpid()}.log"
        local = isinstance(checkpoint.place, Path)
        found[word] = program.run("collapse", order, work, log, bench.say, offline=local)
        shutil.rmtree(work)
    return found


def _licence(wanted: Translations, bench: Bench) -> str | None:
    """The terms of the pairs, as far as the catalog or the store knows them."""
    if wanted.source is not None:
        return bench.catalog.catalog.sources[wanted.source].licence
    if wanted.corpus is not None:
        name, _, version = bench.catalog.artifact(wanted.corpus).partition("@")
        return str(((bench.store.manifest(name, version) or {}).get("licence") or {}).get("licence") or "unknown")
    return None


def scored(answers: Mapping[str, list[str]], references: list[str]) -> dict[str, dict[str, Any]]:
    """Each metric of each set of answers, from 0 to 100; of two sets also the gain, its p, and whether it is noise."""
    rouge = {word: rouge_l(said, references) for word, said in answers.items()}
    scores: dict[str, dict[str, Any]] = {}
    if len(answers) == 2:
        (first, one), (second, two) = answers.items()
        for word, both in compare(one, two, references).items():
            told = {"gain": round(-both.loss, 4), "p": both.p, "noise": both.noise, "signature": both.signature}
            scores[word] = {first: both.original, second: both.quantised, **told}
    else:
        ((only, said),) = answers.items()
        for word, (points, signature) in score(said, references).items():
            scores[word] = {only: points, "signature": signature}
    scores["rouge_l"] = {w: round(100 * sum(each) / len(each), 4) for w, each in rouge.items()}
    scores["rouge_l"]["signature"] = SIGNATURE
    if len(rouge) == 2:
        before, after = rouge.values()
        more = gain([[b - a for a, b in zip(before, after, strict=True)]])
        scores["rouge_l"] |= {"gain": round(100 * more.gain, 4), "p": more.p, "noise": more.noise}
    return {word: scores[word] for word in CALLED}

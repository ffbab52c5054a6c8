"""`accept`: the original and the model made of it answer the same held-out texts, and a gate lets the new one pass."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from hala_factory.models.answering import Asked, run
from hala_factory.models.data import PROMPT, Code, RowsFrom, find
from hala_factory.models.scores import compare
from hala_factory.models.step import Bench, Checkpoint, Judging, Verdict


class Accept(Judging):
    """Let the model that the chain has made pass if it translates as well as the one it was made of, and faster.

    Both are served by vLLM with the same arguments and asked the same held-out texts, greedily and afresh, for speed
    cannot be replayed. Told are BLEU and chrF++ with sacreBLEU's signatures, the output tokens of a second from the
    first request to the last answer, what the server holds in memory, and what the checkpoint takes on disk. A
    difference that a paired bootstrap test (1,000 resamples) does not tell from chance is called noise; the gate holds
    all the same, so draw enough texts.
    """

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    revision: ClassVar[int] = 1
    gates: ClassVar[tuple[str, ...]] = ("max_chrf_loss", "min_speedup", "min_n")

    step: Literal["accept"] = "accept"
    pairs: RowsFrom
    """Held-out texts and their translations by people."""
    prompt: str = Field(PROMPT, pattern=r"\{text\}")
    """What a model is asked; {text} is the text. Hala's own by default."""
    source_language: Code = Field("en", alias="from")
    """Language of the texts."""
    to: Code = "ar"
    """Language of the translations."""
    max_tokens: int = Field(512, ge=1)
    """Of an answer; what is longer is cut, and counted as cut."""
    max_chrf_loss: float | None = Field(0.5, ge=0)
    """Points of chrF++ (of 100) that may be lost; null: not asked."""
    min_speedup: float | None = Field(None, gt=0)
    """Output tokens of a second, as a multiple of the original's."""
    min_n: int = Field(200, ge=1)
    """Texts that both have to have answered; of fewer nothing can be said."""

    def data(self) -> dict[str, RowsFrom]:
        """The held-out pairs."""
        return {"pairs": self.pairs}

    def measure(self, bench: Bench, folder: Path) -> dict[str, Any]:
        """Both models' answers, scored. Raises what `answering.run` and `data.find` raise."""
        pairs = find(self.pairs, bench.catalog, bench.store).pairs(self.source_language, self.to)
        texts, references = zip(*pairs, strict=True)
        asked = Asked(tuple(texts), self.prompt, self.max_tokens)
        runs = {"original": run(bench.base, asked, bench), "quantised": run(bench.model, asked, bench)}
        original, quantised = (r.pop("hypotheses") for r in runs.values())
        scores = compare(original, quantised, list(references))
        kept = folder / "kept"
        kept.mkdir()
        for word, hypotheses in (("original", original), ("quantised", quantised)):
            _write(kept / f"{word}.jsonl", texts, references, hypotheses)
        for record, checkpoint in zip(runs.values(), (bench.base, bench.model), strict=True):
            del record["files"]
            record["disk_bytes"] = _on_disk(checkpoint)
        return {
            "n": min(r["answered"] for r in runs.values()),
            "texts": len(texts),
            "same_answers": sum(a == b for a, b in zip(original, quantised, strict=True)),
            "scores": {word: score.told() for word, score in scores.items()},
            "speedup": round(runs["quantised"]["tokens_per_second"] / runs["original"]["tokens_per_second"], 4),
            "runs": runs,
        }

    def verdicts(self, report: dict[str, Any]) -> list[Verdict]:
        """The gates over a report; those that are null are not asked."""
        chrf, n = report["scores"]["chrf"], report["n"]
        found = [Verdict("min_n", f"{n:,} texts", f"≥ {self.min_n:,}", n >= self.min_n, _refused(report))]
        if self.max_chrf_loss is not None:
            lost, p = chrf["loss"], chrf["p"]
            told = (
                "both score the same" if p is None else f"{'noise' if chrf['noise'] else 'beyond noise'}, p = {p:.3f}"
            )
            shown = f"{lost:+.2f} points lost ({told})"
            because = "draw more texts to know" if chrf["noise"] else ""
            asked = f"≤ {self.max_chrf_loss:g}"
            found.append(Verdict("max_chrf_loss", shown, asked, lost <= self.max_chrf_loss, because))
        if self.min_speedup is not None:
            speedup = report["speedup"]
            first = next(iter(report["runs"].values()))["machine"]
            asked = f"≥ {self.min_speedup:g} ×"
            on = f"on {first['gpus'] or first['processor']}"
            found.append(Verdict("min_speedup", f"{speedup:.2f} ×", asked, speedup >= self.min_speedup, on))
        return found


def _refused(report: dict[str, Any]) -> str:
    told = [f"{w}: {r['failed']:,} refused ({r['first_error']})" for w, r in report["runs"].items() if r["failed"]]
    return "; ".join(told) or f"{report['texts']:,} were drawn"


def _on_disk(checkpoint: Checkpoint) -> int | None:
    """Bytes of the weights; None for a checkpoint that is on the Hub."""
    if isinstance(checkpoint.place, str):
        return None
    return sum(p.stat().st_size for p in checkpoint.place.glob("*.safetensors"))


def _write(path: Path, texts: tuple[str, ...], references: tuple[str, ...], hypotheses: list[str]) -> None:
    with path.open("w", encoding="utf-8") as out:
        for text, reference, answer in zip(texts, references, hypotheses, strict=True):
            line = {"text": text, "reference": reference, "answer": answer}
            out.write(json.dumps(line, ensure_ascii=False) + "\n")

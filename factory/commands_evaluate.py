"""`evaluate` by hand: one model on benchmarks and on held-out translations, with no chain around it."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from hala_factory.options import catalog_at, catalog_option, json_option, store_at, store_option


@click.command()
@click.argument("model")
@click.option("--benchmarks", "names", metavar="A,B", help="Of the catalog; the six of Hala, none with --pairs alone.")
@click.option("--pairs", help="A file of texts and translations (columns en and ar) to translate; served by vLLM.")
@click.option("--samples", is_flag=True, help="Ask the benchmarks' samples, which need no Hub and tell nothing.")
@click.option("--limit", type=click.IntRange(1), help="Questions of each benchmark, and texts, drawn by lot.")
@click.option("--chat", is_flag=True, help="Put prompts as a user's turn in the chat template.")
@catalog_option
@store_option
@json_option
def evaluate(
    model: str,
    names: str | None,
    pairs: str | None,
    samples: bool,
    limit: int | None,
    chat: bool,
    catalog_file: Path | None,
    store_place: str | None,
    as_json: bool,
) -> None:
    """Score MODEL (a checkpoint folder, or a name of the catalog) by hand; a recipe scores its base beside it."""
    from hala_factory import benchmarks, claims, questions
    from hala_factory.generate import checkpoint as checkpoints
    from hala_factory.models import by_hand
    from hala_factory.models.contamination import went_into
    from hala_factory.models.evaluate import Evaluate
    from hala_factory.models.evaluation import tell
    from hala_factory.models.step import Bench

    data: dict[str, Any] = {"samples": samples, "limit": limit, "chat": chat}
    if names is not None or pairs:
        data["benchmarks"] = [name.strip() for name in (names or "").split(",") if name.strip()]
    if pairs:
        data["translations"] = [{"path": str(Path(pairs).resolve()), **({"n": limit} if limit else {})}]
    step = by_hand.configured(Evaluate, data)
    catalog, store = catalog_at(catalog_file), store_at(store_place)
    found = by_hand.checkpoint(model, catalog, store)
    identity = checkpoints.identity(found.name, found.place, found.revision, store.digest_of)
    asked = replace(found, identity=identity)
    tests = {}
    if step.benchmarks:
        tests = benchmarks.find(step.benchmarks, catalog, store.digest_of, samples=samples)
    for located in tests.values():
        questions.expect(located)
    bench = Bench(store, catalog, asked, asked, lambda line: click.echo(line, err=True), tests=tests)
    with claims.claimed(store, everything=True), tempfile.TemporaryDirectory(prefix="hala-evaluate-") as folder:
        report = step.compared(replace(bench, read=went_into(asked)), {"model": asked}, Path(folder))
    click.echo(json.dumps(report, ensure_ascii=False) if as_json else tell(report))

"""The commands that lay out and build what a recipe makes: `plan` and `build`."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hala_factory import commands_models
from hala_factory.errors import InputError
from hala_factory.options import (
    catalog_at,
    catalog_option,
    graph_of,
    json_option,
    limit_option,
    plan_of,
    profile_option,
    recipe_file,
    store_option,
    tell_built,
    told_rows,
)
from hala_factory.tables import table

if TYPE_CHECKING:
    from hala_factory.catalog import Loaded
    from hala_factory.graph import Graph


@click.command("plan")
@click.argument("recipe")
@profile_option
@limit_option
@click.option(
    "--calibrate",
    is_flag=True,
    help="Ask the models 200 rows of every stage, to measure tokens and tokens/s; the answers are stored.",
)
@catalog_option
@store_option
@json_option
def plan_command(
    recipe: str,
    profile: str | None,
    limit: int | None,
    calibrate: bool,
    catalog_file: Path | None,
    store_place: str | None,
    as_json: bool,
) -> None:
    """Print the stages of RECIPE: stored or to run, and why; and what asking models will cost.

    Rows, tokens, hours and money are told as expected (low–high), with how they are known. No model is asked without
    --calibrate.
    """
    from hala_factory import acceptance, inheriting, licences
    from hala_factory.cost import telling
    from hala_factory.cost.estimate import estimate

    graph = graph_of(recipe, profile, catalog_at(catalog_file), store_place)
    needed = _needed(graph, store_place)
    if not as_json and needed:
        click.echo(table(["made of", "status", "why"], [list(n.values()) for n in needed]) + "\n")
    if any(n["status"] == "to run" for n in needed):
        artifact = graph.nodes[-1].artifact
        if as_json:
            click.echo(json.dumps({"artifact": artifact, "profile": profile, "needed": needed, "stages": None}))
            return
        click.echo(f"{artifact}: its stages are known when what it is made of stands; `build` builds that first")
        return
    catalog = graph.catalog
    model = commands_models.planned(recipe_file(recipe), catalog, profile, limit, store_place)
    if model is not None:
        commands_models.tell_plan(model, needed, as_json=as_json)
        return
    made = plan_of(recipe, profile, limit, catalog, store_place)
    if calibrate and made.corpus.status != "stored":
        from hala_factory.progress import Bars
        from hala_factory.run.calibrating import calibrate as measure

        with Bars(quiet=as_json) as bars:
            measure(made, bars, workers=len(os.sched_getaffinity(0)))
        made = plan_of(recipe, profile, limit, catalog, store_place)
    costs = estimate(made)
    hits = {name: found for name, cost in costs.items() if (found := telling.hits(cost)) is not None}
    licence = inheriting.expected(made).told()
    asked = made.ready.recipe.review
    review = acceptance.words(asked, made.corpus.rows_out) if asked else None
    if as_json:
        told = {
            "artifact": made.artifact,
            "profile": profile,
            "fingerprint": made.corpus.fingerprint,
            "stages": [
                {
                    **s.told(),
                    **({"hits": hits[s.name]} if s.name in hits else {}),
                    **({"cost": telling.told(costs[s.name])} if s.name in costs else {}),
                }
                for s in made.stages
            ],
            "cost": telling.summed(made, costs),
            "licence": licence,
            **({"review": review} if review else {}),
            "needed": needed,
        }
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    why = {
        s.name: f"{s.reason}; {telling.tell_hits(hits[s.name])}" if s.name in hits else s.reason for s in made.stages
    }
    lines = [[s.name, s.status, why[s.name], "" if s.rows_out is None else f"{s.rows_out:,}"] for s in made.stages]
    click.echo(f"{made.artifact}{f' (profile {profile})' if profile else ''}")
    click.echo(table(["stage", "status", "why", "rows"], lines))
    if any(s.kind == "ask" for s in made.stages):
        click.echo(f"\n{telling.tell(made, costs)}")
    click.echo("\n".join(["", *licences.tell(licence), *([f"review: {review}"] if review else [])]))


@dataclass(frozen=True)
class Limits:
    """What a run may take; None and empty: as much as it needs."""

    rows: int | None = None
    tokens: int | None = None
    hours: float | None = None
    cost: tuple[str, ...] = ()

    @property
    def budget(self) -> bool:
        """Whether models may be asked only so much."""
        return bool(self.tokens or self.hours or self.cost)


@dataclass(frozen=True)
class How:
    """How a build is run; what comes of it is the same."""

    workers: int
    shard_rows: int
    report: bool
    quiet: bool
    locked: bool


@click.command("build")
@click.argument("recipe")
@profile_option
@limit_option
@click.option("--workers", type=click.IntRange(1), help="Processes at work at a time; the machine's cores by default.")
@click.option("--shard-rows", type=click.IntRange(1), default=8_192, show_default=True, help="Rows of a shard.")
@click.option("--no-report", is_flag=True, help="Draw no report.html; `report NAME@VERSION --out FILE` does it later.")
@catalog_option
@store_option
@click.option(
    "--max-tokens",
    type=click.IntRange(1),
    metavar="N",
    help="Stop asking models before this run has had N tokens read and written.",
)
@click.option(
    "--max-hours",
    type=click.FloatRange(0, min_open=True),
    metavar="H",
    help="Stop asking models H hours after this run began, reading and filtering included.",
)
@click.option(
    "--max-cost",
    multiple=True,
    metavar="AMOUNT[CURRENCY]",
    help="Stop asking models before this run has cost so much, by the catalog's price_per_million: 5, or 5EUR. "
    "Currencies are not added up: where models are paid in several, give one amount for each.",
)
@click.option("--locked", is_flag=True, help="Take what the lock beside the recipe pins, and refuse anything else.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
@json_option
def build_command(
    recipe: str,
    profile: str | None,
    limit: int | None,
    workers: int | None,
    shard_rows: int,
    catalog_file: Path | None,
    store_place: str | None,
    max_tokens: int | None,
    max_hours: float | None,
    max_cost: tuple[str, ...],
    locked: bool,
    no_report: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Build RECIPE (a name or a file), and before it what it is made of and other recipes make.

    Run it again after an interruption and it goes on.

    At a limit (--max-tokens, --max-hours, --max-cost) no further request is sent, those under way are finished and
    stored, and the command exits 1 with what was spent and what is left. The same command goes on from there, with
    the whole limit again. Answers from the store, and from files (engines recorded and batch), cost nothing.
    """
    from hala_factory.run.process import settle

    settle()  # before anything is imported that takes much memory
    from hala_factory.generate.budget import BudgetReached

    graph = graph_of(recipe, profile, catalog_at(catalog_file), store_place)
    limits = Limits(limit, max_tokens, max_hours, max_cost)
    how = How(workers or len(os.sched_getaffinity(0)), shard_rows, not no_report, quiet, locked)
    if limits.budget and graph.before:
        names = ", ".join(node.artifact for node in graph.before)
        if any(made["status"] == "to run" for made in _needed(graph, store_place)):
            raise InputError(f"a budget is for one corpus: build what it is made of first ({names})")
    needed = []
    for node in graph.before:
        made = _made(str(node.file), node.profile, graph.catalog, store_place, Limits(), how)
        status = "stored" if all(stage["status"] == "stored" for stage in made["stages"]) else "run"
        needed.append({"artifact": node.artifact, "status": status, "digest": made["digest"]})
        if status == "run" and not quiet:
            click.echo(f"{node.artifact}: built", err=True)
    try:
        told = _made(recipe, profile, graph.catalog, store_place, limits, how)
    except BudgetReached as reached:
        if as_json:
            click.echo(json.dumps(reached.told, ensure_ascii=False))
        raise
    if as_json:
        click.echo(json.dumps({**told, "needed": needed} if needed else told, ensure_ascii=False))
        return
    tell_built(told)
    if "rows" not in told:
        commands_models.tell_gates(told)
        return
    click.echo(told_rows(told["rows"]))
    if asked := told["generation"]["requests"]:
        click.echo(_told_answers(asked, told["generation"]))


def _needed(graph: Graph, store_place: str | None) -> list[dict[str, str]]:
    """What the last recipe of a graph is made of, and whether it stands as the recipes have it."""
    told: dict[str, dict[str, str]] = {}
    for node in graph.before:
        waits = [told[name]["artifact"] for name in node.needs if told[name]["status"] == "to run"]
        status, reason = "to run", f"made of {waits[0]}" if waits else ""
        if not waits:
            model = commands_models.planned(node.file, graph.catalog, node.profile, None, store_place)
            if model is not None:
                status, reason = model.last()["status"], model.last()["reason"]
            else:
                made = plan_of(str(node.file), node.profile, None, graph.catalog, store_place)
                status, reason = made.corpus.status, made.corpus.reason
        told[node.name] = {"artifact": node.artifact, "status": status, "reason": reason}
    return list(told.values())


def _made(
    recipe: str, profile: str | None, catalog: Loaded, store_place: str | None, limits: Limits, how: How
) -> dict[str, Any]:
    """What a recipe makes, built; all that it is made of stands."""
    from hala_factory.progress import Bars
    from hala_factory.run.billing import budget_of
    from hala_factory.run.building import build

    model = commands_models.planned(recipe_file(recipe), catalog, profile, limits.rows, store_place)
    if model is not None:
        if limits.budget:
            raise InputError("a budget is for corpora: a model recipe asks no more than 'n' texts of each model")
        return commands_models.build(model, quiet=how.quiet)
    made = plan_of(recipe, profile, limits.rows, catalog, store_place, locked=how.locked)
    budget = budget_of(made, max_tokens=limits.tokens, max_hours=limits.hours, max_cost=limits.cost)
    with Bars(quiet=how.quiet) as bars:
        return build(made, bars, workers=how.workers, shard_rows=how.shard_rows, budget=budget, report=how.report)


def _told_answers(asked: int, generation: dict[str, Any]) -> str:
    told = f"  models  {asked:,} answers, {generation['from_store']:,} of them from the store"
    for word in ("spent", "saved"):
        money = ", ".join(f"{amount:,.2f} {currency}" for currency, amount in generation.get(word, {}).items())
        told += f"{', ' if word == 'saved' else '; '}{word} {money}" if money else ""
    return told

"""The steps of model recipes by hand: `train`, `quantize` and `merge`; and `lint`, which looks before one trains."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hala_factory.errors import InputError
from hala_factory.options import catalog_at, json_option, store_at, store_option

if TYPE_CHECKING:
    from hala_factory.catalog import Loaded

catalog_option = click.option(
    "--catalog", "catalog_file", type=click.Path(path_type=Path), help="Catalog that knows the models named."
)
out_option = click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder of the new checkpoint."
)


@click.command()
@click.argument("model")
@out_option
@click.option("--scheme", default="FP8_DYNAMIC", show_default=True, help="FP8_DYNAMIC, FP8_BLOCK, W8A8 or W4A16.")
@click.option("--method", default="rtn", show_default=True, help="rtn, or gptq, which wants --calibration.")
@click.option("--ignore", multiple=True, help="A linear layer to leave as it is; lm_head if not given.")
@click.option("--calibration", help="A file of pairs (columns en and ar) for gptq.")
@click.option("--rows", type=click.IntRange(1), help="Calibration rows to draw; 512 if not given.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of what is drawn by lot.")
@catalog_option
@store_option
@json_option
def quantize(
    model: str,
    out: Path,
    scheme: str,
    method: str,
    ignore: tuple[str, ...],
    calibration: str | None,
    rows: int | None,
    seed: int,
    catalog_file: Path | None,
    store_place: str | None,
    as_json: bool,
) -> None:
    """Quantise MODEL (a checkpoint folder, or a name of the catalog) by hand; a recipe also accepts it."""
    from hala_factory.models import by_hand
    from hala_factory.models.quantise import Quantise
    from hala_factory.models.step import Bench

    if rows and not calibration:
        raise InputError("--rows is of --calibration: name a file of pairs")
    data: dict[str, Any] = {"scheme": scheme, "method": method, "seed": seed}
    data |= {"ignore": list(ignore)} if ignore else {}
    if calibration:
        data["calibration"] = {"path": str(Path(calibration).resolve()), **({"n": rows} if rows else {})}
    step = by_hand.configured(Quantise, data)
    catalog, store = _catalog(catalog_file, model), store_at(store_place)
    base = by_hand.checkpoint(model, catalog, store)
    told = by_hand.make(step, Bench(store, catalog, base, base, _say), out)
    if as_json:
        click.echo(json.dumps({"path": str(out.resolve()), **told}, ensure_ascii=False))
        return
    click.echo(f"{out}: {told['scheme']}, {told['quantised']} linear layers, {told['bytes']:,} bytes of weights")


@click.command()
@click.argument("base")
@click.argument("tuned")
@out_option
@click.option("--method", default="slerp", show_default=True, help="slerp, linear, task_arithmetic, ties, dare_ties.")
@click.option("--t", type=float, default=0.5, show_default=True, help="0 is BASE, 1 is TUNED.")
@catalog_option
@store_option
@json_option
def merge(
    base: str,
    tuned: str,
    out: Path,
    method: str,
    t: float,
    catalog_file: Path | None,
    store_place: str | None,
    as_json: bool,
) -> None:
    """Merge TUNED into BASE by hand (each a checkpoint folder, or a name of the catalog).

    Tokenizer and chat template are those of TUNED. The weights are checked against the method's formula.
    """
    from hala_factory.models import by_hand
    from hala_factory.models.merge import Merge
    from hala_factory.models.step import Bench

    step = by_hand.configured(Merge, {"method": method, "t": t})
    catalog, store = _catalog(catalog_file, base, tuned), store_at(store_place)
    first, last = (by_hand.checkpoint(name, catalog, store) for name in (base, tuned))
    told = by_hand.make(step, Bench(store, catalog, first, last, _say), out)
    if as_json:
        click.echo(json.dumps({"path": str(out.resolve()), **told}, ensure_ascii=False))
        return
    click.echo(
        f"{out}: {told['method']} at t = {told['t']:g}, {told['tensors']:,} tensors, {told['checked']:,} checked, "
        f"largest error {told['largest_error']:.1e}"
    )


@click.command()
@click.argument("model")
@click.option("--rows", required=True, help="NAME@VERSION of a corpus in the store, or a file.")
@out_option
@click.option(
    "--columns", help="Of a file: its layout, as in the catalog; pairs with the columns en and ar if not given."
)
@click.option(
    "--set", "fields", multiple=True, metavar="FIELD=VALUE", help="Of the step sft, e.g. learning_rate=1e-4."
)
@catalog_option
@store_option
@json_option
def train(
    model: str,
    rows: str,
    out: Path,
    columns: str | None,
    fields: tuple[str, ...],
    catalog_file: Path | None,
    store_place: str | None,
    as_json: bool,
) -> None:
    """Fine-tune MODEL (a checkpoint folder, or a name of the catalog) by hand; a recipe keeps what came of it.

    Interrupted, the same command goes on from its last checkpoint, which stands beside --out until it is done.
    """
    import shutil

    from hala_factory import yamlfile
    from hala_factory.models import by_hand
    from hala_factory.models.sft import Sft
    from hala_factory.models.step import Bench

    if wrong := [field for field in fields if "=" not in field]:
        raise InputError(f"--set {wrong[0]}: expected FIELD=VALUE")
    data: dict[str, Any] = {name: yamlfile.value(given) for name, given in (f.split("=", 1) for f in fields)}
    if Path(rows).is_file():
        data["rows"] = {"path": str(Path(rows).resolve()), **({"columns": columns} if columns else {})}
    else:
        data["rows"] = {"corpus": rows}
    step = by_hand.configured(Sft, data)
    catalog, store = _catalog(catalog_file, model), store_at(store_place)
    base = by_hand.checkpoint(model, catalog, store)
    scratch = out.resolve().with_name(f".{out.name}-unfinished")
    bench = Bench(store, catalog, base, base, _say, scratch=scratch, artifact=out.name)
    told = by_hand.make(step, bench, out)
    shutil.rmtree(scratch, ignore_errors=True)
    if as_json:
        click.echo(json.dumps({"path": str(out.resolve()), **told}, ensure_ascii=False))
        return
    last = f", loss {told['losses'][-1][1]:.4f}" if told["losses"] else ""
    click.echo(f"{out}: {told['steps']:,} steps over {told['rows']:,} conversations{last}")


@click.command()
@click.argument("corpus")
@click.option("--model", required=True, help="A checkpoint folder, or a name of the catalog.")
@click.option("--max-length", type=click.IntRange(1), help="Tokens of a row; what the model can read if not given.")
@click.option("--columns", default="messages", show_default=True, help="Of a file: its layout, as in the catalog.")
@click.option("--pair", nargs=2, metavar="FROM TO", help="Of pairs: the languages, e.g. en ar.")
@click.option("--prompt", help="Of pairs: how {text} is put to the model; Hala's if not given.")
@click.option("--bound", "bounds", multiple=True, metavar="NAME=SHARE", help="E.g. max_over_length_share=0.2.")
@catalog_option
@store_option
@json_option
def lint(
    corpus: str,
    model: str,
    max_length: int | None,
    columns: str,
    pair: tuple[str, str] | None,
    prompt: str | None,
    bounds: tuple[str, ...],
    catalog_file: Path | None,
    store_place: str | None,
    as_json: bool,
) -> None:
    """Look at CORPUS (NAME@VERSION, or a file) as MODEL's tokenizer and chat template read it.

    Every row is looked at; exit 1 where a bound is broken.
    """
    import os

    from hala_factory.models import by_hand, linting
    from hala_factory.models.data import RowsFrom, Task, find
    from hala_factory.models.lint_table import tell

    limits = by_hand.configured(linting.LintBounds, dict(bound.split("=", 1) for bound in bounds))
    catalog, store = _catalog(catalog_file, model), store_at(store_place)
    checkpoint = by_hand.checkpoint(model, catalog, store)
    source, target = pair or ("en", "ar")
    task = by_hand.configured(Task, {"from": source, "to": target, **({"prompt": prompt} if prompt else {})})
    if Path(corpus).is_file():
        layout: Any = {code: code for code in pair} if pair else columns
        place = {"path": str(Path(corpus).resolve()), "columns": layout, "n": None}
    else:
        place = {"corpus": corpus, "n": None}
    log = store.root / "logs" / f"lint-{checkpoint.name}-{os.getpid()}.log"
    with tempfile.TemporaryDirectory(prefix="hala-lint-") as folder:
        rows = linting.rows_of(find(by_hand.configured(RowsFrom, place), catalog, store), Path(folder), task)
        report = linting.lint(rows, checkpoint, max_length, Path(folder), log, _say)
    verdicts = linting.hold(report, limits)
    broken = [v.gate for v in verdicts if not v.passed]
    if as_json:
        click.echo(json.dumps({**report, "broken": broken}, ensure_ascii=False))
    else:
        click.echo(tell(report, verdicts))
    if broken:
        raise SystemExit(1)


def _catalog(file: Path | None, *models: str) -> Loaded:
    """The catalog that knows the models; an empty one where all are folders and none is named."""
    from hala_factory.models.by_hand import nothing_known

    if file is None and all(Path(model).is_dir() for model in models):
        return nothing_known()
    return catalog_at(file)


def _say(line: str) -> None:
    click.echo(line, err=True)

"""Whether a manifest agrees with itself and with the small files beside it: ledgers, totals, lock, recipe, licence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from hala_factory import yamlfile
from hala_factory.errors import InputError
from hala_factory.inheriting import licence_counts
from hala_factory.licence_table import REVISION
from hala_factory.licences import Derived
from hala_factory.review import loading, sample
from hala_factory.run.ledger import Ledger, Tally
from hala_factory.verify.files import MANIFEST, Finding

MISSING = "is not the manifest of a version as hala-factory writes it"


def agreement(
    folder: Path, manifest: dict[str, Any], artifact: str, hurt: Collection[str]
) -> tuple[list[Finding], list[str]]:
    """What does not agree, and notes on what could not be compared; files that are `hurt` are left out."""
    try:
        problems = [*_named(manifest, artifact), *_balance(manifest), *_exports(manifest)]
        licence, notes = _licence(manifest)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        return [Finding(MANIFEST, f"{MISSING}: {type(error).__name__}: {error}")], []
    found = [Finding(MANIFEST, problem) for problem in [*problems, *licence]]
    return found + _beside(folder, manifest, lambda name: name in manifest["files"] and name not in hurt), notes


def _named(manifest: dict[str, Any], artifact: str) -> list[str]:
    name = f"{manifest['name']}@{manifest['version']}"
    return [] if name == artifact else [f"is that of {name}; expected {artifact}"]


def _balance(manifest: dict[str, Any]) -> list[str]:
    """Rows in = kept + dropped + failed, of every stage and source, from stage to stage, and in all."""
    found, whole, kept = [], Ledger(), dict[str, Ledger]()
    for stage in manifest["stages"]:
        here = Ledger.read([stage])
        found += [f"stage {stage['name']}: {problem}" for problem in _unbalanced(here, stage)]
        if stage["kind"] == "source":
            came = {source: tally.rows_in for source, tally in here.items()}
        else:
            came = dict(sum((Counter(kept[name]) for name in stage["inputs"]), Counter[str]()))
        for source, tally in here.items():
            mine = whole.setdefault(source, Tally())
            if stage["kind"] == "source":
                whole[source] = mine + tally
                continue
            if tally.rows_in != came.get(source, 0):
                found.append(
                    f"stage {stage['name']}: {source}: {tally.rows_in} rows came in, {came.get(source, 0)} were kept "
                    "by the stages before it"
                )
            mine.kept, mine.dropped, mine.failed = tally.kept, mine.dropped + tally.dropped, mine.failed + tally.failed
        lost = [source for source, n in came.items() if n and source not in here]
        found += [f"stage {stage['name']}: the {came[source]} rows of {source} did not come in" for source in lost]
        kept[stage["name"]] = {source: tally.kept for source, tally in here.items()}  # type: ignore[assignment]
    for source in sorted({*whole, *manifest["sources"]}):
        stages, said = whole.get(source, Tally()).told(), manifest["sources"].get(source)
        if stages != said:
            found.append(f"sources: {source}: the stages add up to {stages}, it says {said}")
    found += [f"the whole build: {problem}" for problem in _unbalanced(whole, manifest)]
    return found


def _unbalanced(ledger: Ledger, told: dict[str, Any]) -> list[str]:
    found = [
        f"{source}: {t.rows_in} rows in, but {t.kept} kept + {t.dropped.total()} dropped + {t.failed.total()} failed"
        for source, t in ledger.items()
        if t.rows_in != t.out
    ]
    if ledger.total.told() != told["rows"]:
        found.append(f"the sources add up to {ledger.total.told()}, it says {told['rows']}")
    return found


def _exports(manifest: dict[str, Any]) -> list[str]:
    folders = {name.split("/")[0] for name in manifest["files"] if name.endswith(".parquet")}
    expected = {"data", "dropped", *(e for e in manifest["exports"] if e != "messages")}
    expected |= {"review"} if "review" in manifest else set()
    return [] if folders == expected else [f"has Parquet files in {sorted(folders)}; expected {sorted(expected)}"]


def _licence(manifest: dict[str, Any]) -> tuple[list[str], list[str]]:
    told = manifest["licence"]
    made = Derived.read(told)
    found = []
    if licence_counts(made.parts) != manifest["licences"]:
        found.append(f"licences: the parts add up to {licence_counts(made.parts)}, it says {manifest['licences']}")
    if told["table"] != REVISION:
        now = made.licence or "none"
        return found, [f"its licence was derived by an earlier table ({told['licence']}); today's derives {now}"]
    if made.told() != told:
        wrong = [word for word, value in made.told().items() if told.get(word) != value]
        found.append(f"licence: derived again it has another {', '.join(wrong) or 'form'}")
    return found, []


def _beside(folder: Path, manifest: dict[str, Any], whole: Callable[[str], bool]) -> list[Finding]:
    """The recipe and the lock that stand beside the manifest, where their bytes are as they were written."""
    found = []
    if whole("lock.yaml") and (folder / "lock.yaml").read_text(encoding="utf-8") != yamlfile.dump(manifest["lock"]):
        found.append(Finding("lock.yaml", "is not the lock that the manifest tells"))
    if "review" in manifest and whole(sample.FILE):
        try:
            loading.read(folder / sample.FILE, manifest["review"], f"{manifest['name']}@{manifest['version']}")
        except InputError as error:
            found.append(Finding(sample.FILE, error.faults[0].message.removeprefix(f"{folder / sample.FILE}: ")))
    if whole("recipe.yaml"):
        try:
            name = yamlfile.read(folder / "recipe.yaml").data.get("name")
        except InputError as error:
            return [*found, Finding("recipe.yaml", f"is no recipe: {error.faults[0].message}")]
        if name != manifest["name"]:
            found.append(Finding("recipe.yaml", f"makes {name!r}; expected {manifest['name']!r}"))
    return found

"""A step whose code changed must say whether it answers differently: its `revision`, or an accepted digest.

Accept with: python tests/test_revisions.py --accept
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import sys
from pathlib import Path

import pytest

from hala_factory import quality, reader, structure, text
from hala_factory.recipe import load_steps

KERNELS = ("duplicates", "encoder", "lid", "lots", "marks", "numerals", "overlap", "phrases", "rewriting", "shingles")
KERNELS += ("tasks", "text", "words")
"""Files of `factory/` on which the verdicts of steps depend."""
ACCEPTED = Path(__file__).with_name("revisions.json")


def code_digest(path: Path) -> str:
    """A digest of what a file does: comments, layout and docstrings do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [
                b for b in node.body if not (isinstance(b, ast.Expr) and isinstance(b.value, ast.Constant))
            ] or [ast.Pass()]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16]


def today() -> dict[str, dict[str, str | int]]:
    """Revision and digest of every step, and of what several of them share."""
    found: dict[str, dict[str, str | int]] = {}
    for name, step in load_steps(plugins=False).items():
        found[name] = {"revision": step.revision, "code": code_digest(Path(inspect.getfile(step)))}
    factory = Path(inspect.getfile(text)).parent
    shared = {name: factory / f"{name}.py" for name in KERNELS if (factory / f"{name}.py").exists()}
    for package in (reader, structure):
        folder = Path(inspect.getfile(package)).parent
        shared |= {f"{folder.name}.{p.stem}": p for p in sorted(folder.glob("*.py"))}
    own = {Path(inspect.getfile(step)).resolve() for step in load_steps(plugins=False).values()}
    asking = sorted(Path(quality.__path__[0]).glob("*.py"))
    shared |= {f"quality.{p.stem}": p for p in asking if p.resolve() not in own}
    for name, path in shared.items():
        found[name] = {"revision": reader.REVISION if name.startswith("reader.") else 0, "code": code_digest(path)}
    return found


@pytest.mark.parametrize("name", sorted(today()))
def test_changed_code_has_a_new_revision_or_an_accepted_digest(name: str) -> None:
    accepted = json.loads(ACCEPTED.read_text())
    assert today()[name] == accepted.get(name), (
        f"the code of {name} has changed: if it answers differently for some row, raise the revision of the steps "
        "that use it; then run: python tests/test_revisions.py --accept"
    )


def test_nothing_is_accepted_that_is_no_more() -> None:
    assert set(json.loads(ACCEPTED.read_text())) == set(today())


if __name__ == "__main__" and "--accept" in sys.argv:
    ACCEPTED.write_text(json.dumps(today(), indent=1) + "\n")

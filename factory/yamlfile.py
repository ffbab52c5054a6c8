"""YAML files read with the place of every value, so that a fault can be named as file:line:column.

YAML 1.2 by ruamel: `no` stays text, and a key given twice is an error.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from hala_factory.errors import Fault, InputError

Path_ = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """A parsed YAML file: `data` as plain Python values, and the place of each of them."""

    file: str
    data: dict[str, Any]
    tree: CommentedMap

    def place(self, path: Sequence[str | int], *, key: bool = False) -> tuple[int, int]:
        """Line and column (1-based) of the value at `path`, or of its key; of the nearest parent if absent."""
        node: Any = self.tree
        line, column = 1, 1
        for depth, part in enumerate(path):
            if isinstance(node, CommentedMap) and part in node:
                last = depth == len(path) - 1
                spot = node.lc.key(part) if key and last else node.lc.value(part)
            elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
                spot = node.lc.item(part)
            else:
                continue  # a pydantic location also names union tags and validators: not in the file
            line, column = spot[0] + 1, spot[1] + 1
            node = node[part]
        return line, column

    def fault(self, path: Sequence[str | int], message: str, *, key: bool = False) -> Fault:
        """A fault of the value (or key) at `path`."""
        return Fault(self.file, *self.place(path, key=key), message)


def read(path: Path) -> Document:
    """Parse one YAML file. Raises InputError when it is missing, is not YAML, or is not a mapping."""
    file = display(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(Fault(file, 0, 0, "no such file")) from None
    except UnicodeDecodeError as e:
        line = path.read_bytes()[: e.start].count(b"\n") + 1
        raise InputError(Fault(file, line, 1, f"not UTF-8 text (byte {e.start})")) from None
    except OSError as e:
        raise InputError(Fault(file, 0, 0, f"cannot be read: {e.strerror}")) from None
    yaml = YAML(typ="rt")
    try:
        tree = yaml.load(StringIO(text))
    except MarkedYAMLError as e:
        mark = e.problem_mark or e.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        problem = re.sub(r"\s+", " ", e.problem or e.context or "not YAML").strip()
        raise InputError(Fault(file, line, column, _plain(problem))) from None
    except YAMLError as e:
        raise InputError(Fault(file, 1, 1, re.sub(r"\s+", " ", str(e)))) from None
    if not isinstance(tree, CommentedMap):
        found = "nothing" if tree is None else f"a {'list' if isinstance(tree, CommentedSeq) else 'single value'}"
        raise InputError(Fault(file, 1, 1, f"expected a mapping of fields, found {found}"))
    return Document(file, _values(tree), tree)


def _plain(problem: str) -> str:
    twice = re.match(r'found duplicate key "?(.+?)"? with value', problem)
    return f"key {twice[1]!r} is given twice" if twice else problem


def _values(node: Any) -> Any:
    if isinstance(node, CommentedMap):
        return {str(k): _values(v) for k, v in node.items()}
    if isinstance(node, CommentedSeq):
        return [_values(v) for v in node]
    for plain in (bool, int, float, str):  # ruamel's scalar classes remember their spelling
        if isinstance(node, plain):
            return plain(node)
    return node


def display(path: Path) -> str:
    """The path as a person would type it: relative to the working directory when it lies below it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)

"""YAML files read with the place of every value, so that a fault can be named as file:line:column.

YAML 1.2 by ruamel: `no` stays text, and a key given twice is an error.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq, TaggedScalar
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.reader import ReaderError

from hala_factory.errors import Fault, InputError

Path_ = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """A parsed YAML file: `data` as plain Python values, and the place of each of them."""

    file: str
    data: dict[str, Any]
    tree: CommentedMap

    start: tuple[int, int] = (1, 1)
    """Line and column of what has no place of its own."""

    def below(self, path: Sequence[str | int]) -> Document:
        """The mapping at `path` as a document of its own, whose places are those in the whole file."""
        data: Any = self.data
        tree: Any = self.tree
        for part in path:
            names = {str(k): k for k in tree} if isinstance(tree, CommentedMap) else {}
            data, tree = data[part], tree[names.get(str(part), part)]
        return Document(self.file, data, tree, self.place(path, key=True))

    def place(self, path: Sequence[str | int], *, key: bool = False) -> tuple[int, int]:
        """Line and column (1-based) of the value at `path`, or of its key; of the nearest parent if absent."""
        node: Any = self.tree
        line, column = self.start
        for depth, part in enumerate(path):
            if isinstance(node, CommentedMap) and part in (names := {str(k): k for k in node}):
                last, part = depth == len(path) - 1, names[str(part)]
                here = node.lc.key if (key and last) or node[part] is None else node.lc.value
                inherited = part not in (node.lc.data or {})  # by a merge, `<<: *other`: its own place is unknown
                spot = (line - 1, column - 1) if inherited else here(part)
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


def value(written: str) -> Any:
    """One value as written on a line, e.g. `0.5`, `null`, `[ar, arz]`. Raises InputError where it is not YAML."""
    try:
        return _values(YAML(typ="rt").load(StringIO(written)))
    except (MarkedYAMLError, ReaderError):
        raise InputError(f"{written!r} is not a value as YAML has it") from None


def plain(data: dict[str, Any]) -> Document:
    """A document of values that stand in no file."""
    return Document("", data, CommentedMap())


def read(path: Path) -> Document:
    """Parse one YAML file. Raises InputError when it is missing, is not YAML, or is not a mapping."""
    file = display(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(Fault(file, 0, 0, "no such file")) from None
    except UnicodeDecodeError as e:
        place = _after(e.object[: e.start].decode())
        raise InputError(Fault(file, *place, f"not UTF-8 text (byte {e.object[e.start]:#04x})")) from None
    except OSError as e:
        raise InputError(Fault(file, 0, 0, f"cannot be read: {e.strerror}")) from None
    tree = _tree(file, text)
    return Document(file, _values(tree), tree)


@functools.lru_cache(maxsize=64)
def _tree(file: str, text: str) -> CommentedMap:
    """What the text says; a command reads a recipe several times, and the parser needs a second for 100 kB."""
    yaml = YAML(typ="rt")
    yaml.Constructor = _Constructor
    try:
        tree = yaml.load(StringIO(text))
    except ReaderError as e:
        place = _after(text[: e.position])
        raise InputError(Fault(file, *place, f"character U+{e.character:04X} may not stand in YAML")) from None
    except MarkedYAMLError as e:
        message, at_start = _plain(re.sub(r"\s+", " ", e.problem or e.context or "not YAML").strip(), e.context or "")
        mark = (e.context_mark if at_start else None) or e.problem_mark or e.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise InputError(Fault(file, line, column, message)) from None
    if not isinstance(tree, CommentedMap):
        found = "nothing" if tree is None else f"a {'list' if isinstance(tree, CommentedSeq) else 'single value'}"
        raise InputError(Fault(file, 1, 1, f"expected a mapping of fields, found {found}"))
    return tree


class _Constructor(RoundTripConstructor):
    """Dates stay text, as in YAML 1.2: `2025-01-01` may be a revision."""


_Constructor.add_constructor("tag:yaml.org,2002:timestamp", RoundTripConstructor.construct_yaml_str)


def _after(text: str) -> tuple[int, int]:
    """Line and column (1-based) of what follows `text`."""
    return text.count("\n") + 1, len(text) - text.rfind("\n")


def _plain(problem: str, context: str) -> tuple[str, bool]:
    """What the parser found wrong, in plain words, and whether the place to show is where the construct began."""
    if twice := re.match(r'found duplicate key "?(.+?)"? with value', problem):
        return f"key {twice[1]!r} is given twice", False
    if "quoted scalar" in context and "end of stream" in problem:
        return "a quote is opened here and not closed", True
    if open_ := re.search(r"expected ',' or '([]}])', but got '<stream end>'", problem):
        return f"a {'[' if open_[1] == ']' else '{'!r} is opened here and not closed", True
    if "block" in context and "expected <block end>" in problem:
        return "the indentation fits none of the lines above", False
    if "mapping values are not allowed" in problem:
        return "a ':' is not allowed here; put text that holds ': ' in quotes", False
    if "found character '\\t'" in problem:
        return "a tab; indent with spaces", False
    if "another document" in problem:
        return "a second document begins here; expected one per file", False
    return problem, False


def _values(node: Any) -> Any:
    if isinstance(node, CommentedMap):
        return {str(k): _values(v) for k, v in node.items()}
    if isinstance(node, CommentedSeq):
        return [_values(v) for v in node]
    if isinstance(node, TaggedScalar):
        return node.value
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


def dump(value: Any) -> str:
    """`value` as YAML text, keys in their order."""
    out = StringIO()
    yaml = YAML(typ="safe")
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.allow_unicode = True
    yaml.width = 4096
    yaml.dump(value, out)
    return out.getvalue()

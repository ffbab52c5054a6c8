r"""Tells rows that hold program code, for `where: {without_code: true}`.

Hala left the code rows of Hermes-3 out; by which rule is not known. Ours: a text holds code when it has

- a fence: a line that begins with three backticks or tildes; or
- inline code: a span between single backticks on one line; or
- a line that is plainly code: it begins like a definition, an import, a declaration, a preprocessor line, a
  query or a doctype, or it ends like a statement (`);`, `) {`) or is a lone brace.

A row is left out when any of its messages (or either side of a pair) holds code.
"""

from __future__ import annotations

import polars as pl

_LINES = [
    r"#include\s*[<\"]",
    r"#!/",
    r"<\?php|<!DOCTYPE|</?(?:html|head|body|div|script|style|table|form)\b[^>\n]*>",
    r"(?:async\s+)?def\s+\w+\s*\(.*",
    r"class\s+\w+\s*(?:\([\w.,\s]*\))?\s*[:{]",
    r"(?:from\s+[\w.]+\s+)?import\s+[\w.*{][\w.*, {}]*(?:\s+as\s+\w+|\s+from\s+['\"].*)?;?\s*$",
    r"(?:public|private|protected|static|export|async)\s+[\w<>\[\], ]+[({;=]",
    r"(?:const|let|var)\s+[\w{}\[\], ]+\s*=",
    r"(?:export\s+)?(?:async\s+)?function\b\s*\w*\s*\(",
    r"(?:if|for|while|switch|catch)\s*\(.*\)\s*\{",
    r"(?:if|elif|for|while|with)\s[^.?!\n]*[=<>(\[][^\n]*:\s*$",
    r"return\s+[\w.\[\](){}'\"+*/%-]+;\s*$",
    r"(?:print|console\.log|System\.out\.print(?:ln)?|printf|echo)\s*\(.*\)\s*;?\s*$",
    r"(?:SELECT\s.+\sFROM|INSERT\s+INTO|CREATE\s+TABLE|UPDATE\s+\w+\s+SET|DELETE\s+FROM)\s",
    r"\w[\w.]*\s*[-+*/]?=\s*\w[\w.]*\([^\n]*\)\s*;?\s*$",
    r"[^\n]*\)\s*(?:;|=>\s*\{|\{)\s*$",
    r"[{}]\s*[;,]?\s*$",
]

CODE = r"(?m)^ {0,3}(?:```|~~~)|`[^`\n]+`|" + "|".join(rf"^\s*(?:{line})" for line in _LINES)
"""The rule as one expression."""


def holds_code(column: str, dtype: pl.DataType) -> pl.Expr:
    """Whether any text of a `messages` or `translation` column holds code; false for a null."""
    if isinstance(dtype, pl.Struct):
        sides = [pl.col(column).struct.field(f.name).str.contains(CODE).fill_null(False) for f in dtype.fields]
        return pl.any_horizontal(sides)
    content = pl.element().struct.field("content")
    return pl.col(column).list.eval(content.str.contains(CODE).fill_null(False)).list.any().fill_null(False)

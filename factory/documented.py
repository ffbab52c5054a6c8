"""Configuration: frozen pydantic models that refuse unknown fields, and whose fields are described below them.

The model: the text under a field is its description, as pydantic has it with `use_attribute_docstrings`. That reads
the source of every class when it is made, which for all steps takes half of the time to import them; here it is read
when a schema or an explanation is asked for.
"""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import textwrap
from typing import Any

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


class Documented(BaseModel):
    """The base of what people write in YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        made = handler(core_schema)
        properties = handler.resolve_ref_schema(made).get("properties", {})
        for name, said in descriptions(cls).items():
            field = properties.get(cls.model_fields[name].alias or name)
            if field is not None:
                field["description"] = said
        return made


@functools.cache
def descriptions(model: type[BaseModel]) -> dict[str, str]:
    """What is said of the fields of a model, by name: by `Field(description=…)`, else by the text below the field.

    Of a class whose source is not at hand only the first is known.
    """
    below: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if issubclass(each, BaseModel) and inspect.get_annotations(each):
            below |= _below(each)
    spoken = {name: info.description or below.get(name) for name, info in model.model_fields.items()}
    return {name: said for name, said in spoken.items() if said}


def _below(model: type[Any]) -> dict[str, str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(model)))
    except (OSError, TypeError):
        return {}
    body = next((node.body for node in tree.body if isinstance(node, ast.ClassDef)), [])
    found = {}
    for field, text in itertools.pairwise(body):
        match field, text:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(said))):
                found[name] = inspect.cleandoc(said)
    return found

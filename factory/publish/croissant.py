"""`croissant.json`: a corpus described for machines (MLCommons Croissant 1.0), with the digest of every file.

Written when a version is published, for its addresses are those of the place where it stands.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hala_factory.errors import BuildError
from hala_factory.licence_table import TABLE
from hala_factory.publish.place import Place

_FORMATS = {
    "parquet": "application/x-parquet",
    "json": "application/json",
    "yaml": "application/yaml",
    "html": "text/html",
    "md": "text/markdown",
}
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context of the specification, https://docs.mlcommons.org/croissant/docs/croissant-spec.html"""


def describe(manifest: dict[str, Any], place: Place, folder: Path) -> dict[str, Any]:
    """The document: every file with its digest, one record set per configuration with a field per column.

    Raises BuildError where the schema of a data file cannot be read.
    """
    told = manifest["licence"]
    under = told["published_under"]
    sets = {name: f"{name}/*.parquet" for name in ("data", *(e for e in manifest["exports"] if e != "messages"))}
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": manifest["name"],
        "description": manifest["description"] or f"{manifest['name']}, made with hala-factory.",
        "version": manifest["version"] if manifest["version"][:1].isdigit() else "0.0.0",
        "license": TABLE[under].page if under else f"{place.file('ATTRIBUTION.md')}",
        "url": place.url,
        "inLanguage": manifest["language"],
        "datePublished": manifest["built_at"][:10],
        "dateModified": manifest["built_at"][:10],
        "isLiveDataset": False,
        "citeAs": f"{manifest['name']}, version {manifest['version']}, {place.url}, digest {manifest['digest']}",
        "distribution": [*_files(manifest, place), *(_set(n, pattern, place) for n, pattern in sets.items())],
        "recordSet": [_records(name, folder) for name in sets],
    }


def _files(manifest: dict[str, Any], place: Place) -> list[dict[str, Any]]:
    found = [
        {
            "@type": "cr:FileObject",
            "@id": name,
            "name": name,
            "contentUrl": place.file(name),
            "contentSize": f"{facts['bytes']} B",
            "encodingFormat": _FORMATS.get(name.rpartition(".")[2], "application/octet-stream"),
            "sha256": facts["sha256"],
        }
        for name, facts in sorted(manifest["files"].items())
        if name != "README.md"  # the published card is another one than the built
    ]
    if place.kind == "hub":
        found.append(
            {
                "@type": "cr:FileObject",
                "@id": "repo",
                "name": "repo",
                "description": "The repository on the Hugging Face Hub.",
                "contentUrl": f"{place.url}/tree/{place.revision}",
                "encodingFormat": "git+https",
                "sha256": "https://github.com/mlcommons/croissant/issues/80",  # what the Hub says of a repository
            }
        )
    return found


def _set(name: str, pattern: str, place: Place) -> dict[str, Any]:
    held = {"containedIn": {"@id": "repo"}} if place.kind == "hub" else {}
    told = {"name": f"files of {name}", "encodingFormat": _FORMATS["parquet"], "includes": pattern}
    return {"@type": "cr:FileSet", "@id": f"{name}-files", **told, **held}


def _records(name: str, folder: Path) -> dict[str, Any]:
    first = min((folder / name).glob("*.parquet"))
    try:
        schema = pq.read_schema(first)
    except (OSError, pa.ArrowException) as error:
        raise BuildError(f"{first}: cannot be read: {error}; verify the version") from error
    fields = [_field(name, f.name, f.type) for f in schema]
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "key": {"@id": f"{name}/id"}, "field": fields}


def _field(records: str, column: str, kind: pa.DataType) -> dict[str, Any]:
    path = f"{records}/{column}"
    told: dict[str, Any] = {"@type": "cr:Field", "@id": path, "name": column}
    inner = kind
    if pa.types.is_list(kind):
        inner, told["repeated"] = kind.value_type, True
    source = {"fileSet": {"@id": f"{records}-files"}, "extract": {"column": column}}
    if not pa.types.is_struct(inner):
        return {**told, "dataType": _type(inner), "source": source}
    parts = [
        {"@type": "cr:Field", "@id": f"{path}/{part.name}", "name": part.name, "dataType": _type(part.type)}
        | {"source": {**source, "transform": {"jsonPath": part.name}}}
        for part in inner
    ]
    return {**told, "subField": parts}


def _type(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_integer(kind):
        return "sc:Integer"
    return "sc:Float" if pa.types.is_floating(kind) else "sc:Text"

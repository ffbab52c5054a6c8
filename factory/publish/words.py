"""What a card says once it is known where a version stands: how to load it, pictures, review, citation."""

from __future__ import annotations

from typing import Any

from hala_factory.publish.place import Place
from hala_factory.review.standing import Standing

PICTURES = {
    "figures/waterfall.png": "How many rows are left after every step",
    "figures/sources.png": "Rows kept of every source",
}


def head(manifest: dict[str, Any], place: Place, pictures: list[str], review: Standing) -> str:
    """What stands below the title."""
    if manifest["kind"] == "model":
        return f"```python\nimport transformers\n\nmodel = {place.load_model()}\n```"
    blocks = [f"```python\nimport datasets\n\nrows = {place.load()}\n```"]
    others = [e for e in manifest["exports"] if e != "messages"]
    blocks += [f"Also as `{e}`: `{place.load(e)}`" for e in others]
    blocks += [f"![{PICTURES[name]}]({name})" for name in PICTURES if name in pictures]
    said = "People have not looked at a sample of it"
    said = said if review.state == "not asked" else f"Review by people: {review.state}"
    blocks.append(f"{said}: {review.words}. `verify` of hala-factory proves every file against `manifest.json`.")
    return "\n\n".join(blocks)


def tail(manifest: dict[str, Any], place: Place) -> str:
    """What stands at the end."""
    key = f"{manifest['name']}-{manifest['version']}".replace("_", "-")
    fields = {
        "title": f"{{{manifest['name']}, version {manifest['version']}}}",
        **({"author": f"{{{place.repo.partition('/')[0]}}}"} if place.repo else {}),
        "year": manifest["built_at"][:4],
        "howpublished": f"\\url{{{place.url}}}",
        "note": f"Made with hala-factory {manifest.get('software', {}).get('hala-factory', '')}".strip()
        + f"; {manifest['digest'][:19]}",
    }
    lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
    return f"## Citation\n\n```bibtex\n@misc{{{key},\n{lines}\n}}\n```"

"""Attractor: one translation that stands beside many sources which have nothing to do with each other."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple

import polars as pl
import xxhash
from pydantic import Field

from hala_factory import rows, text
from hala_factory.step import Barrier, TextPath, register

_HEAD = 300
"""Characters of a text that are compared; longer ones are told apart by all of theirs."""
_ALIKE = 0.5
"""Share of the words of the shorter of two sources from which they are alike: of 698 targets with several sources
in two cuts of Tatoeba, WinoMT and Mozilla's pages, 621 have only sources that are alike."""
_NEAR = 0.6
"""Smallest share of common words (of all) of near-targets."""
_SEEDS = 1_000
"""Most targets whose surroundings are searched, those with the most sources first."""
_TELLING = 20
"""Most sources of a target that another one is compared with."""
_RAREST = 3
"""Words of a seed of which a near-target must hold one."""
_SIDES = ("source", "target")
_LISTS = ("target", "unlike", "letters", "said", "asked")
Place = tuple[int, int | None]
"""A target, alone or with one source, by their digests."""
Told = tuple[str, str]
"""Reason and detail."""
_NAME = r"\p{Lu}\p{L}+"


@register
class Attractor(Barrier):
    """Drop rows whose translation stands beside many unlike sources, or was taken from a similar source.

    A model that loses its thread falls back on a text it has seen: in one published translation of MMLU, 1,568 of
    14,042 questions became variants of one about IP spoofing. A target is an *attractor* where more than
    `max_sources` sources, each unlike the others, share it: sources that have half of their words in common are
    paraphrases, which rightly share a translation. Numbers are folded, so that a form filled with other numbers
    counts as the same; near-targets (six in ten words in common) of a target with two unlike sources count with
    it. Short targets rightly have many sources: below `long_chars` one more is allowed for every letter that is
    missing, and one less for every further `long_chars`. A *copied* target names what another source with the same
    target names, and not what its own does («جنوب إفريقيا» for South Korea); names are compared by their
    consonants. A row falls if one of its messages does.
    """

    example: ClassVar[dict[str, str]] = {
        "kept": "Have a seat, please. / Please sit down. → تفضل بالجلوس من فضلك.",
        "dropped": "Which muscle flexes the knee? (and four other questions) → كيف يتم اكتشاف تزوير عنوان IP؟",
    }

    judged_by: ClassVar[tuple[str, ...]] = ("long_chars", "near", "copied")

    step: Literal["attractor"] = "attractor"
    source: TextPath = "messages_en"
    """The texts that were translated."""
    target: TextPath = "messages"
    """Their translations."""
    max_sources: Annotated[int, Field(ge=1)] | None = 3
    """Most unlike sources of a target of `long_chars` letters."""
    long_chars: Annotated[int, Field(ge=1)] = 24
    """Letters from which a target is long."""
    min_chars: Annotated[int, Field(ge=1)] = 6
    """Fewest letters of a target that is judged."""
    near: bool = True
    """Whether near-targets count with a target."""
    copied: bool = True
    """Whether a target that names what only another of its sources names is dropped."""

    def index(self, frame: pl.DataFrame) -> pl.DataFrame:
        pairs = rows.text_pairs(frame, self.source, self.target)
        folded = pairs.select("row", "source", *(_folded(pl.col(side)).alias(f"{side}_key") for side in _SIDES))
        keyed = folded.select(
            "row",
            target=_digests(folded["target_key"]),
            unlike=_digests(folded["source_key"]),
            letters=text.letters(pl.col("target_key")),
            said=pl.col("target_key").str.head(_HEAD),
            asked=pl.col("source").str.head(_HEAD),
        )
        lists = keyed.group_by("row").agg(pl.all())
        every = pl.DataFrame({"row": pl.int_range(frame.height, dtype=pl.UInt32, eager=True)})
        return every.join(lists, on="row", how="left", maintain_order="left").drop("row")

    def decide(self, index: pl.LazyFrame, sources: list[str]) -> pl.LazyFrame:
        lines = index.select("shard", "row", *_LISTS).explode(*_LISTS).filter(pl.col("letters") >= self.min_chars)
        several = lines.group_by("target").agg(pl.col("unlike").n_unique()).filter(pl.col("unlike") > 1)
        shared = _pairs(lines.join(several, on="target", how="semi"))
        found = self._attractors(shared, lines)
        if self.copied:
            found.update(_copied(shared))
        verdicts = pl.DataFrame(
            [(target, unlike, *told) for (target, unlike), told in found.items()],
            schema={"target": pl.UInt64, "unlike": pl.UInt64, "reason": pl.String, "detail": pl.String},
            orient="row",
        ).lazy()
        # An attractor falls with all its sources (null), a copied target with one of them.
        whole = verdicts.filter(pl.col("unlike").is_null()).drop("unlike")
        one = verdicts.filter(pl.col("unlike").is_not_null())
        said = pl.concat([lines.join(whole, on="target"), lines.join(one, on=["target", "unlike"])], how="diagonal")
        return said.group_by("shard", "row").agg(pl.col("reason", "detail").sort_by("reason", "detail").first())

    def _attractors(self, shared: pl.DataFrame, lines: pl.LazyFrame) -> dict[Place, Told]:
        """Why targets fall whatever their source."""
        if self.max_sources is None:
            return {}
        groups = _grouped(shared)
        seeds = {target: group for target, group in groups.items() if len(_unlike(group.sources, 1)) > 1}
        found: dict[Place, Told] = {}
        for target, group in seeds.items():
            found.update(self._judged(group, group.sources, [target]))
        if not (self.near and seeds):
            return found
        most = sorted(seeds, key=lambda target: (-len(seeds[target].sources), target))[:_SEEDS]
        around = _surroundings(lines, {target: seeds[target].said for target in most})
        others = around.select(target="near").unique().lazy()
        joined = _grouped(_pairs(lines.join(others, on="target", how="semi")))
        for target, near in around.group_by("target", maintain_order=True).agg("near").iter_rows():
            group = seeds[target]
            together = group.sources | {s: w for other in near for s, w in joined[other].sources.items()}
            for place, told in self._judged(group, together, [target, *near]).items():
                found.setdefault(place, told)
        return found

    def _judged(self, group: _Group, sources: dict[str, frozenset[str]], targets: list[int]) -> dict[Place, Told]:
        """The verdict on targets that share these sources, if they are too many."""
        assert self.max_sources is not None
        missing, longer = max(0, self.long_chars - group.letters), max(0, group.letters // self.long_chars - 1)
        allowed = max(1, self.max_sources + missing - longer)
        kinds = _unlike(sources, allowed)
        if len(kinds) <= allowed:
            return {}
        shown = " and ".join(_quoted(kind) for kind in kinds[:2])
        detail = f"{_quoted(group.said)} stands beside {len(sources)} sources, such as {shown}"
        near = f"near {detail}"
        return {(t, None): ("attractor", near if number else detail) for number, t in enumerate(targets)}


class _Group(NamedTuple):
    """A target, and its sources with their words."""

    said: str
    letters: int
    sources: dict[str, frozenset[str]]


def _folded(said: pl.Expr) -> pl.Expr:
    """The text as it is matched, every number as 0."""
    return text.fold_digits(text.matching_key(said)).str.replace_all(r"[0-9]+(?:[.,٫٬][0-9]+)*", "0")


def _digests(texts: pl.Series) -> pl.Series:
    return pl.Series([xxhash.xxh3_64_intdigest(t) for t in texts.cast(pl.Binary)], dtype=pl.UInt64)


def _pairs(lines: pl.LazyFrame) -> pl.DataFrame:
    """Every source of these targets once, in an order that no shard decides."""
    once = lines.group_by("target", "unlike").agg(pl.col("said", "asked").min(), pl.col("letters").first())
    words = _folded(pl.col("asked")).str.extract_all(r"\w+").list.eval(pl.element().str.head(5))
    return once.with_columns(words=words).sort("target", "asked").collect()


def _grouped(shared: pl.DataFrame) -> dict[int, _Group]:
    groups: dict[int, _Group] = {}
    for target, said, letters, asked, words in shared.select(
        "target", "said", "letters", "asked", "words"
    ).iter_rows():
        groups.setdefault(target, _Group(said, letters, {})).sources[asked] = frozenset(words)
    return groups


def _unlike(sources: dict[str, frozenset[str]], enough: int) -> list[str]:
    """Sources of which no two are alike, found greedily, until they are more than enough."""
    kept: list[str] = []
    for asked, words in sources.items():
        if all(len(words & sources[k]) < _ALIKE * min(len(words), len(sources[k])) for k in kept):
            kept.append(asked)
            if len(kept) > enough:
                break
    return kept


def _surroundings(lines: pl.LazyFrame, seeds: dict[int, str]) -> pl.DataFrame:
    """The near-targets of every seed: `target` (the seed) and `near`, without itself."""
    stems = (
        pl.col("said").str.extract_all(r"\w+").list.eval(pl.element().str.replace("^ال", "").str.head(4)).list.unique()
    )
    every = lines.unique("target").select("target", stems=stems).filter(pl.col("stems").list.len() >= _RAREST)
    wanted = pl.LazyFrame(
        {"target": list(seeds), "said": list(seeds.values())}, schema_overrides={"target": pl.UInt64}
    )
    wanted = wanted.select("target", stems=stems).filter(pl.col("stems").list.len() >= _RAREST)
    each, sought = every.explode("stems"), wanted.explode("stems")
    known = each.join(sought, on="stems", how="semi").group_by("stems").len()
    rare = (
        sought.join(known, on="stems").sort("len", "stems").group_by("target").head(_RAREST).select("target", "stems")
    )
    met = each.join(rare, on="stems", suffix="_seed").select("target", "target_seed").unique()
    sides = met.join(every, on="target").join(wanted, left_on="target_seed", right_on="target", suffix="_seed")
    common = pl.col("stems").list.set_intersection("stems_seed").list.len()
    of_all = pl.col("stems").list.set_union("stems_seed").list.len()
    near = sides.filter(common >= _NEAR * of_all, pl.col("target") != pl.col("target_seed"))
    return near.select(target="target_seed", near="target").sort("target", "near").collect()


def _copied(shared: pl.DataFrame) -> dict[Place, Told]:
    """Why targets fall with one of their sources: they name what another source names, and not what it does."""
    names = pl.col("asked").str.extract_all(_NAME).list.join(" ")
    heard = shared.select(
        "target",
        "unlike",
        "asked",
        spoken=pl.col("asked").str.to_lowercase().str.extract_all(r"\p{L}+"),
        names=names.str.to_lowercase().str.split(" "),
        sounds=text.consonants(names).str.split(" "),
        # Arabic has a k or an s for the c of names: مقدونيا, نيس.
        hard=text.consonants(names.str.replace_all("[Cc]", "k")).str.split(" "),
        answers=text.consonants(pl.col("said") + " " + pl.col("said").str.replace_all(r"\bال", "")).str.split(" "),
    )
    found: dict[Place, Told] = {}
    for (target,), group in heard.group_by("target", maintain_order=True):
        answers = {sound for sound in group["answers"][0] if len(sound) > 1}
        # Per source: all its words, and which of them are names that the target tells (true) or does not.
        sides = [
            (unlike, asked, {*spoken}, {w: _told(both, answers) for w, *both in zip(*named, strict=True) if both[0]})
            for unlike, asked, spoken, *named in group.select(
                "unlike", "asked", "spoken", "names", "sounds", "hard"
            ).iter_rows()
        ]
        telling = [side for side in sides if any(side[3].values())][:_TELLING]
        for unlike, asked, spoken, own in sides:
            for _, other, others, theirs in telling:
                mine = [told for name, told in own.items() if name not in others]
                if mine and not any(mine) and any(told for name, told in theirs.items() if name not in spoken):
                    found[target, unlike] = ("copied", f"names what {_quoted(other)} names, not {_quoted(asked)}")
                    break
    return found


def _told(sounds: list[str], answers: set[str]) -> bool:
    """Whether a target names this, or (as بليس does Blissymbols) the beginning of it."""
    return any(sound in answers or any(len(a) > 2 and sound.startswith(a) for a in answers) for sound in sounds)


def _quoted(said: str) -> str:
    return f"“{said if len(said) <= 60 else said[:59] + '…'}”"

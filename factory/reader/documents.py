"""Forms where the whole file is one document: JSON lists, TMX and PO."""

from __future__ import annotations

import codecs
import gettext
import json
import re
from collections.abc import Generator, Iterator
from itertools import islice
from typing import Any, BinaryIO, cast

import polib
from lxml import etree

from hala_factory.errors import BuildError
from hala_factory.reader.files import File
from hala_factory.reader.lines import BOM, RECORDS
from hala_factory.reader.opening import stream
from hala_factory.reader.records import Chunk
from hala_factory.reader.values import kind

BYTES = 1 << 20  # of JSON text read at once

PO_COLUMNS = ["msgid", "msgstr", "msgctxt", "fuzzy"]
"""The raw columns of a PO file."""


def document(form: str, file: File, languages: list[str], skip: int = 0) -> Generator[Chunk, None, None]:
    """The records of a `json`, `tmx` or `po` file, in chunks; `languages` are the tags that TMX is read for."""
    with stream(file) as source:
        if form == "json":
            records = _json(file, source)
        elif form == "tmx":
            records = _tmx(file, source, languages)
        else:
            records = _po(file, source)
        end = sum(1 for _ in islice(records, skip))
        while block := list(islice(records, RECORDS)):
            yield Chunk(block, range(end + 1, end + 1 + len(block)), end + len(block))
            end += len(block)
        yield Chunk([], [], end)


_BLANK = re.compile(r"[ \t\r\n]*")


class _Text:
    """JSON text of a stream, as far as it was needed yet: `at` is where the next value starts in `text`."""

    def __init__(self, file: File, source: BinaryIO) -> None:
        self.file, self.source = file, source
        self.decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self.text, self.at, self.line, self.ended = "", 0, 1, False

    def more(self, size: int) -> None:
        """Read on, and let go of what was consumed."""
        data = self.source.read(size)
        self.ended = not data
        self.line += self.text.count("\n", 0, self.at)
        self.text, self.at = self.text[self.at :] + self.decoder.decode(data, final=self.ended), 0

    def next(self) -> str:
        """The next character that is not white space; '' at the end."""
        while True:
            self.at = cast(re.Match[str], _BLANK.match(self.text, self.at)).end()
            if self.at < len(self.text):
                return self.text[self.at]
            if self.ended:
                return ""
            self.more(BYTES)

    def value(self) -> Any:
        """The next value. Reads twice as much at every try, so that a broken file costs no more than its size."""
        size = BYTES
        while True:
            try:
                value, at = _DECODER.raw_decode(self.text, self.at)
                if at < len(self.text) or self.ended:  # a number may go on in what is not read yet
                    self.at = at
                    return value
            except (json.JSONDecodeError, RecursionError) as error:
                if self.ended:
                    raise self.wrong(error) from None
            self.more(size)
            size *= 2

    def wrong(self, error: Exception | str) -> BuildError:
        message = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        at = error.pos if isinstance(error, json.JSONDecodeError) else self.at
        line = self.line + self.text.count("\n", 0, at)
        return BuildError(f"{self.file.name}:{line}: not a JSON document: {message}; mend it or fetch it again")


_DECODER = json.JSONDecoder()


def _json(file: File, source: BinaryIO) -> Iterator[Any]:
    """The members of a list, read as they are asked for; or of the one list in an object, which is read whole."""
    text = _Text(file, source)
    first = text.next()
    if first == "\ufeff":
        text.at += 1
        first = text.next()
    if first == "[":
        text.at += 1
        yield from _members(text)
    elif first == "{":
        yield from _listed(text)
    elif first:
        raise text.wrong(f"expected a list of objects, found {first!r}")
    if left := text.next():
        raise text.wrong(f"{left!r} after the end")


def _members(text: _Text) -> Iterator[Any]:
    if text.next() == "]":
        text.at += 1
        return
    while True:
        yield text.value()
        mark = text.next()
        text.at += 1
        if mark == "]":
            return
        if mark != ",":
            raise text.wrong(f"expected ',' or ']', found {mark!r}" if mark else "it ends within the list")
        if not text.next():
            raise text.wrong("it ends within the list")


def _listed(text: _Text) -> Iterator[Any]:
    whole = text.value()
    if text.next() == "{":
        raise text.wrong("a second object follows the first, as in JSON Lines; say 'format: jsonl'")
    lists = {key: value for key, value in whole.items() if isinstance(value, list)}
    if len(lists) != 1:
        found = ", ".join(f"{key!r} ({kind(value)})" for key, value in list(whole.items())[:8]) or "nothing"
        raise text.wrong(f"expected a list of objects, or an object with one list in it, found {found}")
    yield from next(iter(lists.values()))


XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


def _tmx(file: File, source: BinaryIO, languages: list[str]) -> Iterator[Any]:
    """The translation units. Raw columns: the text per language tag; the unit's attributes and props by name.

    A tag asked for as `ar` is found as `ar`, else as `ar-SA` or `ar_EG`; the first variant of a language
    counts. Inline tags of a segment go, their text stays. Entities are never expanded: a file that defines
    any is refused.
    """
    units = etree.iterparse(
        source,
        events=("end",),
        tag="{*}tu",
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        remove_comments=True,
        remove_pis=True,
    )
    for number, (_, unit) in enumerate(units):
        if not number and (defined := _entities(unit)):
            raise BuildError(f"{file.name}: it defines XML entities ({defined}), which are not read; remove them")
        yield _unit(unit, languages)
        unit.clear()
        body = unit.getparent()
        while body is not None and unit.getprevious() is not None:  # or memory grows with the file
            del body[0]


def _entities(unit: Any) -> str:
    dtd = unit.getroottree().docinfo.internalDTD
    return ", ".join(str(e.name) for e in islice(dtd.iterentities(), 3)) if dtd is not None else ""


def _unit(unit: Any, languages: list[str]) -> dict[str, Any]:
    texts: dict[str, str | None] = {}
    for variant in unit.iterfind("{*}tuv"):
        tag = variant.get(XML_LANG) or variant.get("lang") or ""
        segment = variant.find("{*}seg")
        texts.setdefault(tag, None if segment is None else "".join(segment.itertext()))
    props = {prop.get("type", ""): prop.text or "" for prop in unit.iterfind("{*}prop")}
    record: dict[str, Any] = {**props, **{str(k): str(v) for k, v in unit.attrib.items()}, **texts}
    for language in languages:
        if language not in texts and (near := _variant(language, texts)) is not None:
            record[language] = texts[near]
    return record


def _variant(language: str, tags: dict[str, Any]) -> str | None:
    wanted = language.lower().replace("_", "-")
    spelt = {tag: tag.lower().replace("_", "-") for tag in tags}
    exact = (tag for tag in tags if spelt[tag] == wanted)
    return next(exact, next((tag for tag in tags if spelt[tag].startswith(f"{wanted}-")), None))


def _po(file: File, source: BinaryIO) -> Iterator[Any]:
    """The entries that are in use; a PO file is read whole.

    `msgstr` of an entry with plural forms is the form that the file's own `Plural-Forms` rule takes for one,
    as `msgid` is the singular. An entry that nobody has translated has an empty `msgstr`.
    """
    data = source.read().removeprefix(BOM)
    charset = re.search(rb"charset=([\w.-]+)", data[:8192])
    encoding = charset[1].decode() if charset else "utf-8"
    try:
        codecs.lookup(encoding)
    except LookupError:  # templates say CHARSET
        encoding = "utf-8"
    try:
        entries = polib.pofile(data.decode(encoding, errors="surrogateescape"))
    except (OSError, ValueError) as error:
        said = str(error).replace("None ", "").strip()
        raise BuildError(f"{file.name}: not a PO file: {said}; mend it or fetch it again") from None
    singular = _singular(entries.metadata.get("Plural-Forms", ""))
    for entry in entries:
        if not entry.obsolete:
            text = entry.msgstr_plural.get(singular) if entry.msgid_plural else entry.msgstr
            context = entry.msgctxt or None
            yield {"msgid": entry.msgid, "msgstr": text, "msgctxt": context, "fuzzy": entry.fuzzy}


def _singular(rule: str) -> int:
    """Which plural form is the one for one thing, by a rule like `nplurals=2; plural=n != 1;`."""
    expression = re.search(r"plural=([^;]+)", rule.replace("nplurals", ""))
    if expression is None:
        return 0
    try:
        choose = gettext.c2py(expression[1])
        return choose(1)
    except (ValueError, ZeroDivisionError):
        return 0

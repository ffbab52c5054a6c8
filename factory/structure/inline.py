"""What must survive inside prose: inline code, formulas, URLs, addresses, paths, placeholders, tags, JSON keys.

One scan from left to right; the first opener that finds its end wins, and the scan goes on behind it. Every
pattern is bounded or ends at the paragraph's end, so no text makes the scan slow.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator

from hala_factory.structure.span import Kind, Span

_LONGEST_FORMULA = 5_000  # characters
_LONGEST_DOLLARS = 1_000
_LONGEST_ELEMENT = 20_000
_LONGEST_LABEL = 200

_OPENER = re.compile(
    r"""
      (?P<escaped>\\[`$])
    | (?P<ticks>`+)
    | (?P<placeholder>
          \{\{[^{}\n]{1,80}\}\} | \{%[^{}\n]{1,100}%\} | <%[^<>\n]{1,200}%> | [$%]\{[^{}\n]{1,80}\}
        | \{[ ]{0,3}[-#$@%/]?[\w.\[\]:-]{0,200}(?:[!:,=][^{}\s]{1,20})?[ ]{0,3}\}
        | \{\s?\w{1,80}\s?,\s?(?:(?:plural|select|selectordinal)\s?,|(?:date|time|number)\s?(?:,[^{}\n]{0,60})?\})
        | \{[ ]?(?:[A-Z]{3,20}\([^{}()\n]{0,200}\)|"[^"{}\n]{0,60}")[ ]?\}
        | (?<![A-Za-z0-9_%])%[1-9](?![0-9A-Za-z$]|[.,][0-9])
        | (?<![A-Za-z0-9_%])%(?:\([\w.]{1,40}\)|\d{1,2}\$)?[-+0\#]?\d{0,3}(?:\.\d{1,2})?(?:hh|h|ll|l|z)?
          [sdifuxXeEgGcr@](?![A-Za-z])
      )
    | (?P<slot>\[[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*\](?![(\[\w]))
    | (?P<dollars>\$\$?)
    | (?P<bracket>\\{1,2}[(\[])
    | (?P<environment>\\begin\{[A-Za-z]{1,30}\*?\})
    | (?P<latex>\\[A-Za-z]{2,30}\*?(?:\{(?:[^{}\n]|\{[^{}\n]{0,100}\}){0,200}\}){1,4})
    | (?P<target>(?<=\]\()[^\s()<>]{1,2000}(?:\([^\s()]{0,200}\)[^\s()<>]{0,200})?(?=\)|\s+["']))
    | (?P<url>(?<![A-Za-z])(?:(?:[Hh][Tt][Tt][Pp][Ss]?|[Ff][Tt][Pp])://|[Ww][Ww][Ww]\.(?=[A-Za-z0-9]))
          [^\s<>"`«»“”،؛؟]+)
    | (?P<element><(?:pre|code|script|style|svg|math)(?:\s[^<>]{0,1000})?>)
    | (?P<comment><!--)
    | (?P<tag><!DOCTYPE[^<>]{0,200}> | <\?(?:php\b|xml\b|=)(?:[^?]|\?(?!>)){1,500}\?> | <\|[\w-]{1,40}\|>
        | </?[A-Za-z][\w:.-]{0,60}(?:\s[^<>]{0,2000})?/?>
        | &(?:[A-Za-z][A-Za-z0-9]{1,31}|\#[0-9]{1,7}|\#[xX][0-9a-fA-F]{1,6});)
    | (?P<path>(?<![\w/.~:])(?:
          (?:~|\.{1,2})/[\w.+@-][\w.+@/-]*
        | /(?:usr|etc|home|var|tmp|opt|bin|sbin|dev|proc|root|mnt|srv|lib|Users)/[\w.+@/-]+
        | /(?:[\w+@-][\w.+@-]*/){1,30}[\w+@-]{1,80}\.[A-Za-z][A-Za-z0-9]{0,4}\b
        | [A-Za-z]:\\[^\s/:*?"<>|،؛؟]+))
    | (?P<json_key>"[\w$@.-]{1,60}"(?=\s{0,5}:))
    | (?P<email>@)
    """,
    re.X | re.S,
)
_CLOSER = re.compile(r"\\{1,2}[)\]]|\\end\{[A-Za-z]{1,30}\*?\}|</(?:pre|code|script|style|svg|math)>|-->")
_JSON = re.compile(r'\{\s{0,200}"[^"\n]{1,60}"\s{0,5}:')
_LOCAL_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}$")
_DOMAIN = re.compile(r"@[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}\.){1,6}[A-Za-z]{2,24}(?![A-Za-z])")
_BLANK_LINE = re.compile(r"\n[ \t\r]*\n")
_DOLLAR = re.compile(r"(?<!\\)\$")
_COMMAND = re.compile(r"\\[A-Za-z]+(?:\{[^{}]*\})?")
_WORD = re.compile(r"[^\W\d_]{3,}")  # of any language, so that a translation is read as its source is
_MATHS = re.compile(r"[\\^_=]")
_QUOTED_ATTRIBUTE = re.compile(r"=\s*[\"'{]")
_BARE_ATTRIBUTES = re.compile(r"(?:\s+(?:[A-Za-z-]{1,30}=[^\s\"'<>=]{1,200}|\{[^{}<>]{1,80}\})){1,20}\s*/?")
_CLOSING = {")": "(", "]": "[", "}": "{"}
_KIND: dict[str, Kind] = {
    "ticks": "code",
    "slot": "placeholder",
    "element": "code",
    "dollars": "latex",
    "bracket": "latex",
    "environment": "latex",
    "target": "url",
}


class Scanner:
    """The scan of one text; knows beforehand where everything that may close something stands."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._blanks = [m.start() for m in _BLANK_LINE.finditer(text)]
        self._closing_ticks = _closing_ticks(text)
        self._closers: dict[str, list[int]] = {}
        for m in _CLOSER.finditer(text):
            self._closers.setdefault(m[0], []).append(m.start())
        self._json = bool(_JSON.search(text))

    def spans(self, start: int, end: int) -> Iterator[Span]:
        """The spans between `start` and `end`, in order."""
        text, at = self._text, start
        while opener := _OPENER.search(text, at, end):
            name, begin, stop = str(opener.lastgroup), opener.start(), opener.end()
            match name:
                case "ticks":
                    closing = self._closing_ticks.get(begin, -1)
                    found = closing if stop < closing <= self._paragraph(begin, end) else -1
                case "dollars":
                    found = self._dollars(begin, self._paragraph(begin, end))
                case "bracket":
                    closer = opener[0].translate({ord("("): ")", ord("["): "]"})
                    found = self._closer(closer, stop, min(self._paragraph(begin, end), stop + _LONGEST_FORMULA))
                case "environment":
                    closer = opener[0].replace("\\begin", "\\end")
                    found = self._closer(closer, stop, min(end, stop + _LONGEST_ELEMENT))
                case "element":
                    closer = f"</{opener[0][1:-1].split(maxsplit=1)[0]}>"
                    found = self._closer(closer, stop, min(end, stop + _LONGEST_ELEMENT))
                    if found < 0:
                        name, found = "tag", stop
                case "comment":
                    name, found = "tag", self._closer("-->", stop, min(end, stop + _LONGEST_ELEMENT))
                case "url" | "path":
                    found = _trimmed(text, begin, stop)
                case "slot":
                    # In a long text `[COPD]` is an abbreviation that explains a name, and may be translated.
                    found = stop if len(text) <= _LONGEST_LABEL or re.search("[0-9_]", opener[0]) else -1
                case "tag":
                    found = stop if _is_tag(opener[0]) else -1
                case "json_key":
                    before = text[max(0, begin - 80) : begin].rstrip()[-1:]
                    found = stop if self._json and before in ("{", ",") else -1
                case "email":
                    begin, found = self._email(begin, at, end)
                case "escaped":
                    found = -1
                case _:
                    found = stop
            if found > begin:
                at = found
                yield Span(begin, at, _KIND.get(name, name), text[begin:at], self._block(name, begin, at))  # type: ignore[arg-type]
            else:
                at = stop if name in ("ticks", "dollars", "escaped", "bracket") else opener.start() + 1

    def _paragraph(self, at: int, end: int) -> int:
        i = bisect_left(self._blanks, at)
        return min(end, self._blanks[i]) if i < len(self._blanks) else end

    def _closer(self, closer: str, start: int, end: int) -> int:
        """Where the thing that `closer` ends is over, or -1; an empty thing is none."""
        places = self._closers.get(closer, [])
        i = bisect_left(places, start)
        if i == len(places) or places[i] + len(closer) > end or not self._text[start : places[i]].strip():
            return -1
        return places[i] + len(closer)

    def _dollars(self, at: int, end: int) -> int:
        text = self._text
        if text.startswith("$$", at):
            stop = text.find("$$", at + 2, min(end, at + _LONGEST_FORMULA))
            inner = text[at + 2 : max(stop, at + 2)]
            formula = re.search(r"[^\sA-Za-z.,;]", inner) or re.fullmatch(r"[A-Za-z]{1,9}|\s*[A-Za-z]\s*", inner)
            return stop + 2 if formula else -1
        closing = _DOLLAR.search(text, at + 1, min(end, at + _LONGEST_DOLLARS))
        if not closing or text.startswith("$", closing.end()):
            return -1
        return (
            closing.end()
            if _is_formula(text[at + 1 : closing.start()], text[closing.end() : closing.end() + 1])
            else -1
        )

    def _email(self, at: int, floor: int, end: int) -> tuple[int, int]:
        local = _LOCAL_PART.search(self._text[max(floor, at - 64) : at])
        domain = _DOMAIN.match(self._text, at, end)
        return (at - len(local[0]), domain.end()) if local and domain else (at, -1)

    def _block(self, name: str, start: int, end: int) -> bool:
        """Whether a formula or element stands alone on its lines."""
        if name not in ("dollars", "bracket", "environment", "element"):
            return False
        if name in ("dollars", "bracket") and not self._text.startswith(("$$", "\\[", "\\\\["), start):
            return False
        before = self._text[self._text.rfind("\n", max(0, start - 80), start) + 1 : start] if start else ""
        after = self._text[end : end + 80].split("\n", 1)[0]
        return not before.strip() and not after.strip() and (len(before) < 80 and len(after) < 80)


def _closing_ticks(text: str) -> dict[int, int]:
    """For every run of backticks, where the code it opens ends: behind the next run of the same length."""
    nearest: dict[int, int] = {}
    closing: dict[int, int] = {}
    for run in reversed(list(re.finditer("`+", text))):
        length = run.end() - run.start()
        if length in nearest:
            closing[run.start()] = nearest[length]
        nearest[length] = run.end()
    return closing


def _is_formula(inner: str, after: str) -> bool:
    """Whether `$inner$` is a formula, and not two prices or two shell variables with words between them."""
    if not inner.strip() or '"' in inner:
        return False
    plain, maths = _WORD.findall(_COMMAND.sub("", inner)), bool(_MATHS.search(inner))
    if inner[0].isspace() or inner[-1].isspace():  # `$ x = 1 $`, as some models write
        spaced = inner[0].isspace() and inner[-1].isspace()
        return spaced and (maths or len(inner.strip()) == 1) and not plain
    if after.isdigit() or (after.isalpha() and not maths and len(inner) > 3):
        return False
    return maths or len(plain) < (1 if inner[0].isdigit() else 2)


def _is_tag(text: str) -> bool:
    """Whether `<…>` is markup, and not `a <b and c> d`."""
    if text[0] == "&" or text[1] in "!|?":
        return True
    space = re.search(r"\s", text)
    attributes = text[space.start() : -1] if space else ""
    return (
        attributes.strip() in ("", "/")
        or bool(_QUOTED_ATTRIBUTE.search(attributes))
        or bool(_BARE_ATTRIBUTES.fullmatch(attributes))
    )


def _trimmed(text: str, start: int, end: int) -> int:
    """Where a URL or path ends when the punctuation of the sentence around it is left out."""
    counts = {c: text.count(c, start, end) for pair in _CLOSING.items() for c in pair}
    while end > start:
        last = text[end - 1]
        if last in _CLOSING:
            if counts[last] <= counts[_CLOSING[last]]:
                break
            counts[last] -= 1
        elif last not in ".,;:!?'*_~…|\\":
            break
        end -= 1
    return end

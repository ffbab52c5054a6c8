"""Normalise Arabic: a text as an editor would set it, with the letters and vowel signs that its author chose."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import ClassVar, Literal

import polars as pl

from hala_factory import rewriting
from hala_factory.step import Columns, Normaliser, TextPath, register

_KINDS = [
    "bidi_marks",
    "zero_widths",
    "presentation_forms",
    "tatweels",
    "diacritics",
    "digits",
    "punctuation",
    "spacing",
]

# For character classes: the letters of the Arabic script, and the marks that stand on them.
_LETTERS = "\u0620-\u063f\u0641-\u064a\u066e\u066f\u0671-\u06d3\u06d5\u06ee\u06ef\u06fa-\u06fc\u06ff\u0750-\u077f"
_LETTERS += "\u0870-\u0887\u0889-\u088e\u08a0-\u08c9"
_MARKS = (
    "\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u08ca-\u08e1\u08e3-\u08ff"
)
_ARABIC = _LETTERS + _MARKS
_DIGITS = "0-9٠-٩۰-۹"
_SPACE = "[ \u00a0]"

_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_WIDTHLESS = re.compile("[\u2060-\u2064\u206a-\u206f\ufeff]")
_JOINERS = re.compile("[\u200b-\u200d]+")
_LETTER = re.compile(f"[{_LETTERS}]")
_LETTER_BEFORE = re.compile(f"([{_LETTERS}])[{_MARKS}]{{0,4}}$")
_UNJOINED = "ءآأؤإاةدذرزوىٱڈڑژۆۇۋەےۓ"
"""Letters that no other joins behind."""
_NOT_OF_ARABIC = re.compile("[\u0679-\u06a3\u06a5-\u06be\u06c0-\u06c3\u06c5-\u06d3\u06d5]")
"""A letter of Persian, Urdu or Kurdish; ڤ is written in Arabic, too."""
_SHAPED = re.compile("[\u0900-\u109f\u1780-\u18af]")
"""The scripts of India and its neighbours, whose words hold joiners or know no spaces."""
_EMOJI = re.compile("[\u203c-\u21ff\u2300-\u2bff\u3030\u303d\u3297\u3299\ufe0f\U0001f000-\U0001faff]")

_SIGNS = {"ﷺ": "صلى الله عليه وسلم", "ﷻ": "جل جلاله", "﷼": "ريال", "﷽": "بسم الله الرحمن الرحيم"}


def _plain_forms() -> dict[str, str]:
    """What NFKC makes of presentation forms; asked of any other character, it would also turn x² into x2."""
    codes = [*range(0xFB50, 0xFDFC), *range(0xFE70, 0xFEFD)]
    forms = {chr(code): unicodedata.normalize("NFKC", chr(code)) for code in codes}
    stops = "\ufdf0\ufdf1"  # of the Quran
    return {form: plain for form, plain in forms.items() if plain != form and form not in {*_SIGNS, *stops}}


_FORMS = _plain_forms()
_FORM = re.compile("[\ufb50-\ufdff\ufe70-\ufefc]")
_OF_WORD = re.compile(rf"[\w{_MARKS}]")
_GOD, _HEH = "\ufdf2", "\ufeeb"

_TATWEEL = re.compile(f"(?<=[{_ARABIC}])ـ++(?=[\u064b-\u0652ـ]{{0,12}}+[{_LETTERS}])")
_WORD_IS_OVER = re.compile(f"[ةى][{_MARKS}]{{0,4}}$")
_HIJRI = re.compile(f"[{_DIGITS}] ?ه$")
_TO = re.compile(f"(?<![{_ARABIC}])[وف]?ل[{_MARKS}]?$")
_DIACRITIC = re.compile(
    "[\u0610-\u061a\u064b-\u0652\u0656-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed]"
)

_NUMBER = re.compile(f"[{_DIGITS}]+(?:[.,٫٬][{_DIGITS}]+)*[%٪]?")
_TO_ASCII = {0x0660 + n: str(n) for n in range(10)} | {0x06F0 + n: str(n) for n in range(10)}
_TO_ASCII |= {ord("٫"): ".", ord("٬"): ",", ord("٪"): "%"}
_TO_ARABIC = {ord(str(n)): chr(0x0660 + n) for n in range(10)} | {0x06F0 + n: chr(0x0660 + n) for n in range(10)}
_TO_ARABIC |= {ord("%"): "٪"}
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?[%٪]?")
_DECIMAL = re.compile(r"\d+\.\d+[%٪]?")
_ANY_LETTER = re.compile(r"[^\W\d_]")
_OF_A_NAME = re.compile(f"[A-Za-z_{rewriting.KEPT}]")
_FAR = 60
"""Characters; letters further away say nothing about the language of a number."""

_QUESTION = re.compile(rf"(?<=[{_ARABIC}])({_SPACE}{{0,3}})(\?++)(?![=&/A-Za-z0-9])(?![!؟\"'»”)\] ]{{0,8}}[A-Za-z])")
_BETWEEN = re.compile(rf"(?<=[{_ARABIC}»])({_SPACE}{{0,3}})([,;])(?=({_SPACE}{{0,3}})[{_LETTERS}«])")
_GLUED = {mark: re.compile(rf"(?<=\S){mark}(?=[^\s{_DIGITS}])") for mark in ",;"}
_ARABIC_MARK = {",": "،", ";": "؛"}

_SPACING = [
    (re.compile(rf"(?<=[\w{_MARKS}»”’\"')\]}}%٪…{rewriting.KEPT}]){_SPACE}+(?=[،؛؟])"), ""),
    (re.compile(rf"(?<=[{_ARABIC}]){_SPACE}+([.:!])(?=[{_LETTERS}][{_ARABIC}])"), r"\1 "),
    (
        re.compile(
            rf"(?:(?<=[{_ARABIC}])|(?<=[{_ARABIC}][»)\]])){_SPACE}+"
            rf"(?=(?:\.(?! ?\.)|!+)(?:[\s»”\"')\]]|\Z)|:(?:\s|\Z))"
        ),
        "",
    ),
    (
        re.compile(
            rf"(?<=[{_ARABIC}»”)\]][،؛؟])(?=[^\W_]|[«“(\[])"
            rf"|(?<=[A-Za-z{_DIGITS}\"'{rewriting.KEPT}][،؛؟])(?=[{_LETTERS}«])"
            # A word of one letter before the dot is an abbreviation: «ق.م».
            rf"|(?<=[{_ARABIC}]{{3}}\.)(?=[{_LETTERS}][{_ARABIC}])|(?<=[»)\]]\.)(?=[{_LETTERS}][{_ARABIC}])"
            rf"|(?<=[{_ARABIC}]!)(?=[{_LETTERS}])|(?<=[{_ARABIC}]{{2}}:)(?=[{_LETTERS}][{_ARABIC}])"
        ),
        " ",
    ),
    (re.compile(r"(?<=[،؛؟])  +(?=\S)"), " "),
    (re.compile(rf"(?<=[{_LETTERS}]){_SPACE}(?=[\u064b-\u064d](?![{_ARABIC}]))"), ""),  # «شيوعا ً»
]
_BESIDE_SPAN = re.compile(rf"\S{_SPACE}+[،؛؟]|\S[،؛؟][{_LETTERS}«]")
"""What may have to change beside code or an address, where it would not beside their letters."""


def _trigger(step: NormaliseArabic) -> str:
    """What a text has that may be changed; Rust's expressions know neither what stands before nor behind."""
    arabic = (
        r"\x{620}-\x{65f}\x{66e}-\x{6d3}\x{6d5}-\x{6dc}\x{6df}-\x{6ef}\x{6fa}-\x{6ff}\x{750}-\x{77f}\x{870}-\x{8ff}"
    )
    anywhere = r"\x{200b}-\x{200d}\x{2060}-\x{2064}\x{206a}-\x{206f}\x{feff}"
    anywhere += r"\x{61c}\x{200e}\x{200f}\x{202a}-\x{202e}\x{2066}-\x{2069}" if step.bidi_marks == "remove" else ""
    anywhere += "ـ" if step.tatweel == "remove" else ""
    anywhere += r"\x{fb50}-\x{fdff}\x{fe70}-\x{fefc}" if "resolve" in (step.presentation_forms, step.signs) else ""
    anywhere += r"\x{610}-\x{61a}\x{64b}-\x{65f}\x{670}\x{6d6}-\x{6ed}" if step.diacritics == "strip" else ""
    anywhere += {"keep": "", "ascii": "٠-٩۰-۹٪", "arabic_indic": "0-9۰-۹"}[step.digits]
    found = [f"[{anywhere}]"]
    if step.punctuation == "arabic":
        found.append(rf"[{arabic}»][ \x{{a0}}]{{0,3}}[,;?]")
    if step.spacing == "fix":
        found += [r"[ \x{a0}][،؛؟]", rf"[{arabic}][»)\]]?[ \x{{a0}}]+[.!:]", rf"[{arabic}»)\]][.!:][{arabic}]"]
        found += [r"[،؛؟](?:[\p{L}\p{N}«“(\[]|  )", r"[ \x{a0}][\x{64b}-\x{64d}]"]
    return "|".join(found)


@register
class NormaliseArabic(Normaliser):
    """Write Arabic as an editor would: no stretched words, broken letters or hidden marks; marks and spaces in order.

    Removed are tatweel inside words (not in «بـ 20», «١٤٤٥ هـ», ranges and lines of it, nor where it carries a small
    alef or hamza), marks that turn the direction of a text, and characters of no width that join nothing.
    Presentation forms (U+FB50-FDFF, U+FE70-FEFC) become letters: ﻻ is لا, اﷲ is الله. Latin `,` `;` `?` become
    «،» «؛» «؟» between Arabic words, except in lists without any space such as CSV. No space stands before a mark,
    one behind it, and none in numbers and abbreviations. Joiners of Persian words and of emoji stay. So do alef,
    ya and ta marbuta as they are written: to fold them («إلى» to «الي») is for comparing texts (`text.matching_key`),
    never for a text that is read. Code, formulas, addresses, placeholders and tags stay as they are.
    """

    example: ClassVar[dict[str, str]] = {
        "before": "قـــال الرجل ,وهو ﻻ يبتسم :هل أنت هنا ؟",
        "after": "قال الرجل، وهو لا يبتسم: هل أنت هنا؟",
    }

    step: Literal["normalise_arabic"] = "normalise_arabic"
    on: TextPath = "messages"
    tatweel: Literal["keep", "remove"] = "remove"
    """U+0640, which stretches a word."""
    presentation_forms: Literal["keep", "resolve"] = "resolve"
    """Letters in a fixed shape, and ligatures of them."""
    signs: Literal["keep", "resolve"] = "keep"
    """ﷺ, ﷻ, ﷽ and ﷼, which stand for words; they are presentation forms."""
    bidi_marks: Literal["keep", "remove"] = "remove"
    """Marks, embeddings and isolates of direction."""
    zwnj: Literal["keep", "persian", "remove"] = "persian"
    """U+200C between letters: kept in texts with a letter that Persian, Urdu or Kurdish has and Arabic has not."""
    diacritics: Literal["keep", "strip"] = "keep"
    """Vowel signs, and the marks of the Quran; hamza and madda are parts of letters."""
    digits: Literal["keep", "ascii", "arabic_indic"] = "keep"
    """Arabic-Indic and Persian digits as ASCII, or those beside Arabic words as Arabic-Indic; their marks, too."""
    punctuation: Literal["keep", "arabic"] = "arabic"
    """Latin `,` `;` `?` between Arabic words."""
    spacing: Literal["keep", "fix"] = "fix"
    """Space before and behind punctuation."""

    def measures(self) -> Columns:
        return dict.fromkeys(_KINDS, pl.Int32())

    def normalise(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        trigger = rewriting.TEXT.str.contains(_trigger(self))
        return rewriting.rewrite(frame, self.on, trigger, _KINDS, self._change)

    def _change(self, content: str, found: Counter[str]) -> str:
        persian = self.zwnj == "keep" or (self.zwnj == "persian" and bool(_NOT_OF_ARABIC.search(content)))
        # Where nothing changes, nobody need know what is code; which digits do may depend on it.
        alone = self.digits != "arabic_indic" and not _BESIDE_SPAN.search(content)
        if alone and self._edit(content, persian, Counter()) == content:
            return content
        return rewriting.outside(content, lambda around: self._edit(around, persian, found))

    def _edit(self, around: str, persian: bool, found: Counter[str]) -> str:
        if self.bidi_marks == "remove":
            around, found["bidi_marks"] = _BIDI.subn("", around)
        around, found["zero_widths"] = _WIDTHLESS.subn("", around)
        around = _each(_JOINERS, lambda run: _joined(run, persian), around, found, "zero_widths")
        if "resolve" in (self.presentation_forms, self.signs):
            around = _each(_FORM, self._resolved, around, found, "presentation_forms")
        if self.diacritics == "strip":
            around, found["diacritics"] = _DIACRITIC.subn("", around)
        if self.tatweel == "remove":
            around = _each(_TATWEEL, _unstretched, around, found, "tatweels")
        if self.digits != "keep":
            spelt = _ascii if self.digits == "ascii" else _arabic_indic
            around = _each(_NUMBER, spelt, around, found, "digits")
        if self.punctuation == "arabic":
            around = _with_arabic_marks(around, found)
        if self.spacing == "fix":
            for pattern, space in _SPACING:
                around, count = pattern.subn(space, around)
                found["spacing"] += count
        return around

    def _resolved(self, form: re.Match[str]) -> str:
        whole, sign = form.string, form[0]
        before, behind = whole[max(0, form.start() - 1) : form.start()], whole[form.end() : form.end() + 1]
        if sign in _SIGNS:
            if self.signs == "keep":
                return sign
            return " " * bool(_OF_WORD.match(before)) + _SIGNS[sign] + " " * bool(_OF_WORD.match(behind))
        if self.presentation_forms == "keep" or sign not in _FORMS:
            return sign
        plain = _FORMS[sign]
        if sign == _GOD:  # it stands for «الله» and, behind an alef or lam of its own, for what they lack
            last = _FORMS.get(before, before)[-1:]
            return {"ا": "لله", "ٱ": "لله", "ل": "له"}.get(last, plain)
        if sign == _HEH and not (_LETTER.match(behind) or behind in _FORMS):
            return "هـ"  # of the Hijra
        if plain[0] in " ـ":  # a vowel sign without its letter
            return plain[1:] if _LETTER.match(before) or before in _FORMS else sign
        return plain


def _each(
    pattern: re.Pattern[str], made: Callable[[re.Match[str]], str], around: str, found: Counter[str], kind: str
) -> str:
    """`around` with every match as `made` makes it, those counted that it changes."""

    def replace(match: re.Match[str]) -> str:
        new = made(match)
        found[kind] += new != match[0]
        return new

    return pattern.sub(replace, around)


def _joined(run: re.Match[str], persian: bool) -> str:
    """What stays of characters without width: what shapes a word or joins emoji."""
    whole, start, end = run.string, run.start(), run.end()
    before, behind = whole[max(0, start - 1) : start], whole[end : end + 1]
    if _SHAPED.match(before) or _SHAPED.match(behind):
        return run[0]
    letter = _LETTER_BEFORE.search(whole, max(0, start - 5), start)
    follows = bool(_LETTER.match(behind))
    if letter and follows:
        return "\u200c" if persian and "\u200c" in run[0] else ""
    if "\u200d" not in run[0]:
        return ""
    if (letter and letter[1] not in _UNJOINED and behind != "ـ") or (follows and before != "ـ"):
        return "ـ"  # it shows the letter as one that is joined, «بـ 20»
    return "\u200d" if _EMOJI.match(before) and _EMOJI.match(behind) else ""


def _unstretched(tatweel: re.Match[str]) -> str:
    whole, start, end = tatweel.string, tatweel.start(), tatweel.end()
    near = (max(0, start - 8), start)
    dash = _WORD_IS_OVER.search(whole, *near) or _HIJRI.search(whole, *near)
    # «لـالكتاب» would have to be «للكتاب».
    return tatweel[0] if dash or (whole.startswith("ال", end) and _TO.search(whole, *near)) else ""


def _ascii(number: re.Match[str]) -> str:
    return number[0].translate(_TO_ASCII)


def _arabic_indic(number: re.Match[str]) -> str:
    """The number in Arabic-Indic digits, if the nearest letter before it, or else behind it, is Arabic."""
    whole, start, end = number.string, number.start(), number.end()
    if _OF_A_NAME.match(whole, max(0, start - 1), start) or _OF_A_NAME.match(whole, end):
        return number[0]
    nearest = _ANY_LETTER.search(whole[max(0, start - _FAR) : start][::-1]) or _ANY_LETTER.search(
        whole, end, end + _FAR
    )
    if not (nearest and _LETTER.match(nearest[0])):
        return number[0]
    spelt = number[0]
    if _THOUSANDS.fullmatch(spelt):
        spelt = spelt.replace(",", "٬").replace(".", "٫")
    elif _DECIMAL.fullmatch(spelt):
        spelt = spelt.replace(".", "٫")
    return spelt.translate(_TO_ARABIC)


def _with_arabic_marks(around: str, found: Counter[str]) -> str:
    lines = around.split("\n")
    for i, line in enumerate(lines):
        if "," in line or ";" in line:
            # Several marks without any space around them separate data.
            data = [mark for mark, glued in _GLUED.items() if len(glued.findall(line)) > 1]
            line = _each(_BETWEEN, partial(_arabic_mark, data), line, found, "punctuation")
        if "?" in line:
            line = _each(_QUESTION, lambda marks: marks[1] + "؟" * len(marks[2]), line, found, "punctuation")
        lines[i] = line
    return "\n".join(lines)


def _arabic_mark(data: list[str], mark: re.Match[str]) -> str:
    glued = not mark[1] and not mark[3]
    return mark[0] if glued and mark[2] in data else mark[1] + _ARABIC_MARK[mark[2]]

"""Normalise Unicode: one spelling for every character (NFC), and nothing that is no character of a text."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import ClassVar, Literal

import polars as pl

from hala_factory import rewriting
from hala_factory.step import Columns, Normaliser, TextPath, register

_PLANE_ENDS = "".join(f"\\x{{{plane}{end}}}" for plane in ["", *"123456789abcdef", "10"] for end in ("fffe", "ffff"))
_NO_CHARACTER = rf"\x{{fdd0}}-\x{{fdef}}\x{{fff9}}-\x{{fffc}}{_PLANE_ENDS}"
# Line ends (U+000A-000D, U+0085) and tabs are white space, which is another step's.
_CONTROL = r"\x{1}-\x{8}\x{e}-\x{1f}\x{7f}-\x{84}\x{86}-\x{9f}"
# All that NFC changes by itself (a test asks Unicode), and whatever may join with the character before it.
_NOT_COMPOSED = (
    r"\p{M}\x{374}\x{37e}\x{387}\x{958}-\x{95f}\x{9dc}-\x{9df}\x{a33}-\x{a36}\x{a59}-\x{a5e}\x{b5c}\x{b5d}"
    r"\x{f43}-\x{f69}\x{1161}-\x{11c2}\x{1f71}-\x{2001}\x{2126}-\x{212b}\x{2329}\x{232a}\x{2adc}\x{f900}-\x{fad9}"
    r"\x{fb1d}-\x{fb4e}\x{1d15e}-\x{1d1c0}\x{2f800}-\x{2fa1d}"
)

_ENDS = "".join(chr(plane * 0x10000 + end) for plane in range(17) for end in (0xFFFE, 0xFFFF))
_UNWANTED = re.compile(f"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\ufeff\ufdd0-\ufdef\ufff9-\ufffc{_ENDS}]")
_NONCHARACTERS = re.compile(f"[\ufdd0-\ufdef\ufff9-\ufffc{_ENDS}]")
_COLOUR = r"\x1b\[[0-9;]{0,20}[A-Za-z]"  # of a terminal: the whole command goes, not the control character alone
_CONTROLS = re.compile(rf"{_COLOUR}|[\x01-\x08\x0e-\x1f\x7f]")
_C1 = re.compile("[\x80-\x84\x86-\x9f]")
_UTF8 = re.compile("[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
# A dash, a quote or a bullet that has lost its first byte; a sign of CP1252, the Euro only beside an amount.
_CP1252 = re.compile(
    "(?<![\xc2-\xf4])(?:\x80[\x90-\xa6]|\x80(?= ?[0-9])|(?<=[0-9])\x80|[\x82-\x84\x86-\x8c\x8e\x91-\x9c\x9e\x9f])"
)


@register
class NormaliseUnicode(Normaliser):
    r"""Bring texts to NFC and remove what is no character of a text: NUL, byte order marks, controls, soft hyphens.

    NFC (Unicode Standard Annex 15) makes é of e and ´, آ of ا and the madda above it, and puts vowel signs in the
    one order that Unicode names; nothing that looks or reads differently becomes the same (x² stays x², ﻻ stays ﻻ).
    `noncharacters` are U+FFFE, U+FFFF and their like and the stand-ins for objects (U+FFF9-FFFC). Characters
    U+0080-009F are no controls in practice but bytes of another encoding, and are read: as UTF-8 where they
    complete it (`â\x80\x94` is —, and then every such sequence of the text is read), else as CP1252 (`don\x92t`);
    one that is neither stays for `clean_text` to find. Code, formulas and addresses stay as they are.
    """

    example: ClassVar[dict[str, str]] = {"before": "Cafe\u0301 \ufeffal\u00ada\x00 carte", "after": "Café ala carte"}

    step: Literal["normalise_unicode"] = "normalise_unicode"
    on: TextPath = "messages"
    control_chars: Literal["keep", "remove"] = "remove"
    """Control characters, commands of a terminal (`ESC[31m`) as a whole, and bytes of another encoding."""
    soft_hyphens: Literal["keep", "remove"] = "remove"
    """U+00AD, where a word may be broken."""

    def measures(self) -> Columns:
        return dict.fromkeys(_KINDS, pl.Int32())

    def normalise(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        unwanted = r"\x{0}\x{feff}" + _NO_CHARACTER
        unwanted += _CONTROL if self.control_chars == "remove" else ""
        unwanted += r"\x{ad}" if self.soft_hyphens == "remove" else ""
        trigger = rewriting.TEXT.str.contains(f"[{unwanted}{_NOT_COMPOSED}]")
        return rewriting.rewrite(frame, self.on, trigger, _KINDS, self._change)

    def _change(self, content: str, found: Counter[str]) -> str:
        def edit(around: str) -> str:
            for kind, taken in (("nuls", "\0"), ("byte_order_marks", "\ufeff"), ("soft_hyphens", "\u00ad")):
                if kind != "soft_hyphens" or self.soft_hyphens == "remove":
                    found[kind] += around.count(taken)
                    around = around.replace(taken, "")
            around, found["noncharacters"] = _NONCHARACTERS.subn("", around)
            if self.control_chars == "remove":
                around, found["control_chars"] = _CONTROLS.subn("", around)
                around, found["misread_chars"] = _read(around)
            if unicodedata.is_normalized("NFC", around):
                return around
            return re.sub(r"\S+|[\u2000\u2001]", lambda word: _composed(word[0], found), around)

        if unicodedata.is_normalized("NFC", content) and not _UNWANTED.search(content):
            return content  # most texts with a mark
        return rewriting.outside(content, edit)


_KINDS = ["composed", "nuls", "byte_order_marks", "noncharacters", "control_chars", "misread_chars", "soft_hyphens"]


def _composed(word: str, found: Counter[str]) -> str:
    if word.isascii() or unicodedata.is_normalized("NFC", word):
        return word
    found["composed"] += 1
    return unicodedata.normalize("NFC", word)


def _read(around: str) -> tuple[str, int]:
    """The text with bytes of another encoding read, and how many sequences were."""
    if not _C1.search(around):
        return around, 0
    read = 0

    def utf8(sequence: re.Match[str]) -> str:
        nonlocal read
        try:
            character = sequence[0].encode("latin-1").decode()
        except UnicodeDecodeError:
            return sequence[0]
        read += 1
        return character

    def cp1252(sign: re.Match[str]) -> str:
        nonlocal read
        read += 1
        if len(sign[0]) == 2:
            return (b"\xe2" + sign[0].encode("latin-1")).decode()
        return sign[0].encode("latin-1").decode("cp1252")

    if any(_C1.search(sequence[0]) for sequence in _UTF8.finditer(around)):
        around = _UTF8.sub(utf8, around)
    return _CP1252.sub(cp1252, around), read

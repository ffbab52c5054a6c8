"""Personal data: e-mail addresses, phone numbers, IP addresses, bank cards and accounts, found, masked or dropped."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Iterator
from typing import ClassVar, Literal, get_args

import polars as pl
from pydantic import Field

from hala_factory import structure
from hala_factory.rewriting import TEXT, rewrite
from hala_factory.step import Columns, Normaliser, TextPath, register

Kind = Literal["email", "phone", "ip_address", "card", "iban"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_ASCII_DIGITS = {0x0660 + n: str(n) for n in range(10)} | {0x06F0 + n: str(n) for n in range(10)}
_ASCII_DIGITS |= {0xFF0B: "+", 0x2010: "-", 0x2011: "-", 0x2012: "-", 0x2013: "-", 0x00A0: " ", 0x202F: " "}
# What none of the kinds can do without, before `_ASCII_DIGITS` is applied: nearly every text ends here.
_SUSPECT = (
    r"@[\p{Nd}A-Za-z.\-\x{2010}-\x{2013}]+\.[A-Za-z]"
    r"|\p{Nd}(?:[ .\-()/\x{a0}\x{202f}\x{2010}-\x{2013}]*\p{Nd}){6}"
    r"|\p{Nd}{1,3}\.\p{Nd}{1,3}\.\p{Nd}{1,3}\.\p{Nd}|[\p{Nd}A-Fa-f]{1,4}:[\p{Nd}A-Fa-f]{0,4}:[\p{Nd}A-Fa-f:]"
    r"|[A-Z]{2}\p{Nd}{2}[ \x{a0}\x{202f}]?[\p{Nd}A-Z]"
)

_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9][A-Za-z0-9._%+'-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,5}"
    r"[A-Za-z]{2,24}(?![A-Za-z0-9-])"
)
# RFC 2606 and 6761: names that belong to nobody.
_NOBODY = re.compile(r"(?:^|\.)(?:example\.(?:com|net|org)|example|test|invalid|localhost|local)$", re.I)
_IP4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?!\.?\d|[A-Za-z_])")
_IP6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{1,4}:){2,7}(?::|[0-9A-Fa-f]{1,4}|(?::[0-9A-Fa-f]{1,4}){1,5})(?![\w:])")
_VERSION = re.compile(r"(?i)(?:version|release|build|v|section|chapter|الإصدار|إصدار|النسخة|القسم|§)\s*[:.=]?\s*$")
_CARD = re.compile(r"(?<![\w.,+-])(?:\d{4}([ -]?)\d{4}\1\d{4}\1\d{1,7}|3\d{3}([ -]?)\d{6}\2\d{4,5})(?![\w-]|[.,]\d)")
# The first digits that issuers have (ISO/IEC 7812): Visa, Mastercard, Amex, Discover, JCB, Diners, UnionPay, mada.
_ISSUER = re.compile(r"4|5[0-8]|2[2-7]|3[4-9]|6")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}(?![a-z0-9])")
# Registry of ISO 13616: characters of an account by country, Arab ones first.
_IBAN_CHARS = (
    "AE23 BH22 DJ27 EG29 IQ23 JO30 KW30 LB28 LY25 MR27 OM23 PS29 QA29 SA24 SD18 SO23 TN24 YE30 MA28 DZ26 "
    "AD24 AL28 AT20 AZ28 BA20 BE16 BG22 BR29 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 ES24 FI18 FO18 FR27 GB22 GE22 "
    "GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IS26 IT27 KZ20 LI21 LT20 LU20 LV21 MC27 MD24 ME22 MK19 MT31 MU30 NL18 "
    "NO15 PK24 PL28 PT25 RO24 RS22 RU33 SE24 SI19 SK24 SM27 TR26 UA29 VA22 VG24 XK20"
)
_IBAN_LENGTH = {word[:2]: int(word[2:]) for word in _IBAN_CHARS.split()}

_NUMBER = re.compile(r"(?<![\w.,/:=#$€£*^+-])(?:\+|00|\(\+?)?\d[\d ().\-/]{5,22}\d(?![\w%°²³^*]|[.,:/=]\d|\s*[=*^×÷])")
_CALLED = re.compile(
    r"(?i)(?:phone|telephone|tel|mobile|cell|call|fax|whatsapp|contact|sms|text me"
    r"|هاتف\w*|تلفون\w*|تليفون\w*|جوال\w*|موبايل\w*|محمول\w*|نقال\w*|خلوي\w*|واتساب|واتس|فاكس|اتصل\w*|للتواصل|رقمي)"
    r"(?:\W+\w+){0,3}\W*$"
)
_NO_PHONE = re.compile(
    r"(?i)(?:isbn(?:-1[03])?|issn|doi|id|order|invoice|ref|reference|serial|account|routing|case|barcode|ردمك|مرسوم|قانون"
    r"|قرار|قضية|القضية|الحساب|الطلب|الفاتورة|تسلسلي|هوية|الهوية)(?:\s+(?:number|no|nr|رقم))?(?:\s+is)?\s*[:.#=]?\s*$"
)
# Mobile numbers as they are written at home: Egypt 010 011 012 015, Saudi Arabia, Emirates and Palestine 05, Jordan,
# Iraq and Yemen 07, Syria, Libya and Sudan 09, Morocco and Algeria 06 and 07; Britain, France, Turkey, Iran, Pakistan.
_MOBILE = re.compile(r"0(?:1[0125]\d{8}|5\d{8}|7[3-9]\d{7,8}|[67]\d{8}|7\d{9}|9\d{8,9}|3\d{9}|5\d{9})")
_LANDLINE = re.compile(r"0[1-9]\d{7,9}")
_NORTH_AMERICA = re.compile(r"\(?[2-9]\d{2}\)?[ .-]\s?[2-9]\d{2}[ .-]\d{4}|1[ .-]\(?[2-9]\d{2}\)?[ .-]\d{3}[ .-]\d{4}")
# Calling codes (ITU-T E.164): a number of another beginning is none.
_CALLING_CODE = re.compile(
    r"1|7|2[07]|2[1-6]\d|29[01789]|3[0-469]|3[578]\d|4[013-9]|42[013]|5[1-8]|5[09]\d|6[0-6]|6[78]\d|8[1246]|85\d|88\d"
    r"|9[0-58]|9[679]\d"
)
_DATE = re.compile(r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}(?: \d{1,2})?|\d+\.\d+")  # and what has a decimal point
_YEARS = re.compile(r"(?:\d{4}\s?[-/ ]\s?)+\d{2,4}")
_SAMPLE = re.compile(r"0?123456789?0?|1?1234567890|9876543210?|(\d)\1*")
_PROTECTED = ("latex", "url", "path", "placeholder", "json_key")
_PRECEDENCE: tuple[Kind, ...] = ("email", "iban", "card", "ip_address", "phone")


@register
class Pii(Normaliser):
    """Find e-mail addresses, phone numbers, IP addresses, bank cards and accounts, and mask them or drop the row.

    With `action: mask` each becomes its placeholder, with `drop` a row that has one is dropped (by the kind that
    comes first in `kinds`), with `keep` they are only counted. Digits may be ASCII, Arabic or Persian. A phone
    number is international (`+20 100 123 4567`, `00966…`), national with its leading 0 as in Arab countries, North
    American, or stands behind a word such as "call" or «هاتف»; a card passes Luhn's check, an account (IBAN) its
    check digits and the length of its country. Not personal are names and ranges reserved for documentation
    (RFC 2606, RFC 5737), private IP addresses, obvious samples (`555-0123`, `1234567890`), ISBNs, dates, and what
    stands in code, formulas or web addresses.
    """

    example: ClassVar[dict[str, str]] = {
        "before": "Write to sara.h@gmail.com or call +966 50 123 4567.",
        "after": "Write to <EMAIL> or call <PHONE>.",
    }

    revision: ClassVar[int] = 2

    step: Literal["pii"] = "pii"
    on: TextPath = "messages"
    action: Literal["keep", "drop", "mask"] = "mask"
    """What happens to personal data, or to the row that has some."""
    kinds: list[Kind] = Field(default=list(KINDS))
    """What is looked for."""
    placeholders: dict[Kind, str] = Field(default={kind: f"<{kind.upper()}>" for kind in KINDS})
    """What stands in their place, by kind."""
    private_addresses: bool = False
    """Count IP addresses of private networks, too."""

    def faults(self, columns: Columns) -> list[tuple[str, str]]:
        found = super().faults(columns)
        if self.action == "mask":
            found += [("placeholders", f"there is none for {k!r}") for k in self.kinds if not self.placeholders.get(k)]
            held = [p for p in self.placeholders.values() if next(self._finds(p), None)]
            found += [("placeholders", f"{p!r} is itself what is looked for") for p in held]
        return found

    def measures(self) -> Columns:
        return {kind: pl.Int32() for kind in KINDS}

    def normalise(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        masked, counts = rewrite(frame, self.on, TEXT.str.contains(_SUSPECT), KINDS, self._masked)
        return masked if self.action == "mask" else frame, counts

    def rules(self) -> list[tuple[str, pl.Expr]]:
        return [(kind, pl.col(kind) > 0) for kind in self.kinds] if self.action == "drop" else []

    def _masked(self, content: str, counts: Counter[str]) -> str:
        """The text with placeholders; what only a placeholder beside it brings to light is replaced as well."""
        while found := list(self._finds(content)):
            pieces, at = [], 0
            for start, end, kind in found:
                counts[kind] += 1
                pieces += [content[at:start], self.placeholders.get(kind, "")]
                at = end
            content = "".join([*pieces, content[at:]])
        return content

    def _finds(self, content: str) -> Iterator[tuple[int, int, Kind]]:
        """Where personal data stands, in order and without overlaps."""
        plain = content.translate(_ASCII_DIGITS)  # one character for one: what is found there stands here
        found = [(*span, kind) for kind in _PRECEDENCE if kind in self.kinds for span in self._spans(kind, plain)]
        if not found:
            return
        taken, protected = bytearray(len(content)), bytearray(len(content))
        for span in structure.spans(content):
            if span.kind == "code":
                taken[span.start : span.end] = b"\1" * (span.end - span.start)
            elif span.kind in _PROTECTED:
                protected[span.start : span.end] = b"\1" * (span.end - span.start)
        free: list[tuple[int, int, Kind]] = []
        for start, end, kind in found:
            if not any(taken[start:end]) and (kind == "email" or not any(protected[start:end])):
                taken[start:end] = b"\1" * (end - start)
                free.append((start, end, kind))
        yield from sorted(free)

    def _spans(self, kind: Kind, plain: str) -> Iterator[tuple[int, int]]:
        match kind:
            case "email":
                for found in _EMAIL.finditer(plain) if "@" in plain else ():
                    if not _NOBODY.search(found[0].split("@")[1]):
                        yield found.span()
            case "phone":
                yield from _phones(plain)
            case "ip_address":
                yield from _addresses(plain, self.private_addresses)
            case "card":
                for found in _CARD.finditer(plain):
                    digits = re.sub(r"\D", "", found[0])
                    if 13 <= len(digits) <= 19 and _ISSUER.match(digits) and len(set(digits)) > 1 and _luhn(digits):
                        yield found.span()
            case "iban":
                yield from _accounts(plain)


def _phones(plain: str) -> Iterator[tuple[int, int]]:
    for found in _NUMBER.finditer(plain):
        start, number = found.start(), found[0]
        if number.count("(") != number.count(")"):  # it began or ends in a bracket of the sentence
            number = number.rstrip(")").rstrip() if number.count(")") > number.count("(") else number
            if number.startswith("("):
                start, number = start + 1, number[1:]
        digits = re.sub(r"\D", "", number)
        before = plain[max(0, start - 40) : start]
        if _is_phone(number, digits, before):
            yield start, start + len(number)


def _is_phone(number: str, digits: str, before: str) -> bool:
    """Whether digits that stand together are a number to call, and no date, measure, reference or sample."""
    if _SAMPLE.fullmatch(digits) or _DATE.fullmatch(number) or _NO_PHONE.search(before):
        return False
    if re.search(r"555[ .-]?01\d\d$", number) or _is_isbn(digits, number):
        return False
    if number.lstrip("(").startswith("+"):
        return 8 <= len(digits) <= 15 and bool(_CALLING_CODE.match(digits))
    if digits.startswith("00"):
        return 10 <= len(digits) <= 17 and bool(_CALLING_CODE.match(digits[2:]))
    called = bool(_CALLED.search(before))
    if _YEARS.fullmatch(number) and not called:
        return False
    if re.match(r"\(?0[1-9]", number):
        grouped = not number.isdigit()
        if _MOBILE.fullmatch(digits) or ((grouped or called) and _LANDLINE.fullmatch(digits)):
            return True
    if _NORTH_AMERICA.fullmatch(number):
        return True
    return called and 7 <= len(digits) <= 12


def _is_isbn(digits: str, number: str) -> bool:
    if len(digits) == 13:
        weighed = sum(int(d) * (1 + 2 * (i % 2)) for i, d in enumerate(digits))
        return digits.startswith(("978", "979")) and weighed % 10 == 0
    weighed = sum((10 - i) * int(d) for i, d in enumerate(digits))
    return len(digits) == 10 and number.count("-") == 3 and weighed % 11 == 0


def _addresses(plain: str, private: bool) -> Iterator[tuple[int, int]]:
    for pattern in (_IP4, _IP6):
        for found in pattern.finditer(plain):
            try:
                address = ipaddress.ip_address(found[0])
            except ValueError:
                continue
            if address.version == 4:
                small = all(int(part) < 10 for part in found[0].split("."))  # a version, a section: 2.1.0.4
                if small or _VERSION.search(plain[max(0, found.start() - 20) : found.start()]):
                    continue
            elif address not in ipaddress.ip_network("2000::/3") and not address.is_private:
                continue
            reserved = address.is_loopback or address.is_unspecified or address.is_multicast or address.is_link_local
            documented = any(address in net for net in _DOCUMENTATION if net.version == address.version)
            if not reserved and not documented and (address.is_global or (private and address.is_private)):
                yield found.span()


_DOCUMENTATION = [
    ipaddress.ip_network(net) for net in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
]


def _accounts(plain: str) -> Iterator[tuple[int, int]]:
    for found in _IBAN.finditer(plain):
        length = _IBAN_LENGTH.get(found[0][:2])
        places = [m.end() for m in re.finditer(r"[A-Z0-9]", found[0])]
        if length and len(places) >= length:
            account = found[0][: places[length - 1]].replace(" ", "")
            behind = plain[found.start() + places[length - 1] :][:1]
            number = int("".join(str(int(c, 36)) for c in account[4:] + account[:4]))
            if number % 97 == 1 and not behind.isalnum():
                yield found.start(), found.start() + places[length - 1]


def _luhn(digits: str) -> bool:
    doubled = [int(d) if i % 2 == 0 else sum(divmod(2 * int(d), 10)) for i, d in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0

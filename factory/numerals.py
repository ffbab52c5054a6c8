"""Numerals: which numbers a text says, in digits and in words of English and Arabic, and which its translation lacks.

The model:
- A *numeral* is a number in digits, with what stands beside it: a scale («300 ألف»), a clock, a decade, a range.
- *Words* are evidence for numerals of the other text only: that both say a number in words is never compared.
- What no evidence explains is missing or added. An explanation that could also be a mistake is none.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from hala_factory import text as texts

_MOST = 200
"""Numerals that are looked up in the words; of a text with more that differ, the difference itself says enough."""

_SCALES = {
    **{"hundred": 100, "thousand": 1_000, "million": 10**6, "billion": 10**9, "trillion": 10**12},
    **{"millions": 10**6, "billions": 10**9, "crore": 10**7, "lakh": 10**5},
    **dict.fromkeys(("مئه", "مائه", "ميه"), 100),
    **dict.fromkeys(("الف", "الاف", "الفا"), 1_000),
    **dict.fromkeys(("مليون", "ملايين", "مليونا"), 10**6),
    **dict.fromkeys(("مليار", "مليارات", "مليارا", "بليون"), 10**9),
    **dict.fromkeys(("تريليون", "ترليون", "تريليونات"), 10**12),
}
_LETTERS = {"k": 1_000, "m": 10**6, "mn": 10**6, "b": 10**9, "bn": 10**9}
_UNITS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
_UNITS += " seventeen eighteen nineteen"
_ORDINALS = "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth"
_ORDINALS += " fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth"
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_ENGLISH = {
    **{word: n for n, word in enumerate(_UNITS.split())},
    **{word: n for n, word in enumerate(_ORDINALS.split())},
    **{word + "s": n for n, word in enumerate(_ORDINALS.split()) if n > 2},
    **{word: 10 * n for n, word in enumerate(_TENS, 2)},
    **{word[:-1] + "ieth": 10 * n for n, word in enumerate(_TENS, 2)},
    **{word[:-1] + "ies": 10 * n for n, word in enumerate(_TENS, 2)},
    **{"hundredth": 100, "thousandth": 1_000, "once": 1, "single": 1, "nil": 0},
    **dict.fromkeys(("twice", "double", "doubled", "doubles", "both", "couple", "pair", "twin", "duo"), 2),
    **{"triple": 3, "trio": 3, "quarter": 4, "quadruple": 4},
}
_ARABIC_UNITS: dict[int, str] = {
    0: "صفر",
    1: "واحد واحده واحدا احد احدي حادي حاديه اول اولي مره",
    2: "اثنان اثنين اثنتان اثنتين اثنا اثني اثنتا اثنتي ثاني ثانيه ثان ثانيا زوج زوجان زوجين كلا كلتا كلاهما كليهما"
    " ثنائي ثنائيه مزدوج مزدوجه ضعف ضعفي ضعفين مضاعف مضاعفه مرتين مرتان تنين",
    3: "ثلاث ثلاثه ثلاثا ثالث ثالثه ثالثا ثلاثي ثلاثيه تلات تلاته",
    4: "اربع اربعه اربعا رابع رابعه رباعي رباعيه",
    5: "خمس خمسه خمسا خامس خامسه خماسي خماسيه",
    6: "ست سته ستا سادس سادسه سداسي سداسيه",
    7: "سبع سبعه سبعا سابع سابعه سباعي سباعيه",
    8: "ثمان ثماني ثمانيه ثمانيا ثامن ثامنه تمن تمنيه",
    9: "تسع تسعه تسعا تاسع تاسعه",
    10: "عشر عشره عشرا عاشر عاشره",
}
_ARABIC_TENS = {"عشر": 20, "ثلاث": 30, "اربع": 40, "خمس": 50, "ست": 60, "سبع": 70, "ثمان": 80, "تسع": 90}
_ARABIC = {
    **{word: n for n, words in _ARABIC_UNITS.items() for word in words.split()},
    **{stem + end: n for stem, n in _ARABIC_TENS.items() for end in ("ون", "ين")},
    **{
        stem + word: n * 10
        for stem, n in [*list(_ARABIC_TENS.items())[1:], ("ثماني", 80)]
        for word in ("مئه", "مائه", "ميه")
    },
    **dict.fromkeys([stem + end for stem in ("مئت", "مائت", "ميت") for end in ("ان", "ين", "ي", "ا")], 200),
    **dict.fromkeys(("الفان", "الفين", "الفي"), 2_000),
    **dict.fromkeys(("مليونان", "مليونين", "مليوني"), 2 * 10**6),
    **dict.fromkeys(("ملياران", "مليارين", "ملياري"), 2 * 10**9),
}
_SPANS = {"decade": 10, "century": 100, "millennium": 1_000, "عقد": 10, "قرن": 100, "dozen": 12, "دزينه": 12}
"""Nouns that say a number, and never join the number words beside them: «القرن التاسع»."""
_DAYS = {"الاحد", "الاثنين"}
_MANY = {"الاف", "ملايين", "مليارات", "millions", "billions"}
"""Without a number before them these say no number."""
_TEN_AFTER_UNIT = {"عشر", "عشره"}
_PREFIX = re.compile(r"(?:و|ف)?(?:(?:ب|ك)?ال|لل|ل|ب|ك)?")
_DECADE = re.compile(r"(?:و|ف|ب|ل|ك)*(?:ال|لل)?(عشر|ثلاث|اربع|خمس|ست|سبع|ثمان|تسع)(?:ين|ان)?ي?ات\b")
_CENTURY = re.compile(r"[\sمن]{0,5}القرن\s+(\w+(?:\s+و?\s?\w+)?)")
_MILLENNIUM = re.compile(r"\b(?:ال)?الفيه\b|القرن (?:الحادي|الواحد) وال?عشرين|العقد الاول|القرن الجديد")
_DUAL = re.compile(r"\w{3,}(?:ين|ان)\b")
_NOT_DUAL = {
    "الذين",
    "اللذين",
    "انسان",
    "مكان",
    "الان",
    "احيان",
    "كان",
    "زمان",
    "عنوان",
    "حيوان",
    "بيان",
    "اثنين",
    "بين",
}
_MONTHS = [
    "january jan يناير جانفي كانون_الثاني",
    "february feb فبراير فيفري شباط",
    "march mar مارس اذار",
    "april apr ابريل افريل نيسان",
    "may مايو ماي ايار",
    "june jun يونيو يونيه جوان حزيران",
    "july jul يوليو يوليه جويليه تموز",
    "august aug اغسطس اوت اب",
    "september sep sept سبتمبر ايلول",
    "october oct اكتوبر تشرين_الاول",
    "november nov نوفمبر تشرين_الثاني",
    "december dec ديسمبر كانون_الاول",
]
_UNIT_NOUNS = {
    "year": "عام سنه", "month": "شهر", "week": "اسبوع", "day": "يوم", "hour": "ساعه", "minute": "دقيقه",
    "second": "ثانيه", "time": "مره", "mile": "ميل", "metre": "متر", "meter": "متر", "foot": "قدم", "cup": "كوب",
    "teaspoon": "ملعقه", "tablespoon": "ملعقه", "person": "شخص", "page": "صفحه", "litre": "لتر", "liter": "لتر",
}  # fmt: skip
"""What is one, or two, without a number in Arabic: «عام», «عامين»."""
_PARTS = {  # fractions, and what says them
    (1, 2): r"نصف|\bhalf\b|\bhalves\b",
    (1, 3): r"ثلث|\bthirds?\b",
    (2, 3): r"ثلثي|ثلثا|ثلثين|\bthirds\b",
    (1, 4): r"ربع|\bquarters?\b|\bfourths?\b",
    (3, 4): r"ارباع|\bquarters\b|\bfourths\b",
    (1, 5): r"خمس|\bfifths?\b",
    (1, 8): r"ثمن|\beighths?\b",
    (1, 10): r"عشر|\btenths?\b",
}
_MINUTES = {30: _PARTS[1, 2], 15: _PARTS[1, 4], 20: _PARTS[1, 3], 45: _PARTS[1, 4], 40: _PARTS[1, 3]}
_NUMBER = re.compile(r"[0-9]+(?:[.,][0-9]+)*")
_AFTER = re.compile(r"[ \u00a0-]?([^\W\d_]+)")
_ROMAN = re.compile(r"(?<=[A-Za-z] |[A-Za-z]-)(X{0,3}(?:IX|IV|V?I{0,3}))\b(?!['’])")
_NO_NOUN = re.compile(r"[ -](?:and|or|to|of|in|on|at|for|from|by|the|is|are|was|were|with|as|but|a|an|it|per)\b")
_PER_CENT = re.compile(r"\b(?:بال|في ال)(?:مئه|مائه|ميه)\b")
_TOKEN = re.compile(r"[^\W\d_]+")
_JOINED = re.compile(r"\s*-?\s*(?:و|and)?\s*-?\s*")


@dataclass
class Numeral:
    """A number in digits: its value, what else it may mean, and where it stands."""

    spelt: str
    value: float
    start: int
    end: int
    scale: int = 1
    others: set[float] = field(default_factory=set)
    minute: bool = False
    hour: bool = False
    decade: bool = False


@dataclass
class Said:
    """A number in words: its value, and those of its parts («الثالثة وعشرون» may be 3:20)."""

    value: float
    parts: list[float]


_SAID_BY_BOTH = Said(-1, [])


def unexplained(source: str, target: str) -> tuple[list[str], list[str], int]:
    """The numbers in digits that the translation lacks, those it adds, and how many were explained by words.

    `1,250` and `١٢٥٠` are one number, as `text.plain_number` says; so are 300,000 and «300 ألف», `1943–6` and
    «1943 إلى 1946», `5.30pm` and `5:30`. A number is explained by number words, ordinals, duals («ثانيتين»), decades
    («الثمانينيات»), Roman numerals, parts («النصف») and month names in dates.
    """
    both = texts.folded(source), texts.folded(target)
    sides = [list(_numerals(text)) for text in both]
    left = _paired(*sides)
    if max(map(len, left)) > _MOST:
        return [n.spelt for n in left[0]], [n.spelt for n in left[1]], 0
    differing = len(left[0]) + len(left[1])
    if len(left[0]) != len(left[1]) and _digits(left[0]) == _digits(left[1]):  # 116 123 and 116123
        return [], [], differing
    said = [list(_said(text)) for text in both]
    _without_common(*said)
    missing = _left(left[0], both[0], both[1], said[1], sides[1])
    added = _left(left[1], both[1], both[0], said[0], sides[0])
    return [n.spelt for n in missing], [n.spelt for n in added], differing - len(missing) - len(added)


def _digits(numerals: Iterable[Numeral]) -> str:
    return "".join(n.spelt for n in numerals)


# Digits


def _numerals(text: str) -> Iterator[Numeral]:
    """The numerals of a folded text, in order."""
    before: Numeral | None = None
    for match in _NUMBER.finditer(text):
        start, end = match.span()
        clock = re.match(r"\s?[ap]\.?m\b", text[end : end + 6], re.I) and re.fullmatch(r"(\d{1,2})\.(\d\d)", match[0])
        spelt = [clock[1], clock[2]] if clock else _plain(match[0])
        after = text[end : end + 24]
        for i, part in enumerate(spelt):
            found = Numeral(part, float(part), start, end)
            if clock:
                found.hour, found.minute = i == 0, i == 1
            if i == len(spelt) - 1:
                _look_behind(found, after)
            if i == 0 and before:
                _look_before(found, before, text[before.end : start])
            yield found
            before = found


def _plain(number: str) -> list[str]:
    """What `text.plain_number` answers, for one number."""
    if re.fullmatch(r"[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]+)?", number):
        return [number.replace(",", "")]
    if re.fullmatch(r"[1-9][0-9]{0,2}(?:\.[0-9]{3})+(?:,[0-9]+)?", number):
        return [number.replace(".", "").replace(",", ".")]
    if re.fullmatch(r"[0-9]+(?:[.,][0-9]+)?", number):
        return [number.replace(",", ".")]
    return re.split("[.,]", number)


def _look_behind(found: Numeral, after: str) -> None:
    """What follows a numeral: its scale, `s` of a decade, a half."""
    word = _AFTER.match(after)
    scale = word and (_SCALES.get(word[1].lower()) or (after[0] == word[1][0] and _LETTERS.get(word[1].lower())))
    if scale:
        if word and word[1].lower() in _SCALES:
            found.scale = scale
        found.others.add(found.value * scale)
    if re.match(r"(?:\s\w+)?\s?و\s?(?:ال)?نصف\b|(?:\s\w+)? and a half\b", after):
        found.others |= {found.value + 0.5, (found.value + 0.5) * found.scale}
    found.decade = bool(re.match(r"['’]?s\b", after)) and found.value % 10 == 0
    found.hour |= bool(re.match(r":[0-9]{2}|\s?[ap]\.?m\b", after, re.I))
    if found.hour and found.value < 13:
        found.others.add(found.value + 12)


def _look_before(found: Numeral, before: Numeral, between: str) -> None:
    """What a numeral is to the one before it: minutes, or the end of a range whose first digits it leaves out."""
    found.minute |= between == ":" and before.value < 25 and len(found.spelt) == 2
    whole = len(before.spelt) == 4 and before.value.is_integer()
    if whole and between.strip() in ("-", "–", "—", "/", "−") and len(found.spelt) < 3:
        found.others.add(float(before.spelt[: -len(found.spelt)] + found.spelt))


_Keys = Callable[[Numeral], list[object]]
_ROUNDS: list[tuple[_Keys, _Keys]] = [
    (lambda n: [(n.value, n.scale)], lambda n: [(n.value, n.scale)]),
    # Of two scales one may stand elsewhere: «2 إلى 3 ملايين».
    (lambda n: [(n.value, n.scale == 1)], lambda n: [(n.value, True), *([(n.value, False)] if n.scale == 1 else [])]),
    (lambda n: [n.value * n.scale, *n.others], lambda n: [n.value * n.scale, *n.others]),
]
"""What a numeral of the target offers and one of the source wants, those that agree best first."""


def _paired(source: list[Numeral], target: list[Numeral]) -> tuple[list[Numeral], list[Numeral]]:
    """What is left of both when numerals that say the same are set aside."""
    for offers, wants in _ROUNDS:
        waiting: dict[object, list[Numeral]] = defaultdict(list)
        for n in reversed(target):
            for key in offers(n):
                waiting[key].append(n)
        taken: set[int] = set()
        kept = []
        for n in source:
            for key in wants(n):
                while waiting[key] and id(waiting[key][-1]) in taken:
                    waiting[key].pop()
                if waiting[key]:
                    taken.add(id(waiting[key].pop()))
                    break
            else:
                kept.append(n)
        source, target = kept, [n for n in target if id(n) not in taken]
    return source, target


# Words


def _said(text: str) -> Iterator[Said]:
    """The numbers that a folded text says in words or in Roman numerals."""
    for match in _ROMAN.finditer(text):
        if match[1]:
            yield Said(_roman(match[1]), [])
    text = _PER_CENT.sub(" ", text)
    run: list[tuple[float, str, bool]] = []
    end = 0
    for match in _TOKEN.finditer(text):
        if match[0] in _DAYS:
            continue
        span = _SPANS.get(match[0].lower())
        if span and (match[0] != "century" or text.endswith("a ", 0, match.start())):
            yield Said(span, [])
        value = _word(match[0])
        if value is None:
            continue
        between = text[end : match.start()]
        if run and not _JOINED.fullmatch(between):
            yield from _numbers(run)
            run = []
        also = bool(between.strip(" -")) or (match[0][0] == "و" and match[0] not in _ARABIC)
        run.append((value, match[0].lower(), also))
        end = match.end()
    yield from _numbers(run)


def _word(token: str) -> float | None:
    """The value of one word, with whatever is written together with it in Arabic."""
    token = token.lower()
    value = _ENGLISH.get(token, _SCALES.get(token, _ARABIC.get(token)))
    if value is not None or token.isascii():
        return value
    prefix = _PREFIX.match(token)
    for cut in sorted({prefix.end() if prefix else 0, 1, 2, 3}):
        bare = token[cut:]
        if len(bare) > 1 and _PREFIX.fullmatch(token[:cut]) and (bare in _ARABIC or bare in _SCALES):
            return _ARABIC.get(bare, _SCALES.get(bare))
    return None


def _numbers(run: Iterable[tuple[float, str, bool]]) -> Iterator[Said]:
    """The numbers that a run of number words says, each as large as grammar allows; `also`: «و» or `and` before it."""
    run = list(run)
    if len(run) == 1 and _PREFIX.sub("", run[0][1], count=1) in _MANY:
        return
    above = group = low = 0.0  # thousands and more; what is below them; the last word's part
    parts: list[float] = []
    for value, word, also in run:
        goes_on = True
        fits = group % 100 == 0 and (group >= 100 or above > 0)
        if value >= 1_000 and group and not also:
            above, group = above + group * value, 0.0
        elif value >= 1_000 and above > value and not group and also:
            above += value
        elif value == 100 and 0 < group < 100 and not also:
            group *= 100
        elif 100 <= value < 1_000 and above and not group:
            group = value
        elif word in _TEN_AFTER_UNIT and 0 < low < 10 and not also:
            group += 10
        elif value < 100 and (fits or (_after_unit if also else _after_tens)(value, word, low)):
            group += value
        else:
            goes_on = False
        if not goes_on:
            if parts:
                yield Said(above + group, parts)
            above, group, parts = (value, 0.0, []) if value >= 1_000 else (0.0, value, [])
        parts.append(value)
        low = value
    if parts:
        yield Said(above + group, parts)


def _after_tens(value: float, word: str, low: float) -> bool:
    """Whether a word goes on as in twenty-eight."""
    return 20 <= low < 100 and value < 10 and word.isascii()


def _after_unit(value: float, word: str, low: float) -> bool:
    """Whether a word goes on as in «ثمانية وعشرون»."""
    return 0 < low < 10 and value >= 20 and not word.isascii()


def _roman(word: str) -> float:
    values = [{"I": 1, "V": 5, "X": 10}[c] for c in word]
    return float(sum(-v if v < max(values[i:]) else v for i, v in enumerate(values)))


def _without_common(source: list[Said], target: list[Said]) -> None:
    """Leave out what both sides say in words, for it explains no digits; one and two have too many names for that."""
    common = Counter(s.value for s in source if s.value > 2) & Counter(s.value for s in target)
    for side in (source, target):
        left = Counter(common)
        for i in reversed(range(len(side))):
            if left[side[i].value] > 0:
                left[side[i].value] -= 1
                side[i] = _SAID_BY_BOTH
        side[:] = [s for s in side if s is not _SAID_BY_BOTH]


# Evidence


def _left(numerals: list[Numeral], own: str, other: str, said: list[Said], others: list[Numeral]) -> list[Numeral]:
    """The numerals of `own` that nothing in the `other` text explains."""
    if "24/7" in own and re.search("اسبوع|ساعه|week|clock", other):
        numerals = [n for n in numerals if n.value not in (24, 7)]
    parts = {pair for n in numerals for pair in _fraction(n, own) if re.search(_PARTS.get(pair, r"\Z."), other)}
    duals = [m[0] for m in _DUAL.finditer(other) if m[0] not in _NOT_DUAL and m[0] not in _DAYS]
    values = {n.value for n in others}
    left = []
    for n in numerals:
        if _taken(n.value * n.scale, said):
            continue
        explained = (
            any(pair in parts for pair in _fraction(n, own))
            or (n.decade and _names_decade(n.value, other))
            or (n.hour and n.value > 12 and _taken(n.value - 12, said))
            or ((n.hour or n.minute) and _part_taken(n, said, other))
            or (n.minute and (n.value == 0 or bool(re.search(_MINUTES.get(int(n.value), r"\Z."), other))))
            or (n.value % 1 == 0.5 and bool(re.search(_PARTS[1, 2], other)))
            or (n.value in (50, 25) and _is_percent(own, n) and bool(re.search(_PARTS[1, 100 // int(n.value)], other)))
            or _is_letter(own, n)
            or (n.value in values and _in_gloss(own, n))
            or _is_month(n, own, other)
            or _counts_noun(n, own, other, duals)
        )
        if not explained:
            left.append(n)
    return left


def _taken(value: float, said: list[Said]) -> bool:
    """Whether a number is said in words; each is evidence once."""
    for i, s in enumerate(said):
        if s.value == value:
            del said[i]
            return True
    return False


def _part_taken(n: Numeral, said: list[Said], other: str) -> bool:
    """Whether an hour or a number of minutes is part of what is said: «الثالثة وعشرون دقيقة», «التاسعة إلا ربعا»."""
    wanted = {n.value, n.value - 12 if n.value > 12 else n.value}
    if n.hour and re.search(r"\bالا\b|\bto\b", other):
        wanted.add(n.value + 1)
    for s in said:
        for part in s.parts:
            if part in wanted:
                s.parts.remove(part)
                return True
    return False


def _names_decade(value: float, other: str) -> bool:
    """Whether a decade is named, and in the right century where one is named with it."""
    year = int(value)
    if year % 100 < 20 and year >= 1000:
        return bool(_MILLENNIUM.search(other)) or bool(re.search(r"\bعقد|قرن", other))
    for match in _DECADE.finditer(other):
        if _ARABIC_TENS[match[1]] != year % 100:
            continue
        century = _CENTURY.match(other, match.end())
        said = next(_said(century[1]), None) if century else None
        if year < 1000 or said is None or said.value == year // 100 + 1:
            return True
    tens = _TENS[year % 100 // 10 - 2][:-1] + "ies"
    ages = any(s.value == year for s in _said(other)) if year < 100 else False
    return ages or tens in other.lower()


def _fraction(n: Numeral, own: str) -> list[tuple[int, int]]:
    """The fractions that a numeral is a part of: `2/3`."""
    found = []
    for m in re.finditer(
        r"(?<![0-9/])([0-9]{1,2})[/\u2044]([0-9]{1,2})(?![0-9/])", own[max(0, n.start - 3) : n.end + 3]
    ):
        found.append((int(m[1]), int(m[2])))
    return found


def _is_percent(own: str, n: Numeral) -> bool:
    return bool(re.match(r"\s?(?:%|٪|per ?cent)", own[n.end : n.end + 10]))


def _is_letter(own: str, n: Numeral) -> bool:
    """Whether a zero is part of a name in Latin letters (`R0`, `n00b`), which may be spelt out in the other text."""
    return n.value == 0 and n.start > 0 and own[n.start - 1].isascii() and own[n.start - 1].isalpha()


def _in_gloss(own: str, n: Numeral) -> bool:
    """Whether a numeral stands in brackets with a name in Latin letters, as translators into Arabic repeat names."""
    if own.isascii():
        return False
    opening, closing = own.rfind("(", 0, n.start), own.rfind(")", 0, n.start)
    return opening > closing and bool(re.search("[A-Za-z]{2}", own[opening : n.start + 40].split(")")[0]))


def _is_month(n: Numeral, own: str, other: str) -> bool:
    """Whether a numeral of a date, `12/05/2020`, is a month that the other text names."""
    date = re.search(r"[0-9]{1,4}[/.-][0-9]{1,2}[/.-][0-9]{1,4}", own[max(0, n.start - 8) : n.end + 8])
    if not date or not 1 <= n.value <= 12:
        return False
    words = {w.lower() for w in _TOKEN.findall(re.sub(r"(تشرين|كانون) ", r"\1_", other).replace("_", "ـ"))}
    return any(name.replace("_", "ـ") in words for name in _MONTHS[int(n.value) - 1].split())


def _counts_noun(n: Numeral, own: str, other: str, duals: list[str]) -> bool:
    """Whether a one or two counts what the other text names in the singular or dual: `2 weeks`, «أسبوعين»."""
    noun = re.match(r"(?:[ -][a-z]+)?[ -]([a-z]{2,})", own[n.end : n.end + 40])
    alone = n.start == 0 or not (own[n.start - 1].isalnum() or own[n.start - 1] in "-–/.:&")
    if n.value not in (1, 2) or not alone or not noun or _NO_NOUN.match(own, n.end):
        return False
    if n.value == 2 and duals:
        duals.pop()
        return True
    named = re.findall("[a-z]+", noun[0])
    singular = [form for word in named for form in _UNIT_NOUNS.get(word.removesuffix("s"), "").split()]
    dual = "ي" if n.value == 2 else ""
    return any(
        re.search(rf"\b(?:و|ف|ب|ل)*(?:ال|لل)?{s[:-1] + 'ت' if dual and s[-1] == 'ه' else s}{dual}ا?\b", other)
        for s in singular
    )

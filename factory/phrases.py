"""Phrases by which texts give away the model that wrote them: leaked instructions, refusals, answers, questions.

All of them are looked for in `normalised` text, and written here as it is spelt there. What finds leaked instructions
is built of parts, because a translator leaks a paraphrase of its instruction, distorted as often as not.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

import polars as pl

from hala_factory import rows

_FOLDS = {
    **dict.fromkeys("’ʼ‘", "'"),
    **dict.fromkeys("أإآٱ", "ا"),
    **dict.fromkeys("ىی", "ي"),
    **{"ة": "ه", "ک": "ك", "：": ":"},
    **dict.fromkeys(map(chr, [*range(0x064B, 0x0653), 0x0670, 0x0640, 0x00AD, 0xFEFF]), ""),
    **dict.fromkeys(map(chr, [*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]), ""),
}
_TABLE = str.maketrans(_FOLDS)
_SPACES = ((r"[^\S\n]+", " "), (r" ?\n\s*", "\n"))


def normalised(text: str) -> str:
    """Lower case, one space or one line break, no Arabic vowel marks, no tatweel; alef, ya and ta marbuta folded."""
    text = text.lower().translate(_TABLE)
    for pattern, instead in _SPACES:
        text = re.sub(pattern, instead, text)
    return text.strip()


PROMPT = 2000
"""Characters at the end of a prompt that are looked at for what it asks."""


def turns(frame: pl.DataFrame, path: str) -> pl.DataFrame:
    """The texts of a path, one line each: `row`, `said`, and `before`, the message before it ('' if there is none)."""
    column, _, role = path.partition(".")
    if not column.startswith("messages"):
        return frame.select(before=pl.lit(""), said=rows.text(path)).with_row_index("row")
    message = pl.element().struct
    before = pl.struct(role=message.field("role"), content=message.field("content").shift(1))
    shifted = frame.with_columns(pl.col(column).list.eval(before).alias(f"{column}_before"))
    pairs: pl.DataFrame = rows.text_pairs(shifted, f"{column}_before" + (f".{role}" if role else ""), path)
    return pairs.rename({"source": "before", "target": "said"})


# Refusals

_BETWEEN = r"[\x{64B}-\x{652}\x{670}\x{640}]*"


def _loose(word: str) -> str:
    """A pattern for a folded word as it may be spelt."""
    kinds = {"ا": "[اأإآ]", "ي": "[يى]", "ه": "[هة]", " ": r"\s+"}
    return _BETWEEN.join(kinds.get(letter, letter) for letter in word)


_CANNOT = (
    r"\b(?:i|we)(?:'m| am|'re| are)? ?(?:also |currently |really |simply |still |just |actually |personally )?"
    r"(?:can't|cannot|can not|couldn't|could not|won't|will not|will be unable|unable|not able|incapable|not capable"
    r"|not (?:programmed|designed|allowed|permitted|equipped|comfortable|authori[sz]ed)"
    r"|(?:don't|do not) (?:currently )?have (?:the )?(?:ability|capability|capacity|means)|must (?:decline|refuse)"
    r"|have to (?:decline|refuse)|refuse|decline)\b(?: be able)?(?: (?:to|of|with))?(?: \w+ly)?"
)
_SERVES = (
    r"(?:help(?!s? but)|assist|provid|fulfil|comply|complet|do (?:that|this|so)|process|generat|answer|respond"
    r"|translat"
    r"|access|perform|engag|support|creat|produc|offer|giv(?!e (?:up|in))|shar|writ|order|book|brows|view|draw"
    r"|display|set up|execut|interpret|plac|retriev|recommend|render|tell you(?! how)|participat|estimat|summari"
    r"|analy[sz]|schedul)"
)
_SORRY = r"(?:\bsorry|\bapologi[sz]e\w*|\bapologies|\bafraid|\bunfortunately|\bregret\w*)\b"
_TASK = r"(?:the|this|that|your) (?:task|instruction|input|question|request|prompt|query|output)s?\b"
_CANNOT_ARABIC = (
    r"(?:لا (?:استطيع|يمكنني|اقدر|يمكننا|نستطيع|يسعني|يجوز لي|يحق لي|املك القدره)"
    r"|لن (?:استطيع|اتمكن|يمكنني|اقدم|اساعد\w*|اقوم|اكون قادر\w*)|لست (?:قادر\w*|مخول\w*|مبرمج\w*|مصمم\w*)"
    r"|غير (?:قادر\w*|مخول\w*|مسموح لي)|ليس (?:بامكاني|بمقدوري|بوسعي|لدي (?:القدره|القابليه|الصلاحيه|امكانيه))"
    r"|ليست لدي|لم اتمكن|يتعذر علي|\b(?:ما|مش) (?:بقدر|اقدر|قادر\w*|هقدر)|مقدرش|ما فيني)"
)
_SERVES_ARABIC = (
    r"(?:ال|ل|لل|ب|ان )?(?:مساعد|اساعد|ترجم|اترجم|تقديم|اقدم|تنفيذ|انفذ|تلبي|البي|استجاب|استجيب|اكمال|اكمل|رد|ارد"
    r"|اجاب|اجيب"
    r"|انشا|انشئ|كتاب|اكتب|توليد|اولد|مشارك|توفير|اوفر|قيام|اقوم|فعل|معالج|وصول|اصل|دخول|اطلاع|امتثال|امتثل|دعم|تصفح"
    r"|اعطا|اعطي|مناقش|اناقش|تفاعل|هذا الطلب|طلبك|ذلك)\w*"
)
_SORRY_ARABIC = r"(?:\bعذرا|\bاسف|\bاسفه|\bاعتذر|\bمتاسف|\bناسف|\bنعتذر|\bالمعذره|\bللاسف|\bلسوء الحظ|\bيوسفني)\w*"

REFUSALS = (
    rf"{_SORRY}[^.!?\n]{{0,60}}?{_CANNOT} {_SERVES}",
    rf"{_SORRY}[^.!?\n]{{0,30}}?{_TASK}[^.\n]{{0,90}}?(?:\bcan(?:'t|not)\b|\bnot\b|n't\b|requires|involves|unclear"
    rf"|incomplete)",
    rf"^\W*(?:as [^.\n]{{0,40}}?, ?|however,? |no, )?{_CANNOT} {_SERVES}",
    rf"{_SORRY}[^!?\n]{{0,60}}?\b(?:i(?:'m| am) not connected|my current (?:capabilities|functions?)|against my"
    rf"|violates? (?:my|our))",
    r"\b(?:goes |is |be )?against (?:my|our) (?:programming|guidelines|polic|values|principles|ethic)",
    r"\b(?:gpt|ai|language) ?(?:language )?model (?:cannot|can't|is unable|is not able|does not have)",
    r"\bcan(?:not|'t| not) be (?:generated|produced|performed|completed|provided|created) by (?:the|this"
    r"|an?) (?:\w+ )?(?:model|ai)\b",
    rf"{_SORRY_ARABIC}\W+(?:\w+\W+){{0,5}}?{_CANNOT_ARABIC}\W+(?:\w+\W+){{0,3}}?{_SERVES_ARABIC}",
    rf"^\W*(?:\w+\W+){{0,4}}?(?:انا غير قادر\w*|(?!غير){_CANNOT_ARABIC})\W+(?:(?:من|علي|ان|حاليا"
    rf"|ابدا)\W+){{0,2}}{_SERVES_ARABIC}",
    r"^\W*(?:\w+\W+){0,3}?(?:ارفض|افضل عدم|اعتذر عن(?: عدم)?|امتنع عن|اتحفظ علي) (?:ال)?"
    r"(?:تقديم|مساعد|قدره علي|تمكن|مناقش|اجاب|رد|استجاب|خوض|كتاب|مشارك)\w*",
    r"\b(?:هذا|هذه|ذلك) (?:(?:ال)?\w+ )?(?:ليس شيئا|ليس امرا|خارج (?:عن )?نطاق|خارج حدود|يتجاوز) [^.\n]{0,30}?"
    r"(?:يمكنني|استطيع|قدراتي|اختصاصي|صلاحياتي|امكانياتي)",
    r"\b(?:this|that|it)(?:'s| is| request is| topic is)? (?:not something (?:that )?i(?:'m| can| am able)"
    r"|(?:beyond|outside)(?: of)? (?:the scope of )?(?:my|what i)\b)",
    rf"{_SORRY_ARABIC}\W+(?:\w+\W+){{0,3}}?(?:هذا|هذه) (?:ال)?(?:طلب|سوال|محتوي|موضوع|مهمه)\w*\W+(?:\w+\W+){{0,3}}?"
    r"(?:يتعارض|تتعارض|يخالف|تخالف|مخالف|غير|ينتهك|ضد|ممنوع)",
)
"""How a chat model declines, in normalised text; looked for in the first `OPENING` characters of an answer."""
_MODEL = (
    r"(?:(?:\w+ ){0,3}(?:ai|a\.i\.|artificial intelligence|language model|chatbot|virtual assistant"
    r"|digital assistant)\b"
    r"|(?:\w+ )?machine learning model\b|text-based (?:\w+ )?(?:model|assistant|ai)\b)"
)
_NO_FEELINGS = r"(?:feelings|emotions|opinions|beliefs|preferences|experiences|consciousness|a physical|a body)"
BOILERPLATE = (
    rf"(?:^|[^\w ] ?|\b(?:but|and|since|because|however|while|that) |\bsorry |\bcourse )\bas an? {_MODEL}"
    r"(?=[^.\n]{0,60}?(?:\b(?:i|my|me|it)\b|i'm))",
    rf"\bi(?:'m| am) (?:just|only|merely|simply) an? {_MODEL}",
    rf"\bi(?:'m| am) an? {_MODEL}[^.!?\n]{{0,60}}?\b(?:can't|cannot|don't|do not|unable|not able|not capable"
    rf"|without)\b",
    r"\b(?:as of )?my (?:knowledge|training)(?: data)?(?: is)? (?:cut-?off|cut off|last update|only goes|ends"
    r"|was last|up to)",
    r"\b(?:knowledge|training) cut-?off(?: date)?\b[^.\n]{0,30}\b20\d\d|\bmy last (?:knowledge |training )?update\b",
    rf"\b(?:i|we) (?:don't|do not) (?:possess|have|experience) (?:any )?(?:personal |human |real "
    rf"|physical )*{_NO_FEELINGS}",
    r"\bi (?:don't|do not) have (?:direct |any )?(?:access to (?:real-?time|the internet|current|live|up-to-date"
    r"|external)"
    r"|real-?time (?:access|information|data))",
    r"\bi (?:was|am) (?:trained|created|developed) by (?:openai|anthropic|google|meta ai|deepmind|microsoft|laion)\b",
    r"(?:بصفتي|بوصفي|باعتباري|كوني|لكوني|لانني|انا(?: مجرد| فقط| لست سوي)?|كوننا)\W+(?:مجرد |فقط )?(?:ال)?"
    r"(?:(?:نموذج\w*|مساعد\w*|برنامج\w*|نظام\w*|روبوت\w*)\W+(?:\w+\W+){0,2}?(?:لغ\w+|لغه|ذكاء|ذكي\w*|اصطناعي\w*"
    r"|افتراضي\w*|دردشه)"
    r"|ذكاء\W+اصطناعي\w*)",
    r"(?:^|[^\w] ?)ك(?:نموذج\w*|مساعد\w*|ذكاء)\W+(?:\w+\W+){0,2}?(?:لغ\w+|لغه|ذكاء|اصطناعي\w*|افتراضي\w*)",
    r"(?:تاريخ )?(?:انقطاع|توقف|اخر تحديث ل?)\w* ?(?:معرفتي|معلوماتي|بياناتي|تدريبي)|(?:معرفتي|معلوماتي"
    r"|بياناتي) (?:محدوده|تتوقف|تنتهي|محدثه) ",
    r"(?:لا (?:املك|امتلك)|ليس(?:ت)? لدي|ليس لي) (?:اي )?(?:مشاعر|اراء شخصيه|راي شخصي|عواطف|معتقدات|تفضيلات"
    r"|تجارب شخصيه"
    r"|وعي|(?:امكانيه )?(?:ال)?وصول (?:مباشر )?الي (?:ال)?(?:انترنت|بيانات|معلومات))",
)
"""What a chat model says of itself, in normalised text."""
REFUSAL_HINT = (
    r"sorry|apolog|afraid|unfortunately|regret|can['’ʼ‘]?t|can ?not|couldn['’ʼ‘]t|could not|won['’ʼ‘]t|will not"
    r"|unable|incapable|not (?:able|capable)|(?:i['’ʼ‘]m|i am|we are|we['’ʼ‘]re) not|n['’ʼ‘]t have|do not have"
    r"|decline|refuse|not something|beyond|outside"
    r"|(?-u:\b)ai(?-u:\b)|a\.i\.|artificial intell|language model|chatbot|(?:virtual|digital) assistant"
    r"|learning model|text-based"
    r"|cut-?\s?off|last update|my (?:knowledge|training)|(?:don['’ʼ‘]t|do not) (?:possess|experience)"
    r"|(?:trained|created|developed) by|against (?:my|our)|"
    + "|".join(
        _loose(words)
        for words in (
            *(
                "عذر",
                "اسف",
                "اعتذر",
                "نعتذر",
                "يوسفني",
                "لسوء الحظ",
                "ارفض",
                "افضل عدم",
                "امتنع عن",
                "اتحفظ",
                "خارج",
                "يتجاوز",
            ),
            *(
                "استطيع",
                "نستطيع",
                "يمكنني",
                "يمكننا",
                "اقدر",
                "بقدر",
                "مقدرش",
                "قادر",
                "اتمكن",
                "يتعذر",
                "مخول",
                "لست ",
            ),
            *(
                "لا يسعني",
                "لا يجوز",
                "لا يحق",
                "املك",
                "امتلك",
                "فيني",
                "مسموح",
                "ليس شي",
                "ليس ام",
                "ليس ب",
                "ليس لدي",
            ),
            *("ليست لدي", "ليس لي", "لن اقدم", "لن اساعد", "لن اقوم", "لن اكون", "نموذج", "ذكاء", "ذكي", "اصطناعي"),
            *("افتراضي", "دردش", "لغه", "لغوي", "معرفتي", "معلوماتي", "بياناتي", "تدريبي"),
        )
    )
)
"""In every text in which a refusal or boilerplate is found, in lower case but not folded."""
PERSONA = (
    r"(?:role-?\s?play|imagin|pretend|\bact (?:as|like)|\brole of|you are|you're|persona|character|speak as"
    r"|\bas an?\b|تخيل|تقمص|دور|تظاهر)"
    r"[^\n]{0,200}?(?:\bai\b|artificial intelligence|robot|android|chatbot|language model|assistant|ذكاء|روبوت|مساعد)"
)
"""A prompt that asks for a character who is a machine: the answer may rightly speak as one."""
SOURCE_REFUSES = (
    r"sorry|apolog|\bnor\b|can't|cannot|can not|unable|not able|won't|will not|refus|declin|regret"
    r"|language model|\bai\b|عذرا|اسف|اعتذر|لا (?:استطيع|يمكن)|نموذج"
)
"""A source that opens like this may have a refusal for its translation."""
OPENING = 300
"""Characters, of an answer and of its source, in which a refusal is looked for."""

# Leaked instructions

HEAD, TAIL = 300, 200
"""Characters at the beginning and at the end of a text in which a leaked instruction is looked for."""


class Leak(NamedTuple):
    """One way in which an instruction shows: `pattern` in the target, unless `excuse` is in the source."""

    place: Literal["head", "tail"]
    pattern: str
    excuse: str
    score: float
    """How sure it is, from 0 to 1, where there is a source to compare with."""
    alone: float
    """How sure it is without one."""
    asks: bool = False
    """Whether the words could ask for a translation of what stands beside them, if that is in another language."""


_ARABIC = (
    r"(?:(?:الي|في|علي|نحو) (?:ال)?(?:لغه )?(?:ال)?عربيه|(?:بال|ب|لل|ل)(?:لغه )?(?:ال)?عربيه"
    r"|للغه (?:ال)?عربيه|بالعربي|عربيا|الي لغه الضاد)\b"
)
_NOUN = (
    r"(?:نصوص|نص|جمل\w*|فقر\w*|عبار\w*|كلام|كلمات|محتوي\w*|مقطع|مقاطع|رساله|رسائل|سوال|اسئله|تعليمات|معلومات|"
    r"اشياء|امور|بيانات|موضوع|قول|اقوال|مدخل\w*|ماده|مواد|رد|اجابه|سطور|اسطر|شيء|شي|حديث|وثيقه|مستند|مقال\w*)"
)
_FOLLOWS = (
    r"(?:\b(?:ما|مما|بما|كلما|لما|عما|فيما) (?:(?:هو|كان) )?"
    r"(?:س?يلي\w*|س?ياتي\w*|يتبع\w*|تلي\w*|يرد|ورد|بعد|تحت|ادناه|ات)\b|\b(?:الذي|التي|الذين|اللاتي) [يت]لي\w*"
    rf"|ال{_NOUN} (?:ال)?(?:تالي|اتي|ادناه|لاحق|تابع|قادم|مذكور|وارد|معطي|مرفق|مدرج)\w*"
    rf"|\b(?:هذا|هذه|ذلك) (?:ال)?{_NOUN}\b|\b(?:الاتي|التالي)\b|\bكل شي(?:ء)?\b)"
)
_ABOVE = rf"(?:\bما (?:سبق|تقدم|ورد|ذكر)\b|ال{_NOUN} (?:ال)?(?:سابق|اعلاه|متقدم|مذكور|وارد)\w*|\b(?:هذا|هذه|ذلك)\b)"
_TRANSLATE = r"(?:\w*ترجم\w*|\bتعريب\w*|\b[بلو]?التعريب\b)"
_TRANSLATED = (
    r"(?:ال|ل|لل)?(?:\w?ترجم\w+|نص (?:ال)?مترجم|(?:نص|نسخه|صيغه|مقابل|معني) (?:ال)?عربيه?|"
    rf"(?:نص|جمله|نسخه) {_ARABIC})"
)
_GAP = r"[^.:!?؟\n]{0,60}?"
_FEW = r"^\W*(?:\w+\W+){0,5}?"
_STOP = r" ?(?:الفصحي|الحديثه|من فضلك|رجاء|لو سمحت|هي|هو)?(?:[\"'*»؟?]* ?[.،-]{0,3} ?(?::|\n|$)|[\])])"
_SURE = (
    r"^\W*(?:(?:بالتاكيد|بالطبع|حسنا|طبعا|تفضل\w*|نعم|اكيد|بكل سرور|حاضر|sure|certainly|of course|okay|ok|absolutely)"
    r"\W+)*"
)
_ENGLISH_FOLLOWS = (
    r"(?:everything|anything|all|whatever|what|text|sentence|passage|paragraph|content|message|words?|line|input|this|"
    r"that|the following|it|below)"
)
_INTO = r"\b(?:in|into|to) (?:\w+ ){0,3}?(?:arabic|english)\b"

# What a source says where its translation rightly speaks of translating: a compiler, a film and a life are
# «ترجم» too, and so is what becomes deeds.
_SPEAKS = (
    r"translat|interpret|subtitl|caption|\bdub|\brender|version|locali[sz]|transcri|compil|transpil|convert"
    r"|ترجم|تعريب|نسخه|نقل"
)
_SPEAKS_OR_LIKE = _SPEAKS + r"|biograph|\blife\b|memoir|decod|express|languag|publication|turn|become|reflect|لغ|عرب"
_LABELS = r"^[^\n]{0,80}(?:translat|arab|version|\btext|languag|ترجم|عربي)[^\n]{0,60}(?::|\n.)"
_ASKED = r"\b(?:in|into|to|from) (?:\w+ ){0,2}?arabic|arabic\W+(?:translation|version)|translat[^.\n]{0,60}arabic|عربي"
_FOLLOWING = r"follow|below|\bnext\b|these|here|\ball\b|every|\blist|\bany\b|يلي|ياتي|تالي"

LEAKS: tuple[Leak, ...] = (
    # «كل ما يلي مترجم إلى العربية: …»: what follows, and the language.
    Leak(
        "head",
        rf"^\W*(?:(?:هذا|هذه|كل|جميع|كافه|ما|من|بين|هو|هي|الذي|يجعل|المعلومات|الشيء"
        rf"|شيء)\W+)*{_FOLLOWS}{_GAP}{_ARABIC}{_STOP}",
        _ASKED,
        1.0,
        0.9,
    ),
    Leak("head", rf"{_FEW}{_FOLLOWS}{_GAP}{_ARABIC}{_STOP}", _ASKED, 1.0, 0.9, True),
    Leak("head", rf"{_FEW}{_TRANSLATE}{_GAP}{_FOLLOWS}{_GAP}{_ARABIC}", _SPEAKS, 0.9, 0.7, True),
    Leak("head", rf"{_FEW}{_FOLLOWS}{_GAP}{_ARABIC}", _SPEAKS + "|arab", 0.8, 0.4, True),
    Leak("head", rf"{_FEW}{_ARABIC}{_GAP}{_FOLLOWS}", _SPEAKS + "|arab", 0.8, 0.6, True),
    # «ترجمة إلى العربية: …»: translation, and the language.
    Leak("head", rf"{_FEW}{_TRANSLATE}{_GAP}{_ARABIC}{_STOP}", _SPEAKS, 0.9, 0.8, True),
    Leak("head", rf"{_FEW}{_TRANSLATE} {_FOLLOWS}", _SPEAKS, 0.9, 0.4, True),
    Leak("head", rf"^\W*(?:\w+\W+)?عرب(?:وا|ي)? {_FOLLOWS}", _SPEAKS + "|arab", 0.9, 0.7, True),
    # «… إلى العربية:», whatever the verb became.
    Leak("head", rf"{_FEW}{_ARABIC} ?[:\n]", "arab|english|language|عربي", 0.7, 0.3, True),
    # «تم إرجاء كل ما يلي: …»: the language was lost.
    Leak("head", r"^\W*(?:(?:و|قد) ?)?[يت]م ارجاء (?:كل|جميع|كافه)? ?ما (?:يلي|ياتي)\b", _FOLLOWING, 0.8, 0.7),
    Leak("head", r"^\W*(?:\w+\W+){0,3}?(?:كل|جميع|كافه) ما (?:يلي|ياتي)\b", _FOLLOWING, 0.7, 0.3),
    Leak("head", r"^\W*(?:هذا )?ما يلي\b", _FOLLOWING, 0.6, 0.3),
    # «إليك الترجمة: …», «الترجمة: …»: announcements and labels.
    Leak(
        "head",
        rf"{_SURE}(?:(?:اليك\w*|هذه|هذا|هنا|هاك|ها|و?فيما يلي|فيما ياتي|ادناه|تجد\w*|اقدم لك\w*|يسرني)\W+)"
        rf"(?:\w+\W+){{0,3}}?{_TRANSLATED}[^.\n]{{0,30}} ?[:\n]",
        _SPEAKS,
        0.9,
        0.7,
    ),
    Leak("head", rf"{_SURE}{_TRANSLATED}(?: (?!(?:الي|عن|من|لل)\b)\w+){{0,3}} ?[\"'*)»]* ?[:\n]", _LABELS, 0.9, 0.7),
    Leak("head", rf"{_SURE}{_TRANSLATED}(?: \w+){{0,4}}[\"'*)»]* ?[:\n]", _LABELS, 0.8, 0.2),
    Leak("head", rf"{_SURE}(?:اللغه )?(?:العربيه|{_ARABIC}) ?[:\n]", _LABELS, 0.8, 0.7, True),
    Leak(
        "head",
        rf"{_SURE}(?:\w+\W+){{0,2}}?(?:here(?:'s| is| are|'re)|below(?:'s| is)|this is) (?:the|your|an?|my) "
        r"(?:[\w-]+ ){0,4}?translat\w+",
        _SPEAKS,
        0.9,
        0.8,
    ),
    Leak(
        "head",
        rf"{_SURE}(?:the |this |my )?(?:following is the )?(?:arabic |english |final |text )*"
        r"(?:(?:translat(?:ion|ed)[^.\n]{0,40}|arabic(?: (?:version|text))?|ar) ?:|translation\])",
        _LABELS,
        0.9,
        0.7,
    ),
    # The instruction in English.
    Leak(
        "head",
        rf"\btranslat\w*\W+(?:\w+\W+){{0,2}}?{_ENGLISH_FOLLOWS}\b[^.\n]{{0,60}}?{_INTO}",
        _SPEAKS,
        1.0,
        0.8,
        True,
    ),
    Leak("head", rf"^\W*(?:\w+\W+){{0,3}}?translat\w* (?:\w+ ){{0,4}}?{_INTO}", _SPEAKS, 1.0, 0.8, True),
    Leak(
        "head",
        rf"\b{_ENGLISH_FOLLOWS}\b[^.\n]{{0,60}}?{_INTO}[^.\n]{{0,10}}(?::|\n|$)",
        _SPEAKS + "|arab|english",
        0.9,
        0.7,
        True,
    ),
    # «… (ترجم هذا إلى العربية)»: at the end.
    Leak("tail", rf"\btranslat\w*\W+(?:\w+\W+){{0,6}}?{_INTO}[\W]*$", _SPEAKS, 0.9, 0.5, True),
    Leak("tail", rf"{_TRANSLATE}{_GAP}{_ARABIC}[^\w]*$", _SPEAKS, 0.9, 0.7, True),
    Leak(
        "tail",
        rf"(?:^|[\n.!?؟(\[]) ?(?:\w+ ){{0,2}}?(?:{_FOLLOWS}|{_ABOVE}){_GAP}{_ARABIC}[^\w]*$",
        _SPEAKS + "|arab",
        0.9,
        0.5,
        True,
    ),
    # «ملاحظة: قمت بترجمة …»: remarks, and the system prompt.
    *(
        Leak(place, pattern, _SPEAKS, 0.8, 0.6)
        for pattern in (
            r"\bملاحظ\w+[^\n]{0,12}?(?: ?:[^\n]{0,60}?| )(?:ال)?م?ترجم\w*|\b(?:لقد |قد )?(?:قمت|قمنا|اقوم"
            r"|ساقوم) بترجم\w*"
            r"|\b(?:لقد|قد) (?:ترجمت|حاولت ترجم\w*)\b|(?:^|[\n(\[*]) ?(?:لقد )?(?:تمت?|انتهت) (?:ال)?ترجم\w*",
            r"\b(?:note|translator's note)\b[^\n]{0,80}?\btranslat|\bi(?:'ve| have)? (?:just )?translated\b",
            r"(?:^|[\n.!?؟(\[]) ?(?:هل (?:تريد|ترغب|تحتاج)\w*|امل|اتمني|ارجو|(?:من فضلك|يرجي|الرجاء)? ?(?:ارسل"
            r"|ارسال|تقديم|زودني|تزويدي)\w*"
            r"|لا يوجد|ما هو النص) (?:\w+ ){0,5}?\w*ترجم\w*",
            r"\b(?:let me know|please (?:provide|send|share|give)|would you like|do you (?:want|need)|ready to"
            r"|anything else"
            r"|i hope)\b[^.\n]{0,50}\btranslat",
            rf"(?:^|[\n.!?؟(\[—–-]) ?(?:نص |النص )?\w?ترجم\w* (?:عن|من) (?:ال)?(?:لغه )?(?:ال)?انجليزيه{_STOP}",
        )
        for place in ("head", "tail")
    ),
    Leak(
        "head",
        r"^\W*(?:\w+\W+){0,2}?(?:(?:انت|بصفتك|باعتبارك|بصفتي|باعتباري|انا) (?:نظام |محرك |خبير )?(?:مترجم\w*|ترجم\w*)"
        r"|you are (?:an? )?(?:[\w-]+ ){0,4}?translat(?:or|ion))",
        _SPEAKS,
        0.9,
        0.4,
    ),
    *(
        leak
        for place in ("head", "tail")
        for leak in (
            # The button of a translation page in another language, e.g. «지금 번역하기».
            Leak(
                place,
                r"번역|翻译|翻譯|翻訳|перевод|перевест|traduct|traduz|übersetz|terjemah|çevir",
                r"번역|翻|перев|tradu|setz|transla|terjem|çevir|ترجم",
                0.8,
                0.6,
            ),
            # Whatever else is said of translating where the source speaks of nothing of the kind: of 46,537 good
            # pairs two do, answers of a test in which «ترجمة» stands before a translator's name.
            Leak(place, rf"{_TRANSLATE}|\btranslat(?:e|ed|ion|ions|or|ing)\b", _SPEAKS_OR_LIKE, 0.6, 0.1),
        )
    ),
)
"""The translator's instruction, or a paraphrase of it, and what a translator says of its work.

Read from published translations of this kind, of which 1.6 % of the user turns carry it: «كل ما يلي مترجم إلى
العربية», «كل ما يلي مكتوب باللغة العربية», «قم بتقييم ما يلي إلى العربية», «تم إرجاء كل ما يلي».
"""
LEAK_HINT = (
    rf"{_loose('ترجم')}|{_loose('تعريب')}|{_loose('عربي')}|{_loose('ما')}\s+(?:{_loose('يلي')}|{_loose('ياتي')})"
    rf"|(?:^|\s){_loose('عرب')}(?:{_loose('وا')}|ي)?\s|الضاد"
    r"|translat|arabic|(?-u:\b)ar\s*[:：]|english|번역|翻|перев|tradu|setz|terjemah|çevir"
)
"""In every text in which a leak is found, in lower case but not folded: all others need no closer look."""


@functools.cache
def _hint(pattern: str) -> re.Pattern[str]:
    """A hint, which is written for polars, as Python has it; most builds of filters never need one."""
    spelt = re.sub(r"\\x\{([0-9A-F]+)\}", lambda code: chr(int(code[1], 16)), pattern)
    return re.compile(spelt.replace("(?-u:", "(?a:"))


_compiled = functools.cache(re.compile)
"""`re` itself forgets patterns where there are many."""


def may_refuse(text: str) -> bool:
    """Whether a text needs a closer look for a refusal."""
    return _hint(REFUSAL_HINT).search(text.lower()) is not None


def leaks(source: str, target: str) -> Iterator[tuple[Leak, str, str]]:
    """Every way in which the target holds an instruction that the source does not, the words, and what is beside."""
    if not any(_hint(LEAK_HINT).search(end.lower()) for end in (target[:HEAD], target[-TAIL:])):
        return
    ends = {"head": normalised(target[:HEAD]), "tail": normalised(target[-TAIL:])}
    origin = normalised(f"{source[: 2 * HEAD]}\n{source[-2 * TAIL :]}")
    for leak in LEAKS:
        end = ends[leak.place]
        if (found := _compiled(leak.pattern).search(end)) and not _compiled(leak.excuse).search(origin):
            yield leak, found[0], f"{end[: found.start()]}\n{end[found.end() :]}"


# Questions and answers

INTERROGATIVES = frozenset(
    re.findall(
        r"\w+",
        "ما ماذا ماهو ماهي من متي اين كيف كم اي ايه هل لم لماذا بماذا لمن ا اليس اليست الم الا"
        " الي علي في عن مع منذ حتي ب بكم باي",
    )
)
"""A question in Arabic opens with one of these, prepositions before them included."""
INTERROGATIVES_ANYWHERE = frozenset(
    re.findall(
        r"\w+",
        "ماذا ماهو ماهي متي اين كيف كم ايه ايهما ايهم هل لماذا بماذا لمن اليس اليست الم بكم باي فيم علام مم بم"
        " شو شنو شنوا ايش اش وش ليش لاش علاش ليه وين فين منين شلون كيفاش كيفا ازاي امتي ايمتي وقتاش مين شكون"
        " قديش اديش كام شحال"
        " علاقداش قداش واش ياتري وينك وينه وينها ايشو ايمته هلا",
    )
)
"""What makes a question of an Arabic clause that opens with it, in the standard language and the dialects."""
INTERROGATIVE_OPENING = (
    r"^(?:و|ف)?(?:لما? لا\b|(?:في|من|الي|علي|عن|مع|منذ|حتي|ب|ل)? ?اي\b|ما\b(?! (?:يقرب|يقارب|يزيد|بين|زال|لا يقل))"
    r"|الا\b"
    r"|من (?:هو|هي|هم|هما|الذي|التي|هذا|هذه|ذا|انت|كان\w*|يكون|تكون|س?[يت]\w{3,})\b"
    r"|ا(?:لا|لم|ليس|هو|هي|هذا|هذه|في|لديك|عندك|لست|ما|من|[تيس][^ ]{3,})\b)"
)
"""What may make a question of an Arabic clause: these are prepositions and beginnings of words as well."""
_CONJUNCTIONS = r"(?:(?:and|but|so|then|or|well|now|please|ok|okay|tell me|however|also)\W+)*"
_ASKS = (
    r"(?:(?:(?:in|at|on|to|for|from|by|with|of|about|during|under|after|before|since|until|into|through|within|than"
    r"|as|over)"
    r" (?:\w+ ){0,2}?)?(?:what|who|whom|whose|which|where|when|why|how)|is|are|was|were|am|do|does|did|might|have"
    r"|has|had"
    r"|must|should|(?:is|are|was|were|do|does|did|have|has|had|should)n't)\b"
)
_REQUESTS = r"(?:can|could|will|would|shall|may|(?:ca|wo|could|would)n't)\b"
_PRONOUNS = r"\b(?:what|who|whom|whose|which|where|when|why|how)\b"
QUESTION = rf"(?:(?:^|[.!?\n:] ?){_CONJUNCTIONS}{_ASKS}|{_PRONOUNS})[^.!?\n]*\?[\"')\]*» ]*$"
"""An English text whose last sentence is a question; a statement with a question mark is none."""
UNMARKED = r"^\W*(?:what|who|how|why|which|where)\b[^.!?\n]*$"
"""An English text that may be a question without its mark."""
REQUEST = rf"(?:^|[.!?\n:] ?){_CONJUNCTIONS}{_REQUESTS}[^.!?\n]*\?[\"')\]*» ]*$"
"""An English text whose last sentence may be a request, which an Arabic imperative renders."""
_ORDERS = (
    "write|create|generate|describe|explain|list|name|summari[sz]e|compose|design|provide|identify|classify|calculate"
    "|compute|rewrite|edit|convert|compare|contrast|suggest|construct|develop|outline|propose|solve|evaluate"
    "|analy[sz]e"
    "|discuss|define|determine|brainstorm|rephrase|categori[sz]e|predict|arrange|paraphrase|draft|produce|formulate"
    "|devise|simplify|implement|prove|recommend|illustrate|make|find|add|change|sort|reword|rank|replace|output|detect"
    "|select|choose|pick|rearrange|reverse|build|complete|transform|insert|differentiate|estimate|modify|extract"
    "|prepare"
    "|state|help me|imagine|specify|give (?:an?|me|us|two|three|four|five|some|the|[0-9]+)|tell (?:me|us)|come up with"
    "|answer|translate"
)
ORDER = (
    r"^\W*(?:(?:please|kindly|now|then|your task is to|you (?:have|need) to|can you|could you)\W+)*"
    rf"(?:{_ORDERS})\b"
)
"""An English text that opens with an order to write something, in normalised text."""
ORDER_HINT = rf"^[^a-z]*(?:[a-z]+[^a-z]+){{0,5}}(?:{_ORDERS})"
"""In every text that opens so, in lower case."""
ORDERS_ARABIC = (
    r"^\W*(?:\w+\W+){0,5}?[وف]?(?:قم|قومي|قوموا|يرجي|الرجاء|رجاء|ارجو|من فضلك|لو سمحت|هل يمكنك|اريد\w*|اود|عليك"
    r"|(?:اكتب|انشئ|اشرح|وضح|اذكر|حدد|اختار|ضع|قدم|صف)(?:ي|وا)|اكتب|انشئ|انشيء|اشرح|وضح|اذكر|اسرد|لخص|صمم|حدد|صنف"
    r"|احسب|اقترح|ناقش|رتب|استخدم|استعمل|اثبت|اعطني|اعط|اعطنا|اخبرني"
    r"|اخبرنا|اجب|اختر|ابحث|اوجد|هات|تخيل|اضف|احذف|استبدل|اعرض|ساعدني|حلل|قارن|صغ|اعد|عدل|حرر)\b"
    r"|^\W*(?:(?:و|ثم|اولا|الان|مهمتك هي|التعليمات|المهمه|المطلوب|سوال|السوال)\W+)?(?:صف|اوصف|عدد|سم|الف|قدم|حول"
    r"|ابن|طور|ضع|حل|قيم|عرف|فكر|توقع|بسط"
    r"|نفذ|اوص|ترجم|جد|فسر|علل|ارسم|كون|شكل|انتج|اجر|اتبع|خذ|حاول|تصور|دع|ولد|سرد|اصنع|احك\w*|قل|قص|علق|اجمع|اقسم"
    r"|نسق|برمج"
    r"|كتابه|انشاء|وصف|شرح|ذكر|تلخيص|تاليف|تصميم|تقديم|تحديد|تصنيف|حساب|اعاده|تحرير|تعديل|تحويل|مقارنه|اقتراح|بناء"
    r"|تطوير"
    r"|وضع|تحليل|مناقشه|تعريف|ترتيب|صياغه|استخدام|تبسيط|تنفيذ|اثبات|اعطاء|ترجمه|اختيار|ايجاد|العثور|توليد|اعداد|سرد"
    r"|تقييم|اجابه)\b"
)
"""An Arabic text that opens with an order, a request, or the noun that stands for one, in normalised text."""
ARABIC = "[\u0621-\u064a]{2}"
"""In every Arabic text."""
DECLINES = (
    rf"^\W*(?:\w+\W+){{0,2}}?(?:{_SORRY_ARABIC}|انا غير قادر|ارفض|افضل عدم"
    rf"|يوسفني)\W+(?:\w+\W+){{0,8}}?{_SERVES_ARABIC}"
    rf"|^\W*{_CANNOT_ARABIC}\W+(?:\w+\W+){{0,2}}?{_SERVES_ARABIC}|^\W*(?:{_SORRY})[^.!?\n]{{0,60}}?{_CANNOT}"
    r"|^\W*هذا (?:ال)?\w+ (?:شيئا|خارج|ليس)"
)
"""A text that opens so refuses, where its source asks for something."""
ANSWERS = (
    r"^\W*(?:(?:نعم|اجل|لا|كلا|بلي)\s*[،,.!:]|(?:بالتاكيد|بالطبع|طبعا|اكيد|حسنا|تفضل\w*|بكل سرور|يسعدني|يسرني)\b"
    r"|(?:اليك\w*|هاك|فيما يلي|هذه بعض|هذا مثال|هذه قائمه)\b|(?:ال)?(?:اجابه|جواب|حل|ناتج|نتيجه) (?:ال\w+ )?(?:هو"
    r"|هي|:)|(?:الاجابه|الجواب)\s*:"
    r"|(?:sure|certainly|of course|absolutely|yes|no)\s*[,.!:]|here (?:is|are)\b|here's\b|the answer\b|answer:)"
)
"""An answer opens so, in normalised text."""
ANSWERED_TOO = (
    r"^\W*(?:\w+\W+){0,2}?(?:yes|yeah|no|sure|certainly|of course|well|ok|okay|here|below|following|answer"
    r"|absolutely|right|naturally"
    r"|definitely|exactly|indeed|alright|fine|gladly|happy|pleased|solution|result|نعم|لا|بالطبع|حسنا)\b"
)
"""A source that opens so may have such an opening for its translation."""

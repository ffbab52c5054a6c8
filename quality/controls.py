"""Controls: pairs of which it is known whether they are good, planted among the questions to a judge.

The good ones are sentences written and translated for this project, or those of a file. The bad ones are made of
them: the translation of another sentence, one cut in half, the source in its place, another number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hala_factory.errors import InputError

Kind = Literal["good", "other", "cut", "untranslated", "number"]
BAD: tuple[Kind, ...] = ("other", "cut", "untranslated", "number")
_NUMBER = re.compile(r"\d+")
_OFF = 7  # added to a number; far enough to be another one in any rounding
_ARABIC_DIGITS = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")

_SENTENCES = """\
The museum opens at 9 in the morning and closes at 5 in the afternoon.
يفتح المتحف أبوابه في الساعة 9 صباحًا ويغلقها في الساعة 5 مساءً.
Write a short story about a fisherman who finds 3 bottles on the beach.
اكتب قصة قصيرة عن صياد يعثر على 3 زجاجات على الشاطئ.
The bridge is 420 metres long and was finished in 1974.
يبلغ طول الجسر 420 مترًا، وقد اكتمل بناؤه عام 1974.
How many eggs are left in the basket if we take out 4 of the 12?
كم بيضة تبقى في السلة إذا أخذنا منها 4 من أصل 12؟
My grandmother planted this olive tree 60 years ago.
زرعت جدتي شجرة الزيتون هذه قبل 60 عامًا.
Please send me the report before 15 March.
أرجو أن ترسل إليّ التقرير قبل 15 مارس.
The recipe needs 250 grams of flour and a pinch of salt.
تحتاج الوصفة إلى 250 غرامًا من الدقيق ورشّة من الملح.
Explain in 5 sentences why the sky looks blue.
اشرح في 5 جمل لماذا تبدو السماء زرقاء.
The train to Alexandria leaves from platform 7.
ينطلق القطار المتجه إلى الإسكندرية من الرصيف رقم 7.
She has read 32 books since the beginning of the year.
قرأت 32 كتابًا منذ بداية العام.
Water boils at 100 degrees Celsius at sea level.
يغلي الماء عند 100 درجة مئوية على مستوى سطح البحر.
The company employs 850 people in four cities.
توظّف الشركة 850 شخصًا في أربع مدن.
List 6 vegetables that grow well in the shade.
اذكر 6 أنواع من الخضراوات التي تنمو جيدًا في الظل.
The shop on the corner has been closed for 8 months.
المتجر الواقع عند الزاوية مغلق منذ 8 أشهر.
Our neighbour's cat had 5 kittens last night.
أنجبت قطة جارنا 5 هريرات الليلة الماضية.
The lecture lasted 90 minutes, and nobody asked a question.
استغرقت المحاضرة 90 دقيقة، ولم يطرح أحد أي سؤال.
A spider has 8 legs, while an insect has only 6.
للعنكبوت 8 أرجل، أما الحشرة فلها 6 فقط.
If you walk for 30 minutes a day, your heart will thank you.
إذا مشيت 30 دقيقة كل يوم، فسيشكرك قلبك.
The flight was delayed by 3 hours because of the fog.
تأخرت الرحلة 3 ساعات بسبب الضباب.
Rewrite the paragraph above in fewer than 80 words.
أعد كتابة الفقرة أعلاه في أقل من 80 كلمة.
The village lies 18 kilometres south of the river.
تقع القرية على بُعد 18 كيلومترًا إلى الجنوب من النهر.
He paid 45 dinars for a pair of leather shoes.
دفع 45 دينارًا ثمنًا لزوج من الأحذية الجلدية.
The library lends each reader up to 10 books.
تُعير المكتبة كل قارئ ما يصل إلى 10 كتب.
What is the sum of 17 and 26?
ما مجموع العددين 17 و26؟
The patient should drink at least 8 glasses of water a day.
ينبغي أن يشرب المريض ما لا يقل عن 8 أكواب من الماء يوميًا.
Only 14 of the 40 students passed the exam.
لم ينجح في الامتحان سوى 14 طالبًا من أصل 40.
The first issue of the newspaper appeared in 1923.
صدر العدد الأول من الصحيفة عام 1923.
Give me 4 reasons to learn a second language.
اذكر لي 4 أسباب لتعلّم لغة ثانية.
The battery lasts 11 hours if the screen is not too bright.
تدوم البطارية 11 ساعة إذا لم تكن الشاشة شديدة السطوع.
The wind tore off the roofs of 20 houses.
اقتلعت الريح أسقف 20 منزلًا.
Let the dough rest for 45 minutes before you bake it.
دع العجين يرتاح 45 دقيقة قبل أن تخبزه.
The meeting has been moved to room 204 on the second floor.
نُقل الاجتماع إلى القاعة 204 في الطابق الثاني.
Children under 12 may enter the garden free of charge.
يُسمح للأطفال دون سن 12 عامًا بدخول الحديقة مجانًا.
Suggest 7 names for a small coffee shop.
اقترح 7 أسماء لمقهى صغير.
The well is 35 metres deep and never runs dry.
يبلغ عمق البئر 35 مترًا، وهي لا تجف أبدًا.
They walked for 6 days before they saw the sea.
ساروا 6 أيام قبل أن يروا البحر.
The price of bread has risen by 12 per cent this year.
ارتفع سعر الخبز هذا العام بنسبة 12 في المئة.
Save the file, close the program, and wait 10 seconds.
احفظ الملف، ثم أغلق البرنامج، وانتظر 10 ثوانٍ.
The orchestra will play 3 pieces by young composers.
ستعزف الأوركسترا 3 مقطوعات لمؤلفين شباب.
The letter arrived 21 days after it was posted.
وصلت الرسالة بعد 21 يومًا من إرسالها.
"""
PAIRS = tuple(zip(_SENTENCES.splitlines()[::2], _SENTENCES.splitlines()[1::2], strict=True))
"""English and Arabic; every sentence has a number, so that every one can be made bad in every way."""


@dataclass(frozen=True)
class Control:
    """One planted pair."""

    kind: Kind
    source: str
    target: str

    @property
    def good(self) -> bool:
        """Whether the target is a good translation of the source."""
        return self.kind == "good"


def planted(count: int, pairs: tuple[tuple[str, str], ...]) -> list[Control]:
    """`count` controls, half of them good; the bad ones of all kinds, and of other sentences as far as there are.

    The same for the same arguments. Fewer where the pairs do not suffice, or none of them can be made bad in a way.
    """
    wanted = count // 2
    good = [Control("good", source, target) for source, target in pairs[: count - wanted]]
    bad: list[Control] = []
    for number in range(len(pairs) * len(BAD)):
        if len(bad) == wanted:
            break
        place = len(pairs) - 1 - number % len(pairs)
        kind = BAD[(number + number // len(pairs)) % len(BAD)]
        source, target = pairs[place]
        made = spoilt(kind, source, target, pairs[(place + len(pairs) // 2) % len(pairs)][1])
        if made not in (target, None):
            bad.append(Control(kind, source, str(made)))
    return good + bad


def spoilt(kind: Kind, source: str, target: str, other: str) -> str | None:
    """The target made bad, None where it cannot be made so in this way."""
    if kind == "other":
        return other
    if kind == "untranslated":
        return source
    if kind == "cut":
        words = target.split()
        return " ".join(words[: len(words) // 2]) or None
    return _NUMBER.sub(_another, target, count=1)


def _another(number: re.Match[str]) -> str:
    told = str(int(number[0]) + _OFF)
    return told if number[0].isascii() else told.translate(_ARABIC_DIGITS)


AGREEMENT = frozenset(("controls", "agreed", "agreement", "kinds"))
"""What a proof of agreement holds, at least."""


def agreement(proof: Mapping[str, Any]) -> str:
    """What a judge proved, in words: `right on 17 of 20 controls (85%: 10 of 10 good, 1 of 3 other, …)`."""
    kinds = ", ".join(
        f"{n['agreed']} of {n['controls']} {kind}" for kind, n in proof["kinds"].items() if n["controls"]
    )
    return f"right on {proof['agreed']} of {proof['controls']} controls ({proof['agreement']:.0%}: {kinds})"


def read_pairs(path: Path) -> tuple[tuple[str, str], ...]:
    """The pairs of a JSONL file with `source` and `target`. Raises InputError at the first line that is no pair."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    pairs = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            source, target = row["source"], row["target"]
        except (json.JSONDecodeError, KeyError, TypeError):
            raise InputError(f'{path}:{number}: expected {{"source": …, "target": …}}') from None
        if not (isinstance(source, str) and isinstance(target, str) and source.strip() and target.strip()):
            raise InputError(f"{path}:{number}: 'source' and 'target' are to be texts that are not empty")
        pairs.append((source, target))
    if len(pairs) < 2:
        raise InputError(f"{path}: expected two pairs or more, found {len(pairs)}")
    return tuple(pairs)

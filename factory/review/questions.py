"""What reviewers are asked, and how they are told to answer, in English and Arabic.

The errors are the seven dimensions of MQM Core, and the severities and their weights are MQM's
(themqm.org, "The MQM Error Typology" and "Scoring models"): minor 1, major 5, critical 25.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Choice:
    """One answer to choose, as people read it."""

    english: str
    arabic: str
    meaning: str
    """When to choose it."""
    meaning_arabic: str

    @property
    def label(self) -> str:
        """Both languages on one button."""
        return f"{self.english} · {self.arabic}"


VERDICTS = {
    "good": Choice("Good", "جيد", "May be published as it is.", "يصلح للنشر كما هو."),
    "fix": Choice(
        "Fix", "يحتاج تصحيحًا", "Small faults; right after a correction.", "فيه أخطاء صغيرة، ويصلح بعد تصحيحها."
    ),
    "bad": Choice("Bad", "رديء", "Must not be published.", "لا يجوز نشره."),
}
ERRORS = {
    "terminology": Choice(
        "Terminology",
        "المصطلحات",
        "A term is not the one that the field uses.",
        "مصطلح لا يستعمله أهل الاختصاص.",
    ),
    "accuracy": Choice(
        "Accuracy",
        "الدقة",
        "Says something else than the source: added, left out, mistranslated, untranslated.",
        "يقول غير ما في الأصل: زيادة أو حذف أو ترجمة خاطئة أو نص لم يُترجم.",
    ),
    "linguistic": Choice(
        "Linguistic conventions",
        "سلامة اللغة",
        "Grammar, spelling, punctuation.",
        "نحو أو إملاء أو علامات ترقيم.",
    ),
    "style": Choice("Style", "الأسلوب", "Awkward or unnatural.", "أسلوب ركيك أو غير طبيعي."),
    "locale": Choice(
        "Locale conventions",
        "الأعراف المحلية",
        "Numbers, dates, currencies, addresses.",
        "أرقام أو تواريخ أو عملات أو عناوين.",
    ),
    "audience": Choice(
        "Audience appropriateness",
        "ملاءمة القارئ",
        "Does not fit the reader: culture, politeness, register.",
        "لا يناسب القارئ: ثقافةً أو تهذيبًا أو مستوى لغويًا.",
    ),
    "markup": Choice(
        "Design and markup",
        "التنسيق والرموز",
        "Code, links, placeholders, formulas or layout are broken.",
        "خلل في شيفرة أو روابط أو رموز أو معادلات أو تنسيق.",
    ),
}
SEVERITIES = {
    "minor": Choice("Minor", "طفيف", "Noticed, but the meaning is safe.", "يُلاحظ ولا يمسّ المعنى."),
    "major": Choice("Major", "كبير", "Misleads or is hard to understand.", "يضلّل القارئ أو يصعّب الفهم."),
    "critical": Choice("Critical", "حرج", "Harmful, or makes the row useless.", "ضارّ، أو يُفقد النص فائدته."),
}
CHOICES = {"verdict": VERDICTS, "errors": ERRORS, "severity": SEVERITIES}
"""The questions that are answered by choosing, in the order in which they are asked; of errors, any number."""
WEIGHTS = {"minor": 1, "major": 5, "critical": 25}
"""Penalty points of an error by its severity, as in MQM's raw scoring model."""

TITLES = {
    "verdict": Choice("May this be published?", "هل يصلح هذا للنشر؟", "", ""),
    "errors": Choice("What is wrong with it?", "ما الخطأ فيه؟", "", ""),
    "severity": Choice("How grave is the worst of it?", "ما مدى خطورة أسوئه؟", "", ""),
    "correction": Choice("Corrected text", "النص المصحَّح", "", ""),
}

_ENGLISH = """\
Read the source and then the target as somebody who will learn from it. Judge the target: does it say what the source
says, in the language that people write? Where there is no source, judge the text by itself.

{verdicts}

Name what is wrong, and how grave the worst of it is. If a few words mend it, write the corrected text; leave
headings such as `### user` as they are. Code, links, names and formulas are not translated: that is no error.
If you cannot judge a task (another field, another language), discard it. Do not look answers up in a machine
translation, and do not speak with other reviewers about single tasks: some tasks are asked of two people.
"""
_ARABIC = """\
اقرأ الأصل ثم النص الهدف كما يقرؤه من سيتعلّم منه، واحكم على النص الهدف: هل يقول ما يقوله الأصل، بلغة يكتبها الناس؟
وإن لم يكن هناك أصل فاحكم على النص وحده.

{verdicts}

اذكر مواضع الخطأ ومدى خطورة أسوئها. وإن كانت كلمات قليلة تصلحه فاكتب النص المصحَّح، واترك العناوين مثل `### user` كما هي.
لا تُترجَم الشيفرة ولا الروابط ولا الأسماء ولا المعادلات، وتركها ليس خطأ.
إن لم تستطع الحكم على نص (لاختصاصه أو لغته) فاستبعده. لا تستعن بترجمة آلية، ولا تناقش نصًا بعينه مع مراجع آخر: فبعض
النصوص تُعرض على شخصين.
"""


def guidelines(added: str | None) -> str:
    """The guidelines as one text of Markdown: see `guideline_parts`."""
    return "\n---\n\n".join(guideline_parts(added))


def guideline_parts(added: str | None) -> list[str]:
    """The guidelines as Markdown: in English, in Arabic, and what the recipe says besides."""
    english = "\n".join(f"- **{c.english}**: {c.meaning}" for c in VERDICTS.values())
    arabic = "\n".join(f"- **{c.arabic}**: {c.meaning_arabic}" for c in VERDICTS.values())
    parts = [_ENGLISH.format(verdicts=english), _ARABIC.format(verdicts=arabic)]
    return [*parts, *([added] if added else [])]

"""A stand-in for a translator behind an endpoint: Arabic words for English ones, and tokens counted by a tokenizer.

An answer is as long as what it is asked: a word for a word, of a length of its own. One request in nine comes back cut, so
that there are retries, as with a real model.
"""

import contextlib
import re
import zlib

from tests.speaking import Speaker, speaking
from tests.stand_in_openai import _response

WORDS = [
    "من",
    "في",
    "على",
    "إلى",
    "عن",
    "مع",
    "هذا",
    "هذه",
    "ذلك",
    "كان",
    "تكون",
    "يجب",
    "يمكن",
    "الكتاب",
    "المدينة",
    "البيت",
    "الطريق",
    "العمل",
    "السؤال",
    "الجواب",
    "النهر",
    "البحر",
    "الجبل",
    "السماء",
    "الأرض",
    "الشمس",
    "القمر",
    "الليل",
    "النهار",
    "الصباح",
    "المساء",
    "الطعام",
    "الماء",
    "الخبز",
    "الرجل",
    "المرأة",
    "الولد",
    "البنت",
    "الصديق",
    "المعلم",
    "الطالب",
    "المدرسة",
    "الجامعة",
    "العلم",
    "اللغة",
    "الكلمة",
    "الجملة",
    "القصة",
    "التاريخ",
    "الحاضر",
    "المستقبل",
    "الحياة",
    "العالم",
    "الدولة",
    "الحكومة",
    "الاقتصاد",
    "السوق",
    "المال",
    "الشركة",
    "المصنع",
    "الآلة",
    "الحاسوب",
    "البرنامج",
    "الشبكة",
    "المعلومات",
    "البيانات",
    "النتيجة",
    "السبب",
]
_WORD = re.compile(r"<[a-z]+[0-9]+/>|[A-Za-z]+(?:'[a-z]+)?")


def arabic(text):
    """The text with an Arabic word for each English one; marks, numbers and punctuation stay."""
    return _WORD.sub(
        lambda m: m[0] if m[0].startswith("<") else WORDS[zlib.crc32(m[0].lower().encode()) % len(WORDS)], text
    )


class Translator(Speaker):
    """`count` counts the tokens of a text; the template adds eight to a message."""

    def __init__(self, count):
        super().__init__(None)
        self.count = count

    async def _chat(self, request, line, writer):
        self.seen.append(request)
        text = request["messages"][-1]["content"]
        said, finish = arabic(text.partition(":\n\n")[2] or text), "stop"
        if zlib.crc32(text.encode()) % 9 == 0 and not request.get("seed") and len(said) > 300:
            said, finish = said[: len(said) // 2], "length"
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": finish}
        read = sum(8 + self.count(m["content"]) for m in request["messages"])
        usage = {"prompt_tokens": read, "completion_tokens": self.count(said)}
        writer.write(_response(200, {"choices": [choice], "usage": usage}))
        await writer.drain()
        return True


@contextlib.contextmanager
def translating(count):
    """Such a server, as long as the block lasts."""
    with speaking(None, Translator(count)) as server:
        yield server

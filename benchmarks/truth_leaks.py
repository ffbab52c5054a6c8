"""How much of what a translator or a chat model leaves behind is found, and how many good rows fall with it.

    python benchmarks/truth_leaks.py [--data DIR] [--read N] [--json]

Leaked targets are made of real sentences and of paraphrases of the instruction, written here; the patterns were tuned
on every second paraphrase, and the others are held out. Good pairs and good Arabic texts are those of the real data:
those that fall are printed by `--read`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
from finding import SIDES, Finding, chat, falls, frame, report, weighed
from real import GOOD, OTHERS, Pair, cells, read, squad, xquad

from hala_factory.filters.answered import Answered
from hala_factory.filters.prompt_leak import PromptLeak
from hala_factory.filters.refusal import Refusal
from hala_factory.step import Filter

PREFIXES = """
كل ما يلي مترجم إلى العربية: {}
جميع ما يلي مترجم إلى اللغة العربية:\\n\\n{}
كُلُّ ما يَلي مُتَرجَمٌ إلى العَرَبِيَّة: {}
كل ما يلي مكتوب باللغة العربية: {}
ما يلي موجود باللغة العربية:\\n{}
قم بتقييم ما يلي إلى العربية: {}
تم إرجاء كل ما يلي: {}
تم إرجاء كل ما يلي إلى العربية: {}
قم بترجمة كل ما يلي إلى اللغة العربية {}
ترجم كل ما يلي إلى العربية {}
ترجموا جميع ما يأتي إلى اللغة العربية: {}
الرجاء ترجمة النص التالي إلى العربية: {}
يرجى نقل كل ما يلي إلى العربية: {}
حوّل كل ما يأتي إلى اللغة العربية: {}
قم بتحويل النص الآتي إلى العربية: {}
عرّب ما يلي: {}
تعريب النص التالي: {}
انقل إلى العربية كل ما يلي: {}
إلى العربية، ترجم كل ما يلي: {}
كل ما يتبع هو ترجمة إلى العربية: {}
كل شيء يلي هذا يُترجم إلى العربية: {}
كل ما سيأتي بعد هذا باللغة العربية: {}
فيما يلي ترجمة النص إلى اللغة العربية: {}
إليك الترجمة: {}
إليك ترجمة النص إلى العربية: {}
بالتأكيد! إليك الترجمة العربية:\\n\\n{}
الترجمة: {}
الترجمة العربية: {}
ترجمة: {}
النص المترجم: {}
النص بالعربية: {}
بالعربية: {}
هذه هي الترجمة المطلوبة: {}
تفضل، هذه ترجمة النص: {}
حسنًا، سأترجم النص إلى العربية: {}
ترجمتي للنص هي: {}
يمكن ترجمة هذه الجملة كما يلي: {}
ترجمة الجملة إلى العربية هي: {}
المقابل العربي للنص هو: {}
أنت مترجم محترف. ترجم ما يلي إلى العربية. {}
بصفتي مترجمًا، إليك النص بالعربية: {}
قيّم كل ما يلي باللغة العربية: {}
أعط كل ما يلي إلى العربية: {}
ما الذي يلي ذلك باللغة العربية؟\\n\\n{}
ضع كل ما يأتي في اللغة العربية: {}
صغ ما يلي باللغة العربية: {}
أعد كتابة ما يلي باللغة العربية: {}
اكتب كل ما يلي بالعربية: {}
من بين الأشياء التالية التي يجب ذكرها بالعربية: {}
هذا كل ما يلي باللغة العربية\\n\\n{}
كل ما يلي للعربية: {}
جميع ما يلي معروض باللغة العربية: {}
تُرجم كل ما يلي إلى العربية: {}
تتم ترجمة كل ما يلي إلى العربية: {}
كل النصوص التالية مترجمة إلى العربية: {}
كل العبارات التالية بالعربية: {}
مُترجم من الإنجليزية إلى العربية: {}
ترجمة من الإنجليزية إلى العربية: {}
[ترجمة إلى العربية] {}
**الترجمة:**\\n{}
Translate everything that follows into Arabic: {}
Translate everything that follows into Arabic:\\n\\n{}
Translate the following text to Arabic: {}
Here is the translation: {}
Here's the Arabic translation:\\n\\n{}
Sure, here is the translation into Arabic: {}
Translation: {}
Arabic translation: {}
Arabic: {}
Translated text: {}
The translation is: {}
Everything that follows is translated into Arabic: {}
Translate from English to Arabic: {}
Certainly! Below is the Arabic translation:\\n{}
The text in Arabic is: {}
"""
SUFFIXES = """
{}\\n\\nترجم هذا إلى العربية.
{} (ترجمة إلى العربية)
{}\\n\\nهل يمكنك ترجمة هذا إلى العربية؟
{}\\n\\nملاحظة: قمت بترجمة النص ترجمة حرفية.
{}\\n\\n(ملاحظة المترجم: حافظت على الأسماء كما هي)
{}\\n\\nTranslate this into Arabic.
{}\\n\\nNote: I translated the text literally.
{} 지금 번역하기
{}\\n\\nتمت الترجمة إلى العربية.
{}\\n\\nآمل أن تكون الترجمة مفيدة.
{}\\n\\nهذه هي الترجمة إلى اللغة العربية.
{}\\n\\nكل ما سبق مترجم إلى العربية.
{}\\n\\nتُرجم من الإنجليزية.
{}\\n\\nLet me know if you need another translation.
{}\\n\\nهل تريد مني ترجمة شيء آخر؟
"""
WHOLES = """
كل ما يلي مترجم إلى العربية:
يرجى تقديم النص الذي تريد ترجمته إلى العربية.
من فضلك أرسل النص المراد ترجمته.
Please provide the text you would like me to translate.
ما هو النص الذي تريد ترجمته؟
Translate everything that follows into Arabic:
لا يوجد نص لترجمته.
ترجم ما يلي إلى العربية
"""
FRESH = """
فيما يأتي النص مترجمًا إلى العربية: {}
هذا هو النص بعد ترجمته: {}
النسخة العربية: {}
الصيغة العربية للجملة السابقة: {}
كل الكلام الآتي منقول إلى العربية: {}
جميع ما ورد أدناه بالعربية: {}
اقرأ كل ما يلي باللغة العربية: {}
تمت ترجمة ما يلي إلى العربية: {}
قم بتعريب كل ما يلي: {}
تم تأجيل كل ما يلي إلى العربية: {}
احفظ كل ما يلي باللغة العربية {}
كل ما تبع ذلك مترجم للعربية:\\n{}
لترجمة كل ما يلي إلى العربية: {}
الترجمة إلى اللغة العربية هي كما يلي: {}
ترجمة حرفية: {}
I have translated the text into Arabic: {}
Arabic version: {}
The following is the Arabic translation of the text:\\n\\n{}
As requested, here is your translation: {}
[Translation] {}
{}\\n\\nأتمنى أن تكون هذه الترجمة واضحة.
{}\\n\\n(تمت ترجمة هذا النص آليًا)
{}\\n\\nIs there anything else you would like translated?
{} — ترجمة من الإنجليزية
الرجاء إدخال النص المطلوب ترجمته إلى العربية.
I'm ready to translate. Please send me the text.
"""
"""Written when the patterns were finished: at first sight 95 % of them were found with the source, and 58 % alone;
the patterns know more since."""
SENTENCES_EACH = 8
"""Real sentences that every paraphrase is put before, behind, or in the place of."""


def paraphrases(*texts: str) -> list[str]:
    """One a line, with a `{}` where the translation stands; a whole leak has none."""
    return [line.replace("\\n", "\n") for line in "".join(texts).splitlines() if line]


TUNED = paraphrases(PREFIXES, SUFFIXES, WHOLES)[::2]
HELD_OUT = paraphrases(PREFIXES, SUFFIXES, WHOLES)[1::2]


def leaked(good: list[Pair], paraphrases: list[str]) -> list[Pair]:
    """Good pairs with a paraphrase in their targets, each with other sentences."""
    made = []
    for number, paraphrase in enumerate(paraphrases):
        for turn in range(SENTENCES_EACH):
            source, target = good[(number * SENTENCES_EACH + turn) * 37 % len(good)]
            made.append((source, paraphrase.replace("{}", target)))
    return made


# The real data

GOOD_PAIRS = {**GOOD, **{name: OTHERS[name] for name in ("mt_geneval", "winomt", "react")}, "xquad": xquad}


def arabic_texts(data: Path) -> dict[str, list[str]]:
    """Arabic texts without a source, by data set."""
    paragraphs = [p for path in sorted(data.glob("arcd/files/data/*.json")) for p in squad(path)]
    hate = [row for path in data.glob("hatecheck-ar/files/*/*.csv") for row in cells(path)]
    exams = [row for path in sorted(data.glob("acegpt-bench/files/**/*.csv")) for row in cells(path)]
    return {
        "shami": [line for path in data.glob("shami-dialects/files/Data/*") for line in read(path).splitlines()],
        "arcd": [p["context"] for p in paragraphs] + [q["question"] for p in paragraphs for q in p["qas"]],
        "hatecheck": [max(row, key=len) for row in hate],
        "acegpt": [cell for row in exams for cell in row if re.search("[\u0621-\u064a]{2}", cell)],
    }


def questions(data: Path) -> dict[str, list[Pair]]:
    """English questions and orders, each with a fluent Arabic text that is an answer, or no translation at least."""
    both = [squad(data / "xquad/files" / name) for name in ("xquad.en.json", "xquad.ar.json.gz")]
    found: dict[str, list[Pair]] = {"questions → short answers": [], "questions → paragraphs": []}
    contexts = [paragraph["context"] for paragraph in both[1]]
    for english, arabic in zip(*both, strict=True):
        for asked, told in zip(english["qas"], arabic["qas"], strict=True):
            found["questions → short answers"].append((asked["question"], told["answers"][0]["text"]))
            found["questions → paragraphs"].append((asked["question"], arabic["context"]))
    orders = [row["instruction"] for row in json.loads(read(data / ALPACA))[::3]]
    found["orders → paragraphs"] = [(order, contexts[n % len(contexts)]) for n, order in enumerate(orders)]
    return found


ALPACA = "alpaca-random9k/files/data/random/random_9k.json.gz"
RASBT = "rasbt-instruct/files/ch07/01_main-chapter-code/instruction-data.json"
OASST = "oasst-en100/files/model/model_eval/manual/data/en_100_tree.jsonl"
LLAMAFACTORY = "llamafactory-demo/files/data"
FORMULA = re.compile(
    r"as an ai(?: language model| assistant)?,|i'm sorry, but (?:as an ai|i (?:can't|cannot|don't have the)"
    r"|i'm (?:currently )?unable)",
    re.I,
)
"""The formulas that nobody but an assistant uses; what opens with one is surely to be dropped."""


def answers(data: Path) -> dict[str, list[Pair]]:
    """Prompts and their answers, by data set."""

    def branches(message: dict[str, Any], before: str) -> Iterator[Pair]:
        if message["role"] == "assistant":
            yield before, message["text"]
        for reply in message.get("replies", []):
            yield from branches(reply, message["text"])

    def told(rows: list[dict[str, Any]]) -> list[Pair]:
        return [(f"{row['instruction']}\n{row.get('input') or ''}", row.get("output") or "") for row in rows]

    tools = [row["conversations"] for row in json.loads(read(data / LLAMAFACTORY / "glaive_toolcall_en_demo.json"))]
    trees = [json.loads(line)["prompt"] for line in read(data / OASST).splitlines()]
    return {
        "alpaca": told(json.loads(read(data / ALPACA))),
        "rasbt": told(json.loads(read(data / RASBT))),
        "llamafactory": told(json.loads(read(data / LLAMAFACTORY / "alpaca_en_demo.json"))),
        "glaive": [(a["value"], b["value"]) for turns in tools for a, b in pairwise(turns) if b["from"] == "gpt"],
        "oasst": [pair for tree in trees for pair in branches(tree, "")],
    }


ALONE = {"source": None, "target": "translation.ar"}


def findings(data: Path) -> Iterator[Finding]:
    """Leaks with and without the source, answers and refusals; and what falls of good rows."""
    good = {name: load(data) for name, load in GOOD_PAIRS.items()}
    texts = {name: [("", text) for text in texts] for name, texts in arabic_texts(data).items()}
    sentences = good["tatoeba"] + good["tico"]
    for told, fields, least, clean in (("", SIDES, 0.95, good), (", alone", ALONE, None, good | texts)):
        step = PromptLeak(**fields)
        for name, kind in (("tuned on", TUNED), ("held out", HELD_OUT), ("written later", paraphrases(FRESH))):
            yield judged(
                "prompt leak",
                f"paraphrases {name}",
                f"`prompt_leak`{told}",
                step,
                leaked(sentences, kind),
                True,
                least,
            )
        for name, pairs in clean.items():
            yield judged("prompt leak", name, f"`prompt_leak`{told}", step, pairs, False, most=0.001)
    for name, chats in answers(data).items():
        for formula, told in ((True, f"{name}, by a formula"), (False, f"{name}, all others")):
            some = [pair for pair in chats if bool(FORMULA.match(pair[1])) == formula]
            # Those that fall of the others were read for alpaca, llamafactory and oasst: they decline in other words.
            yield judged("refusal", told, "`refusal`", Refusal(), some, formula, 0.95, spelt=chat)
    for name, alone in texts.items():
        yield judged("refusal", name, "`refusal`", Refusal(on="translation.ar"), alone, False, most=0.001)
    for name, pairs in questions(data).items():
        yield judged("an answer for a translation", name, "`answered`", Answered(**SIDES), pairs, True)
    for name, pairs in good.items():
        yield judged("an answer for a translation", name, "`answered`", Answered(**SIDES), pairs, False, most=0.001)


def judged(
    kind: str,
    name: str,
    told: str,
    step: Filter,
    pairs: list[Pair],
    dirty: bool,
    least: float | None = None,
    most: float | None = None,
    spelt: Callable[[list[Pair]], pl.DataFrame] = frame,
) -> Finding:
    """The finding of pairs that are all dirty, or all clean."""
    rows = [(pair, dirty, fell) for pair, fell in zip(pairs, falls(step, spelt(pairs)), strict=True)]
    return weighed(kind, name, told, rows, least=least, most=most)


if __name__ == "__main__":
    sys.exit(report({"leaks": findings}, __doc__ or ""))

"""How much of what a translator or a chat model leaves behind is found, and how many good rows fall with it.

    python benchmarks/truth_leaks.py [--data DIR] [--show]

Leaked targets are made of real sentences and of paraphrases of the instruction, written here; the patterns were tuned
on every second paraphrase, and the others are held out. Good pairs and good Arabic texts are those of the real data:
each one that falls is printed by `--show`.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import re
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import polars as pl

from hala_factory import rows
from hala_factory.filters.answered import Answered
from hala_factory.filters.prompt_leak import PromptLeak
from hala_factory.filters.refusal import Refusal
from hala_factory.step import Filter

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
Pair = tuple[str, str]

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


def read(path: Path) -> str:
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8", "replace")


def tatoeba(data: Path) -> list[Pair]:
    stem = "opusmt-tatoeba-ara-eng/files/testsets/ara-eng/tatoeba-test-v2021-08-07"
    return list(zip(*(read(data / f"{stem}.{code}").splitlines() for code in ("eng", "ara")), strict=True))


def manythings(data: Path) -> list[Pair]:
    lines = read(data / "manythings-ara/files/seq2seqBasic/ara.txt.gz").splitlines()
    return [(fields[0], fields[1]) for fields in (line.split("\t") for line in lines)]


def tico(data: Path) -> list[Pair]:
    with zipfile.ZipFile(data / "tico19-en-ar/files/data/TM/all.en-ar.tmx.zip") as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".tmx"))
        units = ElementTree.fromstring(archive.read(name)).iter("tu")
    sides = [["".join(seg.itertext()) for seg in unit.iter("seg")] for unit in units]
    return [(source, target) for source, target in sides]


def ntrex(data: Path) -> list[Pair]:
    stem = data / "ntrex128/files/NTREX-128"
    names = ("newstest2019-ref.eng-US.txt.gz", "newstest2019-ref.arb.txt")
    return list(zip(*(read(stem / name).splitlines() for name in names), strict=True))


def geneval(data: Path) -> list[Pair]:
    found: list[Pair] = []
    for path in sorted(data.glob("mt-geneval/files/data/sentences/*/*.en_ar.en")):
        found += zip(read(path).splitlines(), read(path.with_suffix(".ar")).splitlines(), strict=True)
    return found


def winomt(data: Path) -> list[Pair]:
    lines = [
        line
        for path in sorted(data.glob("winomt-mt/files/translations/*/en-ar.txt"))
        for line in read(path).splitlines()
    ]
    return [(source, target) for source, target in (line.split(" ||| ") for line in lines)]


def squad(path: Path) -> list[dict[str, Any]]:
    """The paragraphs of a file in SQuAD's form."""
    return [paragraph for article in json.loads(read(path))["data"] for paragraph in article["paragraphs"]]


def xquad(data: Path) -> list[Pair]:
    """Contexts and questions; answers, which are snippets, are left out."""
    both = [squad(data / "xquad/files" / name) for name in ("xquad.en.json", "xquad.ar.json.gz")]
    found: list[Pair] = []
    for english, arabic in zip(*both, strict=True):
        found.append((english["context"], arabic["context"]))
        found += [(e["question"], a["question"]) for e, a in zip(english["qas"], arabic["qas"], strict=True)]
    return found


def react(data: Path) -> list[Pair]:
    """Blocks of pages of which both languages have equally many."""
    found: list[Pair] = []
    for path in sorted((data / "react-docs/files").rglob("*.md")):
        other = Path(str(path).replace("react-docs", "react-docs-en"))
        if other.exists():
            english, arabic = (re.split(r"\n\s*\n", read(p)) for p in (other, path))
            found += zip(english, arabic, strict=True) if len(english) == len(arabic) else ()
    return found


GOOD_PAIRS: dict[str, Callable[[Path], list[Pair]]] = {
    f.__name__: f for f in (tatoeba, manythings, tico, ntrex, geneval, winomt, xquad, react)
}


def arabic_texts(data: Path) -> dict[str, list[str]]:
    """Arabic texts without a source, by data set."""
    paragraphs = [p for path in sorted(data.glob("arcd/files/data/*.json")) for p in squad(path)]
    hate = [row for path in data.glob("hatecheck-ar/files/*/*.csv") for row in csv.reader(io.StringIO(read(path)))]
    exams = [
        row for path in sorted(data.glob("acegpt-bench/files/**/*.csv")) for row in csv.reader(io.StringIO(read(path)))
    ]
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


def chat(pairs: list[Pair]) -> pl.DataFrame:
    spelt = [[{"role": "user", "content": a}, {"role": "assistant", "content": b}] for a, b in pairs]
    return pl.DataFrame({"messages": spelt}, schema={"messages": rows.MESSAGES})


def frame(pairs: list[Pair]) -> pl.DataFrame:
    spelt = [{"en": source, "ar": target} for source, target in pairs]
    return pl.DataFrame({"translation": spelt}, schema={"translation": rows.translation_type(["en", "ar"])})


def reasons(step: Filter, table: pl.DataFrame) -> pl.Series:
    """The reason for which every row falls, or null."""
    asked = [pl.when(rule).then(pl.lit(reason)) for reason, rule in step.rules()]
    return step.measure(table).select(reason=pl.coalesce([*asked, pl.lit(None, pl.String)]))["reason"]


def tell(
    name: str,
    step: Filter,
    pairs: list[Pair],
    show: str = "",
    spelt: Callable[[list[Pair]], pl.DataFrame] | None = None,
) -> float:
    """Print how many of the pairs fall, and with `show` those that did or did not; the share is answered."""
    table = (spelt or frame)(pairs)
    started = time.perf_counter()
    fallen = reasons(step, table).is_not_null()
    speed = len(pairs) / (time.perf_counter() - started)
    share = fallen.sum() / max(len(pairs), 1)
    print(f"| {name} | {len(pairs):,} | {fallen.sum():,} | {100 * share:.2f} % | {speed:,.0f} |")
    for (source, target), lost in zip(pairs, fallen, strict=True):
        if show and lost == (show == "fallen"):
            print("   ", " ".join(source.split())[:80], "→", " ".join(target.split())[:160])
    return float(share)


def head(title: str) -> None:
    print(f"\n{title}\n\n| rows | number | dropped | share | rows/s |\n|---|---|---|---|---|")


SIDES = {"source": "translation.en", "target": "translation.ar"}
ALONE = {"source": None, "target": "translation.ar"}


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of real data")
    parser.add_argument("--show", action="store_true", help="print leaks that are missed and good rows that fall")
    asked = parser.parse_args()
    if not asked.data.is_dir():
        sys.exit(f"{asked.data} does not exist; say where the real data are: --data DIR")
    good = {name: load(asked.data) for name, load in GOOD_PAIRS.items()}
    sentences = good["tatoeba"] + good["tico"]
    missed, lost = ("kept", "fallen") if asked.show else ("", "")
    for title, fields in (("with the source", SIDES), ("alone", ALONE)):
        step = PromptLeak(**fields)
        head(f"`prompt_leak`, {title}")
        for name, kind in (("tuned on", TUNED), ("held out", HELD_OUT), ("written later", paraphrases(FRESH))):
            tell(f"leaked, paraphrases {name}", step, leaked(sentences, kind), missed)
        for name, pairs in good.items():
            tell(name, step, pairs, lost)
    texts = {name: [("", text) for text in texts] for name, texts in arabic_texts(asked.data).items()}
    for name, alone in texts.items():
        tell(f"{name} (no source)", PromptLeak(**ALONE), alone, lost)
    head("`refusal`")
    for name, chats in answers(asked.data).items():
        tell(f"{name}, formulas", Refusal(), [pair for pair in chats if FORMULA.match(pair[1])], missed, chat)
        tell(f"{name}, all others", Refusal(), [pair for pair in chats if not FORMULA.match(pair[1])], lost, chat)
    for name, alone in texts.items():
        tell(f"{name} (Arabic)", Refusal(on="translation.ar"), alone, lost)
    head("`answered`")
    for name, pairs in questions(asked.data).items():
        tell(name, Answered(**SIDES), pairs, missed)
    for name, pairs in good.items():
        tell(name, Answered(**SIDES), pairs, lost)


if __name__ == "__main__":
    main()

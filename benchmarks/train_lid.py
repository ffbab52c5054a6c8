"""Makes factory/lid.npz, by which `language` tells English and Arabic from what is written in the same letters.

   git clone https://github.com/Helsinki-NLP/OPUS-MT-testsets   (at ac0f19c: sentences of Tatoeba, CC BY 2.0 FR)
   git clone https://github.com/eric-muller/udhr                (at f93dd61: the Declaration of Human Rights)
   git clone https://github.com/tldr-pages/tldr                 (at 08e345f: manuals with code, CC BY 4.0)
   python benchmarks/train_lid.py OPUS-MT-testsets udhr tldr

Takes a minute. A folder may be a bare repository. The test sets that `truth_language.py` measures with are left
out, and every sentence of them wherever else it stands, and those of --leave-out; dialects of Arabic and spoken
Persian, of which there is nothing under a free licence there, are learnt from the words listed below.
"""

from __future__ import annotations

import argparse
import html
import random
import re
import subprocess
from collections import defaultdict
from pathlib import Path

import numpy as np

from hala_factory import lid

WEIGHTS = Path(__file__).resolve().parents[1] / "factory" / "lid.npz"
MEASURED = {"ara-eng", "ara-fra", "ara-ber", "ara-ber_Latn", "eng-fas", "eng-urd", "eng-uig"}
# Made-up languages and Old English: those who made them borrowed from English, and nobody writes corpora in them.
LEFT_OUT = {"ang", "avk", "cor", "ido", "ile", "ina", "jbo", "lfn", "nov", "prg", "tlh", "toki", "tzl", "vol"}
MOST = 12_000
"""Sentences of a language that is not English: more of German would only drown Danish."""
EPOCHS = {"latin": 3, "arabic": 10}
RATE, BATCH = 0.05, 2_000
SEED = 7

DIALECTS = {
    "Egyptian": """
        ده دي دا دول كده كدا عايز عايزة عاوز عاوزة مش مفيش فيه ايه إيه ليه ازاي إزاي فين امتى إمتى مين عشان
        علشان بتاع بتاعة بتاعي بتاعك احنا إحنا انتو إنتو هما اللي يعني برضه برضو لسه خالص أوي اوي كويس كويسة
        حاجة حاجات دلوقتي النهارده بكره امبارح بقى بقا قوي شوية شويه كتير زي عندي عندك معايا معاك ماشي طب طيب
        يلا بلاش مكنش معرفش مش عارف عارفة ما تقلقش معلش إزيك ازيك كمان تاني بيقول بتقول بيعمل بتعمل هيروح هتروح
        حيعمل شغلي بتشتغل بنت ولد راجل ست جوه بره فوق تحت خلاص اهو أهو اهي ايوه أيوه لأ""",
    "Levantine": """
        شو ليش هيك هيدا هيدي هاد هاي هادا هادي هدول كتير كتيرة بدي بدك بدنا بدهم بدو بدها منيح منيحة هلق هلأ هلا
        لسا لسه عم بحكي تحكي وين كيف كيفك مين قديش إيمتى امتى مو مش ما في معي معك عندي عندك إلي إلك لإنو لأنو
        إنو انو اللي يلي متل مثل بس كمان رح راح رايح جاي جايي هون هونيك هناك تعا تعي خلص يلا ماشي طيب شوي شوية
        هيكا لازم بعدين بكرا مبارح اليوم حدا شي كل نحنا احنا انتو هني هنن عنا عندنا ليكون بتحكي بيحكي بعرف بتعرف
        بيعرف صار صارت بصير زلمة مرة ولاد بنات شغل بيت""",
    "Gulf and Iraqi": """
        شنو وش ايش إيش ليش شلون شلونك وين متى منو زين زينة وايد واجد مرة تبي ابي أبي نبي يبي ابغى أبغى تبغى يبغى
        هذي هالحين الحين اللحين توه عقب باچر باجر أمس البارحة عيال ريال مب مو موب اكو ماكو هسه هسع شكو كلش خوش
        هواية شوكت بعد چذي جذي كذا يالله تعال روح قاعد گاعد اشوف أشوف شفت گال قال حق حگ مال يمكن عشان علشان دش
        سوي سويت تسوي يسوي""",
    "Maghrebi": """
        واش شنو شنوة أشنو آش علاش كيفاش فاش وقتاش فين منين بزاف برشا ياسر ديال ديالي ديالك ديالو تاع نتاع متاع
        متاعي راني راك راه راها رانا غادي غادية باش بلي بلّي حيت كاين كاينة ماكاش مكانش ماكانش كاش مازال دابا
        ضرك درك توا توة هاد هاذ هادا هاذا هادي هاذي داك ديك هاكا هكا هكذا نتا نتي نتوما حنا احنا هوما هما بغيت
        نبغي تبغي يبغي حبيت نحب نقدر تقدر يقدر نعرف نروح رايح رايحة جاي كيما كيفما خويا ختي لالا مليح مليحة زوين
        زوينة خايب خدمة خدام الدار برّا قدام زعما غير والو حاجة شوية شويا نهار البارح غدوة اليوم ماشي ماعنديش
        معنديش ماعرفتش معرفتش""",
}
PERSIAN = """
    آره نه خب خوب باشه بله نخیر چیه چی چرا کجا کجاست کی کیه این اون اینا اونا اینجا اونجا همین همون دیگه دیگر
    خیلی الان حالا فقط شاید باید نباید می‌خوام میخوام نمیخوام میخواد میخوای میخواستم می‌دونم میدونم نمیدونم
    میدونی میدونه میشه نمیشه میشم میکنم میکنی میکنه میکنن نمیکنم نکن نکنید کردم کردی کرد کردن کرده بکن بکنم بیا
    بیاید برو بریم برم رفت رفتم اومد اومدم میام میاد داره دارم داری داریم دارن ندارم نداره بود بودم بودی بودن
    نبود نیست نیستم هست هستم هستی هستن است شد شدم شده میرم میره بگو بگم گفت گفتم گفتی میگم میگه واسه برای بهت
    بهش بهم ازت ازش ازم باهات باهاش باهام توی روی پیش بدون مثل یه یک دو سه هیچی هیچ همه چیزی کسی دوست دوستم مرد
    زن پسر دختر بچه بابا مامان پدر مادر برادر خواهر آقا آقای خانم خانوم عزیزم جون جان ممنون مرسی خواهش ببخشید
    متاسفم سلام خداحافظ خدای من لعنتی عالیه خوبه خوبی بده بسه زود دیر امروز دیروز فردا امشب دیشب شب روز صبح خونه
    خانه کار پول وقت حرف کمک فکر زندگی دنیا تو او ما شما آنها منو تورو اونو مارو را رو که تا اگه اگر ولی اما چون
    پس هم یا از به در با و وای هی آهان آقاجون چقدر چقد چطور چطوری چه‌جوری کدوم کدومش اینجوری اونجوری یکم یه‌کم کمی
    قشنگه خوشگله زیباست زیباییه جذابه سخته آسونه راحته گرونه ارزونه بزرگه کوچیکه قدیمیه جدیده خسته‌ست عالیست بدبخت
    احمق دیوونه دیوونه‌ست مهمون مهمونی مهربون جوون تهرون خیابون آسمون زمون نشونه خوندن موندن میمونم بمون بمونید بزن
    نزن نزنید بگیر نگیر بخور نخور ببین ببینم ببینید نبین بشین بشینید پاشو پاشید بخواب بخند گریه نکنین کنین میکنین
    میخواین میدونین بودین هستین داشتم داشتی داشت داشتن داشتیم رفتیم دیدم دیدی دیده خوردم خورده گرفتم گرفته موندم
    مونده دادم دادی داده فهمیدم فهمیدی میفهمی نمیفهمم وقتی وقتشه فرصت همتون همشون همه‌مون خودم خودت خودش خودمون
    ماشین گوشی تلفن کیف کفش لباس شلوار دوست‌دختر دوست‌پسر عروسی جشن تولد غذا چای قهوه نون پنیر گوشت ماهی شیرینی
    آب دریا کوه جنگل شهر روستا کوچه ماه خورشید ستاره گربه سگ اسب گل درخت عشق عاشقتم دلم تنگ شده برات بابت قربونت
    حتما احتمالا مثلا واقعا اصلا فعلا لطفا معمولا بالاخره همیشه هیچوقت هنوز دوباره شاید انگار راستی یعنی البته"""
NOT_LATIN = "[\u0370-\u1dff\u2c80-\ua71f\ua800-\ufaff\ufb50-\ufeff]"
PHRASES = 700
"""Made of two to five words of a dialect, each."""
ARABIC_KEYBOARD = [str.maketrans("یک", "يك"), str.maketrans("یک", "ىك"), str.maketrans("ی", "ي")]
"""How Persian is often typed: with the letters of Arabic."""


def main() -> None:
    """Train both models and write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("testsets", type=Path, help="a clone of OPUS-MT-testsets")
    parser.add_argument("udhr", type=Path, help="a clone of eric-muller/udhr")
    parser.add_argument("tldr", type=Path, help="a clone of tldr-pages/tldr")
    parser.add_argument("--leave-out", type=Path, nargs="*", default=[], help="files of sentences not to learn from")
    asked = parser.parse_args()
    held = {line.strip() for path in asked.leave_out for line in path.read_text(encoding="utf-8").split("\n")}
    tatoeba, declaration, pages = sentences(asked.testsets, held), articles(asked.udhr), manuals(asked.tldr)
    made: dict[str, np.ndarray] = {}
    for script, (ours, others) in {
        "latin": latin(tatoeba, declaration, pages, random.Random(SEED)),
        "arabic": arabic(tatoeba, declaration, pages, random.Random(SEED)),
    }.items():
        weights = train(script, ours, others)  # type: ignore[arg-type]
        scale = np.abs(weights).max() / 127
        made |= {script: np.round(weights / scale).astype(np.int8), f"{script}_scale": np.array(scale, np.float32)}
    np.savez_compressed(WEIGHTS, **made)  # type: ignore[arg-type]


def git(folder: Path, *words: str, given: str = "") -> bytes:
    """What git answers in a repository."""
    return subprocess.run(
        ["git", "-C", str(folder), *words], input=given.encode(), capture_output=True, check=True
    ).stdout


def files(folder: Path, where: str, pattern: str) -> list[tuple[re.Match[str], str]]:
    """The files of a repository's last commit whose path matches, with their text."""
    found = []
    for line in git(folder, "ls-tree", "-r", "HEAD", where).decode().splitlines():
        entry, path = line.split("\t")
        if (match := re.fullmatch(pattern, path)) and not entry.startswith("120000"):
            found.append((match, entry.split()[2]))
    answer, at, texts = git(folder, "cat-file", "--batch", given="\n".join(blob for _, blob in found)), 0, []
    for _ in found:
        start = answer.index(b"\n", at) + 1
        size = int(answer[at:start].split()[2])
        texts.append(answer[start : start + size].decode("utf-8", "replace"))
        at = start + size + 1
    return list(zip((match for match, _ in found), texts, strict=True))


def sentences(folder: Path, held: set[str]) -> dict[str, list[str]]:
    """Tatoeba's sentences by language (ISO 639-3, some with a script), sorted; none that is measured with."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    held = set(held)
    for match, whole in files(folder, "testsets", r"testsets/(\w+-\w+)/tatoeba-test-v2021-08-07\.([A-Za-z_]+)"):
        lines = {line.strip() for line in whole.split("\n")} - {""}
        if match[1] in MEASURED:
            held |= lines
        else:
            found[match[2]] |= lines
    return {language: sorted(lines - held) for language, lines in sorted(found.items())}


def articles(folder: Path) -> dict[str, tuple[str, list[str]]]:
    """The Declaration by translation: its script (ISO 15924) and its paragraphs."""
    found = {}
    for match, whole in files(folder, "data/udhr", r"data/udhr/udhr_(\w+)\.xml"):
        script = re.search(r"iso15924='(\w+)'", whole)
        paragraphs = re.findall(r"<(?:para|title)>(.*?)</(?:para|title)>", whole, re.DOTALL)
        found[match[1]] = (script[1] if script else "", [html.unescape(" ".join(p.split())) for p in paragraphs])
    return found


def manuals(folder: Path) -> dict[str, list[str]]:
    """What commands do, by language (ISO 639-1): what is said of each, alone and with the code."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for match, whole in files(folder, ".", r"pages(?:\.(\w+))?/.*\.md"):
        told = [line[2:].strip() for line in whole.split("\n") if line.startswith("> ") and "://" not in line]
        examples = re.findall(r"^- (.+)\n\n`(.+)`$", whole, re.MULTILINE)
        about = [part for said, code in examples for part in (said, f"{said} {code}")]
        found[(match[1] or "en").partition("_")[0]] += [" ".join(told), *about]
    return found


Pair = tuple[list[str], list[str]]
Articles = dict[str, tuple[str, list[str]]]


def latin(
    tatoeba: dict[str, list[str]], declaration: Articles, pages: dict[str, list[str]], chance: random.Random
) -> Pair:
    """English sentences, and those of everything else in Latin script."""
    english = tatoeba["eng"] + 3 * declaration["eng"][1] + pages["en"]
    others = []
    for language in sorted(pages.keys() - {"en"}):
        lines = [line for line in pages[language] if re.search("[a-z]", line) and not re.search(NOT_LATIN, line)]
        others += chance.sample(lines, min(len(lines), MOST))
    for language, lines in tatoeba.items():
        if language == "eng" or language.partition("_")[0] in LEFT_OUT:
            continue
        some = chance.sample(lines, min(len(lines), MOST))
        if some and sum(re.search("[a-z]", line) is not None for line in some[:50]) > 25:
            others += some
    for name, (script, lines) in declaration.items():
        others += lines if script == "Latn" and name not in ("eng", "sco") else []
    return with_pieces(english, others, chance)


def arabic(
    tatoeba: dict[str, list[str]], declaration: Articles, pages: dict[str, list[str]], chance: random.Random
) -> Pair:
    """Sentences of Arabic and its dialects, and those of everything else in Arabic script."""
    standard = tatoeba["ara"] + pages["ar"]
    ours = standard + 2 * declaration["arb"][1]
    for words in DIALECTS.values():
        ours += words.split() + phrases(words.split(), PHRASES, chance)
    persian = tatoeba["fas"] + declaration["pes_1"][1] + declaration["pes_2"][1] + PERSIAN.split()
    persian += pages["fa"]
    persian += phrases(PERSIAN.split(), 2 * PHRASES, chance)
    typed = [line.translate(letters) for letters in ARABIC_KEYBOARD for line in persian]
    urdu = tatoeba["urd"] + [line for name in ("urd", "urd_2", "skr", "pnb", "pbu") for line in declaration[name][1]]
    others = persian + typed + 3 * urdu + tatoeba["uig"] + declaration["uig_arab"][1]
    others += tatoeba["ota_Arab"] + 2 * declaration["mly_arab"][1]
    # Sindhi, Sorani and others, of which there is nothing here, have in common that they need letters of their own.
    others += [foreign(line, chance) for line in chance.sample(standard, 800)]
    # Arabic is typed on Persian keyboards, too.
    ours += [line.replace("ي", "ی") for line in ours[::8]]
    ours += [line.replace("ي", "ی").replace("ك", "ک") for line in ours[::16]]
    # In chats ta marbuta is written as ha, and no alef has its hamza: that alone made a text look Persian.
    ours += [casual(line) for line in ours[::4]]
    return with_pieces(ours, [line for line in others if re.search("[\u0621-\u064a]", line)], chance)


def casual(line: str) -> str:
    """An Arabic line as it is typed in a hurry."""
    return re.sub(r"ى\b", "ي", line.translate(str.maketrans("ةأإآ", "هااا")))


def phrases(words: list[str], number: int, chance: random.Random) -> list[str]:
    """So many strings of two to five of the words."""
    return [" ".join(chance.choices(words, k=chance.randint(2, 5))) for _ in range(number)]


def foreign(line: str, chance: random.Random) -> str:
    """The line with an eighth of its letters replaced by one that Arabic does not have."""
    places = [at for at, char in enumerate(line) if char.isalpha()]
    picked = set(chance.sample(places, min(len(places), max(2, len(places) // 8))))
    return "".join("ٹ" if at in picked else char for at, char in enumerate(line))


def with_pieces(ours: list[str], others: list[str], chance: random.Random) -> Pair:
    """Both with pieces of one to four words, for texts are short; what is both (a name, `Stop!`) is ours."""

    def pieces(lines: list[str]) -> list[str]:
        found = []
        for line in lines:
            words = line.split()
            if len(words) > 4 and chance.random() < 0.3:
                size = chance.randint(1, 4)
                at = chance.randrange(len(words) - size + 1)
                found.append(" ".join(words[at : at + size]))
        return found

    def key(line: str) -> str:
        return re.sub(r"\W+", " ", line.lower()).strip()

    ours, others = ours + pieces(ours), others + pieces(others)
    known = {key(line) for line in ours}
    return ours, [line for line in others if key(line) not in known]


def train(script: lid.Script, ours: list[str], others: list[str]) -> np.ndarray:
    """Logistic regression by AdaGrad; both sides weigh the same."""
    lines = ours + others
    truth = np.repeat([1.0, 0.0], [len(ours), len(others)])
    share = np.where(truth == 1, len(lines) / 2 / len(ours), len(lines) / 2 / len(others))
    size = 1 << lid.BITS
    weights, steepness = np.zeros(size), np.full(size, 1e-8)
    order = np.random.default_rng(SEED).permutation(len(lines))
    for epoch in range(EPOCHS[script]):
        loss, rate = 0.0, RATE * (1 - 0.8 * epoch / EPOCHS[script])
        for at in range(0, len(lines), BATCH):
            picked = order[at : at + BATCH]
            units, starts, _ = lid.spell([lines[i] for i in picked], script)
            rows = np.repeat(np.arange(len(picked)), np.diff([*starts, len(units) - lid.LONGEST + 1]))
            slots = list(lid.runs(units))
            odds = np.sum([np.bincount(rows, weights[slot], len(picked)) for slot in slots], axis=0)
            guess = 1 / (1 + np.exp(-odds))
            wrong = (guess - truth[picked]) * share[picked]
            loss -= float(np.log(np.maximum(np.where(truth[picked] == 1, guess, 1 - guess), 1e-9)) @ share[picked])
            slope = np.sum([np.bincount(slot, wrong[rows], size) for slot in slots], axis=0) / len(picked)
            moved = np.flatnonzero(slope)
            steepness[moved] += slope[moved] ** 2
            weights[moved] -= rate * slope[moved] / np.sqrt(steepness[moved])
        print(
            f"{script}: {len(ours):,} against {len(others):,} texts, epoch {epoch + 1}, loss {loss / len(lines):.4f}"
        )
    return weights


if __name__ == "__main__":
    main()

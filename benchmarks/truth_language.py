"""`language` on real sentences whose language is known: what it misses, and what it drops wrongly.

    python benchmarks/truth_language.py [--data DIR] [--read N] [--json]

Others are texts that are not in the language to keep, which should be dropped; all the rest should be kept. What a
text is in is told by the data set. Rows of films are judged alone and by `language_context` together with their
neighbours. lid.npz was trained on none of these sentences, except that one translation of the Declaration of Human
Rights reads much like another. Beside every sum stands what bare fastText makes of it with the same threshold.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import real
from finding import Finding, barred, falls, report, texts, weighed

from hala_factory import lid
from hala_factory.filters.language import Language
from hala_factory.filters.language_context import LanguageContext

DECOYS = "opusmt-tatoeba-decoys/files/testsets"
NEIGHBOURS = (
    *("da", "nb", "nn", "sv", "nl", "af", "de", "is", "fr", "es", "pt", "it", "ca", "ro", "la", "cy", "ga"),
    *("pl", "cs", "fi", "et", "hu", "tr", "id", "tl", "sw", "so", "eo", "sq", "hr"),
)
LEAST, MOST = 0.98, 0.01
"""The goals: smallest share of others that is dropped, largest share of the language that is."""


OTHERS, ENGLISH = "other languages where English is kept", "English"
ALIKE, STANDARD, DIALECT = "look-alikes where Arabic is kept", "Standard Arabic", "Arabic dialects"
SHARED = "what stays was read: 9 of 19 are names and words that Arabic has as well"
DOUBTS = {
    "arq": "what falls was read: most is one author's, spelt with letters of Kurdish; 2 of 23 are no Arabic",
    "afb": "the one line that falls is one word that Persian has as well",
}


class Case(NamedTuple):
    """Sentences of one language, and the language that is to be kept."""

    kind: str
    name: str
    keep: str
    texts: list[str]
    other: bool
    """Whether they are in another language than the one to keep."""
    doubt: str = ""
    """Why the data set's word is no goal here, as those who read what is judged otherwise say."""


def findings(data: Path) -> Iterator[Finding]:
    """Every case, their sums beside fastText's, and films judged with their neighbours."""
    judged = [(case, told(case, dropped(case))) for case in cases(data)]
    for kind in dict.fromkeys(case.kind for case, _ in judged):
        some = [(case, rows) for case, rows in judged if case.kind == kind]
        for case, rows in some:
            bounds = {} if case.doubt else {"least": LEAST, "most": MOST}
            yield weighed(kind, case.name, "`language`", rows, label=case.doubt, **bounds)
        ours = [row for _, rows in some for row in rows]
        theirs = [row for case, _ in some for row in told(case, fasttext(case))]
        yield weighed(kind, "all of these", "`language`", ours, least=LEAST, most=MOST)
        yield weighed(kind, "all of these", "fastText alone", theirs)
    yield from in_films(data)


def in_films(data: Path) -> Iterator[Finding]:
    """Danish in the English column of subtitles, and what the same steps drop of clean English."""
    sets = {read.__name__: [(text, False) for text, _ in read(data)] for read in (real.tatoeba, real.tico)}
    for name, rows in {"xed-subtitles": real.films(data), **sets}.items():
        table = texts([text for text, _ in rows])
        # Short lines of English films are what needs neighbours: `language` alone has no goal there.
        alone = None if name == "xed-subtitles" else MOST
        for step, gone, most in (
            ("`language`, min_score 0.85", falls(Language(keep=["en"], min_score=0.85, on="text.x"), table), alone),
            ("`language_context`", barred(LanguageContext(keep=["en"], on="text.x"), table), MOST),
        ):
            seen = [(text, danish, fell) for (text, danish), fell in zip(rows, gone, strict=True)]
            yield weighed("Danish in the English column", name, step, seen, least=0.99, most=most)


def told(case: Case, gone: list[bool]) -> list[tuple[str, bool, bool]]:
    """The texts of a case, whether they should fall, and whether they do."""
    return [(text, case.other, fell) for text, fell in zip(case.texts, gone, strict=True)]


def dropped(case: Case) -> list[bool]:
    """Which texts of a case `language` drops."""
    return falls(Language(keep=[case.keep], on="text.x"), texts(case.texts))


def fasttext(case: Case) -> list[bool]:
    """Which texts of a case bare fastText drops, with the same threshold."""
    family = {case.keep, *lid.ARABIC} if case.keep == "ar" else {case.keep}
    predict = lid.load(lid.bundled()).f.predict
    answers = [predict(text.replace("\n", " ") + "\n", 1, 0.0, "replace") for text in case.texts]
    return [not a or a[0][1].removeprefix("__label__") not in family or a[0][0] < 0.65 for a in answers]


def cases(data: Path) -> list[Case]:
    """Every case whose files are here."""
    found = [*english(data), *arabic(data), *written()]
    held = (case._replace(texts=[text for text in case.texts if text.strip()]) for case in found)
    return [case for case in held if case.texts]


def english(data: Path) -> Iterator[Case]:
    """Cases in Latin script."""
    films = real.films(data)
    yield Case(OTHERS, "XED films, Danish", "en", [t for t, danish in films if danish], True)
    for code in ("da", "de", "es"):
        yield Case(OTHERS, f"XED lines, {code}", "en", real.subtitles(data, f"{code}-projections"), True)
    yield Case(OTHERS, "XED lines, fr", "en", real.subtitles(data, "fr-projections"), True)
    yield Case(OTHERS, "XED lines, tr", "en", real.subtitles(data, "tr-projections2"), True)
    for code in ("dan", "nob", "swe", "nld", "deu", "fra", "spa", "ita", "por", "tur", "fin", "hun"):
        yield Case(OTHERS, f"LASER Tatoeba, {code}", "en", laser(data, code), True)
    yield Case(
        OTHERS, "Tatoeba decoys, fra", "en", real.lines(data / f"{DECOYS}/ara-fra/tatoeba-test-v2021-08-07.fra"), True
    )
    for kind in ("sentences", "word-pairs"):
        lines = [text for code in NEIGHBOURS for text in lingua(data, kind, code)]
        yield Case(OTHERS, f"lingua {kind}, {len(NEIGHBOURS)} neighbours", "en", lines, True)
    for code in ("deu", "fra", "tur", "swa"):
        yield Case(OTHERS, f"NTREX, {code}", "en", real.news(data, code), True)
    yield Case(
        ENGLISH,
        "XED films, English",
        "en",
        [t for t, danish in films if not danish],
        False,
        doubt="lines of a word: judge them by `language_context`",
    )
    yield from both(ENGLISH, data, "en", 0)
    yield Case(ENGLISH, "lingua sentences", "en", lingua(data, "sentences", "en"), False)


def arabic(data: Path) -> Iterator[Case]:
    """Cases in Arabic script."""
    for code in ("fas", "prs", "pus", "urd", "ckb-Arab", "snd-Arab", "uig"):
        yield Case(ALIKE, f"NTREX, {code}", "ar", real.news(data, code), True)
    for code in ("ps", "ur", "ckb"):
        path = data / f"tico19-arabic-script/files/data/TM/all.en-{code}.tmx.gz"
        units = real.memory(path) if path.is_file() else []
        lines = [text for unit in units for language, text in unit if language.startswith(code)]
        yield Case(ALIKE, f"TICO-19, {code}", "ar", lines, True)
    for code in ("fa", "ur"):
        yield Case(ALIKE, f"lingua sentences, {code}", "ar", lingua(data, "sentences", code), True)
    for code in ("pes", "urd", "uig"):
        yield Case(ALIKE, f"LASER Tatoeba, {code}", "ar", laser(data, code), True)
    for code in ("fas", "urd"):
        lines = real.lines(data / f"{DECOYS}/eng-{code}/tatoeba-test-v2021-08-07.{code}")
        yield Case(ALIKE, f"Tatoeba decoys, {code}", "ar", lines, True)
    yield Case(ALIKE, "XED lines, fa", "ar", real.subtitles(data, "fa-projections"), True, doubt=SHARED)
    yield from both(STANDARD, data, "ar", 1)
    yield Case(STANDARD, "lingua sentences", "ar", lingua(data, "sentences", "ar"), False)
    labelled = real.dialects(data)
    for label in ("ara", "arq", "arz", "afb", "ary"):
        lines = [text for code, text in labelled if code == label]
        kind = STANDARD if label == "ara" else DIALECT
        yield Case(kind, f"Tatoeba, {label}", "ar", lines, False, DOUBTS.get(label, ""))
    for code in ("arz", "arq"):
        yield Case(DIALECT, f"LASER Tatoeba, {code}", "ar", laser(data, code), False, DOUBTS.get(code, ""))
    for name in ("jordinian", "Palestinian", "Lebanees"):
        yield Case(DIALECT, f"Shami, {name}", "ar", real.lines(data / f"shami-dialects/files/Data/{name}.txt"), False)


def both(kind: str, data: Path, keep: str, side: int) -> Iterator[Case]:
    """One side of the pairs that people translated."""
    for name in ("tatoeba", "tico", "ntrex", "mt_geneval") if side == 0 else ("tico", "ntrex", "mt_geneval"):
        pairs = {**real.GOOD, **real.OTHERS}[name](data)
        yield Case(kind, name, keep, [pair[side] for pair in pairs], False)


def laser(data: Path, code: str) -> list[str]:
    """Sentences of a language in LASER's Tatoeba."""
    return real.lines(data / f"laser-tatoeba/files/data/tatoeba/v1/tatoeba.{code}-eng.{code}")


def lingua(data: Path, kind: str, code: str) -> list[str]:
    """Sentences, words or pairs of words of lingua's tests."""
    return real.lines(data / f"lingua-testdata/files/{kind}/{code}.txt")


def written() -> Iterator[Case]:
    """Lines written here, of kinds of which the data has none or few."""
    some = [(ALIKE, "ar", True, LOOK_ALIKE), (OTHERS, "en", True, NEAR_ENGLISH), (DIALECT, "ar", False, DIALECTS)]
    some += [(ALIKE, "ar", True, {"Arabizi": ARABIZI}), (OTHERS, "en", True, {"Arabizi": ARABIZI})]
    for kind, keep, other, lines in some:
        together = [line for told in lines.values() for line in told.strip().split("\n")]
        yield Case(kind, f"written here: {', '.join(lines)}", keep, together, other, "too few for a goal")


LOOK_ALIKE = {
    "Persian": """
میشه لطفا در رو ببندی؟
امشب شام چی داریم؟
کتابم را در مدرسه جا گذاشتم.
این برنامه روی گوشی من اجرا نمی‌شود.
برای نصب نرم‌افزار، فایل را باز کنید.
باران از صبح زود شروع شده است.
قيمت اين ماشين چقدر است؟
پدرم هر روز روزنامه می‌خواند.
""",
    "Urdu": """
آج موسم بہت اچھا ہے۔
میرا بھائی لاہور میں رہتا ہے۔
کیا آپ چائے پئیں گے؟
یہ کتاب کس کی ہے؟
پاکستان کا دارالحکومت کیا ہے؟
مجھے کل صبح جلدی اٹھنا ہے۔
اس جملے کا ترجمہ کریں۔
""",
    "Pashto": """
ستا نوم څه دی؟
زه کور ته ځم.
هغه نن راغلی نه دی.
دا کتاب زما دی.
مهرباني وکړئ دا جمله وژباړئ.
د افغانستان پلازمېنه چېرته ده؟
""",
    "Sorani": """
ناوت چییە؟
من دەچمە ماڵەوە.
ئەمڕۆ هەوا زۆر خۆشە.
پایتەختی عێراق کوێیە؟
تکایە ئەم ڕستەیە وەربگێڕە.
سوپاس بۆ یارمەتییەکەت.
""",
    "Sindhi": """
توهان جو نالو ڇا آهي؟
مان گهر وڃان ٿو.
اڄ موسم تمام سٺي آهي.
هي ڪتاب منهنجو آهي.
ڪراچي سنڌ جو وڏو شهر آهي.
""",
    "Uyghur": """
سىزنىڭ ئىسمىڭىز نېمە؟
مەن ئۆيگە قايتىمەن.
بۈگۈن ھاۋا بەك ياخشى.
بۇ كىتاب مېنىڭ.
رەھمەت، ياخشىمۇسىز؟
""",
    "Ottoman": """
بو كتاب كيمڭدر؟
بن دون استانبوله كلدم.
سزه تشكر ايدرم افندم.
دولت عليهٔ عثمانيه نڭ پايتختى استانبولدر.
چوجق مكتبه كيديور.
بو كون هوا پك كوزل در.
""",
    "Malay in Jawi": """
نام ساي احمد دان ساي تيڠݢل د كوالا لومڤور.
اڤ خبر؟ خبر بايق.
ساي هندق ڤرݢي ك سكوله.
ڤرلمباݢاءن مليسيا اداله اوندڠ٢ ترتيڠݢي.
""",
}
NEAR_ENGLISH = {
    "Swedish": """
Vad gör du här?
Jag vet inte vad jag ska säga.
Kom nu, vi måste gå hem.
Det är inte mitt fel.
Hon sa nej.
Tack för hjälpen.
Vi ses i morgon.
Sluta!
Var är han?
Ta det lugnt.
""",
    "Norwegian": """
Hva gjør du her?
Jeg vet ikke hva jeg skal si.
Kom igjen, vi må hjem.
Det er ikke min feil.
Hun sa nei.
Takk for hjelpen.
Vi sees i morgen.
Slutt!
Hvor er han?
Ta det med ro.
""",
    "Dutch": """
Wat doe je hier?
Ik weet niet wat ik moet zeggen.
Kom op, we moeten naar huis.
Het is niet mijn schuld.
Ze zei nee.
Bedankt voor je hulp.
Tot morgen.
Hou op!
Waar is hij?
Doe rustig aan.
""",
    "German": """
Was machst du hier?
Ich weiß nicht, was ich sagen soll.
Komm schon, wir müssen nach Hause.
Es ist nicht meine Schuld.
Sie hat nein gesagt.
Danke für die Hilfe.
Bis morgen.
Hör auf!
Wo ist er?
Mach mal langsam.
""",
    "Icelandic": """
Hvað ertu að gera hér?
Ég veit ekki hvað ég á að segja.
Komdu, við verðum að fara heim.
Takk fyrir hjálpina.
Hvar er hann?
""",
    "Scots Gaelic and Welsh": """
Beth wyt ti'n ei wneud yma?
Dw i ddim yn gwybod.
Diolch am eich help.
Dè tha thu a' dèanamh an seo?
Chan eil fhios agam.
""",
    "Romanian": """
Ce faci aici?
Nu știu ce să spun.
Hai acasă.
Nu e vina mea.
Mulțumesc pentru ajutor.
""",
}
ARABIZI = """
sho 3am ta3mel hala2?
ana mesh 3aref a3mel eh
wallah ma ba3rif ya zalame
kifak enta lyom?
7abibi ana jay ba3d shway
inta fein dilwa2ti?
chwiya chwiya sa7bi, ma kayn mochkil
ma3lesh, bokra inshallah
"""
DIALECTS = {
    "Moroccan": """
واش كاين شي حد فالدار؟
بغيت نمشي للسوق دابا.
شحال ديال الفلوس خاصني؟
ما فهمت والو من هاد الهضرة.
غدا غادي نسافرو لمراكش.
علاش ما جيتيش البارح؟
خليني نكمل الخدمة ديالي.
""",
    "Tunisian": """
شنية الحكاية اليوم؟
نحب ناكل حاجة بنينة برشا.
وقتاش باش تجي للدار؟
ما نعرفش علاش هكا.
توا نكلمك، استنى شوية.
الطقس باهي ياسر اليوم.
""",
    "Sudanese and Yemeni": """
داير شنو يا زول؟
أنا ماشي البيت هسع.
كيف حالك يا أخوي، إن شاء الله طيب؟
أيش تشتي مني ذلحين؟
ما عاد به حاجة في البيت.
""",
    "Iraqi": """
شكو ماكو اليوم؟
وين رايح هسه؟
أريد أشتري تفاح من السوگ.
چان عندي امتحان البارحة.
هاي الشغلة كلش صعبة.
""",
    "with ha for ta marbuta": """
السياره الجديده واقفه قدام المدرسه
انا شايفه انها فكره كويسه
القهوه ساده ولا زياده
كانت سنه صعبه و طويله
الجامعه بعيده عن المدينه
و كمان الغرفه صغيره و ضيقه
""",
    "code beside Arabic": """
استخدم الدالة print() لطباعة النص على الشاشة.
الأمر git commit -m "message" يحفظ التغييرات.
اكتب دالة بلغة Python تحسب مجموع قائمة من الأعداد.
ما الفرق بين let و const في JavaScript؟
ثبّت الحزمة بالأمر npm install react ثم أعد التشغيل.
الخطأ TypeError: undefined is not a function يعني أن المتغير فارغ.
""",
}


if __name__ == "__main__":
    sys.exit(report({"language": findings}, __doc__ or ""))

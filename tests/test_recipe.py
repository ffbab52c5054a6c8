"""Wrong recipes: every fault of a file at once, with its place, what was found and what to do."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from hala_factory import catalog, recipe, validation
from hala_factory.errors import InputError
from hala_factory.models import recipe as models
from tests.workshop import Workshop

CATALOG = """\
sources:
  plain: {path: plain.jsonl, columns: alpaca, language: en, licence: MIT, sample: {path: plain.jsonl}}
  other: {path: other.jsonl, columns: alpaca, language: en, licence: MIT}
  pairs: {path: pairs.tsv, rows: pair, columns: {en: en, ar: ar}, language: [en, ar], licence: MIT}
models:
  translator: {path: model, engine: vllm, licence: MIT}
  answers: {path: answers.jsonl, engine: recorded, licence: MIT}
"""
HEAD = 'name: small\nkind: corpus\nversion: "1.0.0"\nlanguage: ar\n'
BODY = "sources: [{source: plain}]\n"

WRONG = [
    ("an unknown step", HEAD + BODY + "steps:\n  - step: lenght\n", "recipe.yaml:7:11: unknown step 'lenght'; did you mean 'length'?"),
    ("a step without its word", HEAD + BODY + "steps:\n  - min_chars: 3\n", "recipe.yaml:7:5: a step begins with 'step: ' and the name of a step"),
    ("an unknown field of a step", HEAD + BODY + "steps:\n  - step: length\n    min_char: 3\n", "recipe.yaml:8:5: unknown field 'min_char'; did you mean 'min_chars'?"),
    ("an unknown field of the recipe", HEAD + BODY + "stepz: []\n", "recipe.yaml:6:1: unknown field 'stepz'; did you mean 'steps'?"),
    ("a missing field", 'name: small\nkind: corpus\nversion: "1.0.0"\n' + BODY, "recipe.yaml:1:1: field 'language' is missing"),
    ("no sources", HEAD, "recipe.yaml:1:1: field 'sources' is missing"),
    ("a wrong kind", HEAD.replace("corpus", "corpse") + BODY, "recipe.yaml:2:7: kind: 'corpse' is not known; did you mean 'corpus'?"),
    ("a version that is a number", HEAD.replace('"1.0.0"', "1.0") + BODY, "recipe.yaml:3:10: version: expected text, found 1.0; put it in quotes"),
    ("a version of another form", HEAD.replace("1.0.0", "v1") + BODY, "recipe.yaml:3:10: version: expected a version, such as '1.2.3' or 'dev', found 'v1'"),
    ("an unknown source", HEAD + "sources: [{source: plane}]\n", "recipe.yaml:5:20: unknown source 'plane'; did you mean 'plain'?"),
    ("a source named twice", HEAD + "sources: [{source: plain}, {source: plain}]\n", "recipe.yaml:5:37: source 'plain' is named twice"),
    ("a limit of nought", HEAD + "sources: [{source: plain, limit: 0}]\n", "recipe.yaml:5:34: limit: expected at least 1, found 0"),
    ("a wrong type", HEAD + BODY + "steps:\n  - step: length\n    min_chars: many\n", "recipe.yaml:8:16: min_chars: expected a whole number, found 'many'"),
    ("pairs among instructions", HEAD + "sources: [{source: plain}, {source: pairs}]\n", "recipe.yaml:5:10: pair and instruction rows cannot be mixed; pair sources: pairs"),
    ("a text the rows do not have", HEAD + BODY + "steps:\n  - step: length\n    on: messages.usr\n", "recipe.yaml:8:9: the rows have no text 'messages.usr' here; did you mean 'messages.user'?"),
    ("a column that comes later", HEAD + BODY + "steps:\n  - step: numbers\n", "recipe.yaml:7:5: the rows have no text 'messages_en' here; did you mean 'messages'?"),
    ("two steps of one name", HEAD + BODY + "steps:\n  - step: length\n  - step: length\n", "recipe.yaml:8:11: two steps are called 'length': give one of them a 'name'"),
    ("a key given twice", HEAD + BODY + "name: again\n", "recipe.yaml:6:1: key 'name' is given twice"),
    ("no YAML", HEAD + "sources: [{source: plain}\n", "recipe.yaml:5:10: a '[' is opened here and not closed"),
    ("an empty file", "", "recipe.yaml:1:1: expected a mapping of fields, found nothing"),
    ("a list", "- a\n", "recipe.yaml:1:1: expected a mapping of fields, found a list"),
    ("an unknown model", HEAD + BODY + "steps:\n  - step: translate\n    to: ar\n    model: translater\n", "recipe.yaml:9:12: unknown model 'translater'; did you mean 'translator'?"),
    ("a prompt without the text", HEAD + BODY + "steps:\n  - step: translate\n    to: ar\n    model: translator\n    prompt: Translate\n", "recipe.yaml:10:13: prompt: expected {text} once, found it 0 times"),
    ("an unknown model in a profile", HEAD + BODY + "steps:\n  - {step: translate, to: ar, model: translator}\nprofiles:\n  demo:\n    models: {translator: answer}\n", "recipe.yaml:10:26: unknown model 'answer'; did you mean 'answers'?"),
    ("a model that no step asks", HEAD + BODY + "profiles:\n  demo:\n    models: {translator: answers}\n", "recipe.yaml:8:14: no step asks model 'translator'"),
    ("an unknown step in a profile", HEAD + BODY + "steps: [{step: length}]\nprofiles:\n  demo:\n    steps: {lenght: {min_chars: 1}}\n", "recipe.yaml:9:13: the recipe has no step called 'lenght'; did you mean 'length'?"),
    ("a wrong field in a profile's step", HEAD + BODY + "steps: [{step: length}]\nprofiles:\n  demo:\n    steps: {length: {min_chars: x}}\n", "recipe.yaml:9:33: min_chars: expected a whole number, found 'x'"),
    ("an unknown export", HEAD + BODY + "exports: [message]\n", "recipe.yaml:6:11: exports, item 1: 'message' is not known; did you mean 'messages'?"),
    ("conversations of pairs", HEAD + "sources: [{source: pairs}]\nexports: [conversations]\n", "recipe.yaml:6:11: pair rows have no conversations; they export as 'messages'"),
    ("a preferred source that is not there", HEAD + BODY + "steps:\n  - step: exact_dedup\n    prefer: [plane]\n", "recipe.yaml:8:13: the recipe has no source 'plane'; did you mean 'plain'?"),
    ("a name that is none", HEAD.replace("small", "My Corpus") + BODY, "recipe.yaml:1:7: name: expected lower-case letters, digits, '.', '_' and '-', found 'My Corpus'"),
    ("samples where there are none", HEAD + "sources: [{source: other}]\nprofiles: {demo: {sources: samples}}\n", "recipe.yaml:5:20: source 'other' has no sample in the catalog"),
    ("a step whose word is missing", HEAD + BODY + "steps: [{step: }]\n", "recipe.yaml:6:10: a step begins with 'step: ' and the name of a step"),
    ("a step whose word is a list", HEAD + BODY + "steps: [{step: [length]}]\n", "recipe.yaml:6:16: a step begins with 'step: ' and the name of a step"),
    ("a step that is only a word", HEAD + BODY + "steps: [length]\n", "recipe.yaml:6:9: steps, item 1: expected a mapping, found 'length'"),
    ("steps that are no list", HEAD + BODY + "steps: {length: {}}\n", "recipe.yaml:6:8: steps: expected a list, found a mapping"),
    ("no source at all", HEAD + "sources: []\n", "recipe.yaml:5:10: sources: expected at least 1, found an empty list"),
    ("a source that is only a word", HEAD + "sources: [plain]\n", "recipe.yaml:5:11: sources, item 1: expected a mapping, found 'plain'"),
    ("a source without its name", HEAD + "sources: [{limit: 3}]\n", "recipe.yaml:5:11: field 'source' is missing"),
    ("a limit that is no whole number", HEAD + "sources: [{source: plain, limit: 3.5}]\n", "recipe.yaml:5:34: limit: expected a whole number, found 3.5"),
    ("a condition of another type", HEAD + "sources: [{source: plain, where: {without_code: yes}}]\n", "recipe.yaml:5:34: without_code: expected true or false, found 'yes'"),
    ("a language that is none", HEAD + BODY + "steps: [{step: translate, to: Arabic, model: translator}]\n", "recipe.yaml:6:31: to: expected a language code, such as 'ar', found 'Arabic'"),
    ("a translation into its own language", HEAD + BODY + "steps: [{step: translate, to: ar, from: ar, model: translator}]\n", "recipe.yaml:6:31: 'to' and 'from' are both 'ar'"),
    ("a step without its model", HEAD + BODY + "steps: [{step: translate, to: ar}]\n", "recipe.yaml:6:9: field 'model' is missing"),
    ("a second translation", HEAD + BODY + "steps: [{step: translate, to: ar, model: translator}, {step: translate, name: again, to: ar, model: translator}]\n", "recipe.yaml:6:55: the rows have a column 'messages_en' already; name another one"),
    ("a language nobody can measure", HEAD + BODY + "steps: [{step: language, keep: [xx]}]\n", "recipe.yaml:6:32: the model has no language 'xx'; codes are like 'en', 'ar', 'arz'"),
    ("a score beyond one", HEAD + BODY + "steps: [{step: language, keep: [en], min_score: 7}]\n", "recipe.yaml:6:49: min_score: expected at most 1, found 7"),
    ("bounds that cross", HEAD + BODY + "steps: [{step: length, min_chars: 10, max_chars: 5}]\n", "recipe.yaml:6:50: max_chars: expected at least min_chars (10), found 5"),
    ("a name of a step that is none", HEAD + BODY + "steps: [{step: length, name: My Length}]\n", "recipe.yaml:6:30: name: expected lower-case letters, digits and '_', found 'My Length'"),
    ("a text that is none", HEAD + BODY + "steps: [{step: length, on: Messages}]\n", "recipe.yaml:6:28: on: expected a text of the rows, such as 'messages' or 'messages.user', found 'Messages'"),
    ("an export named twice", HEAD + BODY + "exports: [messages, messages]\n", "recipe.yaml:6:21: export 'messages' is named twice"),
    ("an unknown field of a profile", HEAD + BODY + "profiles: {demo: {limits: 3}}\n", "recipe.yaml:6:19: unknown field 'limits'; did you mean 'limit'?"),
    ("an empty profile", HEAD + BODY + "profiles: {demo: }\n", "recipe.yaml:6:12: demo: expected a mapping, found nothing"),
    ("an unknown source in a profile", HEAD + BODY + "profiles: {demo: {sources: [{source: plane}]}}\n", "recipe.yaml:6:38: unknown source 'plane'; did you mean 'plain'?"),
    ("another kind of step in a profile", HEAD + BODY + "steps: [{step: length}]\nprofiles: {demo: {steps: {length: {step: language}}}}\n", "recipe.yaml:7:36: a profile changes the fields of a step, not its kind"),
    ("a text that a profile names", HEAD + BODY + "steps: [{step: length}]\nprofiles: {demo: {steps: {length: {on: messages.usr}}}}\n", "recipe.yaml:7:40: the rows have no text 'messages.usr' here; did you mean 'messages.user'?"),
    ("a profile named by a number", HEAD + BODY + "steps: [{step: length}]\nprofiles: {1: {steps: {length: {min_char: 3}}}}\n", "recipe.yaml:7:33: unknown field 'min_char'; did you mean 'min_chars'?"),
    ("a tab", HEAD + BODY + "\tsteps: []\n", "recipe.yaml:6:1: a tab; indent with spaces"),
    ("an open quote", HEAD + "sources: \"plain\n", "recipe.yaml:5:10: a quote is opened here and not closed"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_a_wrong_recipe_is_told_with_its_place_and_what_to_do(workshop: Workshop, text: str, message: str) -> None:
    workshop.write("catalog.yaml", CATALOG)
    workshop.write("recipe.yaml", text)
    said = workshop.run("check", "recipe.yaml")
    assert said.code == 2
    assert said.err.splitlines() == [message]


def test_all_faults_of_a_file_are_told_at_once_in_the_order_of_the_file(workshop: Workshop) -> None:
    workshop.write("catalog.yaml", CATALOG)
    workshop.write(
        "recipe.yaml",
        HEAD.replace("corpus", "corpse") + "sources: [{source: plain, limit: x}]\nsteps:\n  - step: lenght\n",
    )
    assert workshop.run("check", "recipe.yaml").err.splitlines() == [
        "recipe.yaml:2:7: kind: 'corpse' is not known; did you mean 'corpus'?",
        "recipe.yaml:5:34: limit: expected a whole number, found 'x'",
        "recipe.yaml:7:11: unknown step 'lenght'; did you mean 'length'?",
    ]


def test_a_profile_that_is_not_there_is_an_error_with_the_nearest(workshop: Workshop) -> None:
    workshop.write("catalog.yaml", CATALOG)
    workshop.write("recipe.yaml", HEAD + BODY + "profiles: {demo: {}}\n")
    said = workshop.run("plan", "recipe.yaml", "--profile", "demos")
    assert (said.code, said.err) == (2, "recipe.yaml: there is no profile 'demos'; did you mean 'demo'?\n")


def test_the_committed_schema_is_the_one_of_the_code() -> None:
    root = Path(__file__).resolve().parents[1]
    assert (root / "recipes" / "recipe.schema.json").read_text(encoding="utf-8") == models.schema()


def test_every_committed_recipe_is_right_in_every_profile() -> None:
    root = Path(__file__).resolve().parents[1]
    loaded = catalog.load(root / "catalog.yaml")
    for file in sorted((root / "recipes").glob("*.yaml")):
        kind = models if "\nkind: model\n" in file.read_text(encoding="utf-8") else recipe
        for profile in (None, *kind.load(file, loaded).recipe.profiles):
            assert kind.load(file, loaded, profile).recipe.name == file.stem


def test_a_profile_changes_steps_limits_and_models(workshop: Workshop) -> None:
    workshop.write("catalog.yaml", CATALOG)
    text = HEAD + BODY + "steps: [{step: length, max_chars: 100}, {step: translate, to: ar, model: translator}]\n"
    profile = (
        "profiles: {demo: {version: dev, limit: 5, models: {translator: answers}, steps: {length: {max_chars: 9}}}}\n"
    )
    workshop.write("recipe.yaml", text + profile)
    ready = recipe.load(workshop.folder / "recipe.yaml", catalog.load(workshop.folder / "catalog.yaml"), "demo")
    assert ready.recipe.version == "dev"
    assert ready.recipe.sources[0].limit == 5
    assert getattr(ready.recipe.steps[0], "max_chars", None) == 9
    assert ready.model("translator")[0] == "answers"


def test_every_pattern_that_a_field_must_match_is_told_in_words() -> None:
    patterns = set(re.findall(r'"pattern": ("[^\n]+")', models.schema()))
    assert {json.loads(p) for p in patterns} == set(validation.FORMS)


def test_a_missing_recipe_file_is_named(workshop: Workshop) -> None:
    workshop.write("catalog.yaml", CATALOG)
    with pytest.raises(InputError, match=r"^absent\.yaml: no such file$"):
        recipe.load(Path("absent.yaml"), catalog.load(workshop.folder / "catalog.yaml"))

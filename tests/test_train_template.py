"""Conversations through chat templates in the styles of ChatML, Llama 3, Gemma and others: ids, and what is trained."""

from importlib.util import find_spec

import pytest

from hala_factory.train.template import tokens_of, tokens_of_all
from hala_factory.train.turns import TemplateFailure
from tests import chat_templates
from tests.chat_templates import (
    CHATML,
    CHATML_MARKED,
    DEFAULT_SYSTEM,
    END,
    ENDED,
    EOT,
    GEMMA,
    LLAMA,
    MACRO,
    NEEDS_SYSTEM,
    OTHERWISE,
    REASONING,
    SPACED,
)

pytestmark = [
    pytest.mark.train,
    pytest.mark.skipif(find_spec("transformers") is None, reason="needs the extra `train`"),
]

ONE = [{"role": "user", "content": "Name a river."}, {"role": "assistant", "content": "نهر النيل. The Nile"}]
TWO = [*ONE, {"role": "user", "content": "Another?"}, {"role": "assistant", "content": "The Rhine"}]
SYSTEM = {"role": "system", "content": "Be brief."}
THOUGHT = {"role": "assistant", "content": "<think>Rivers.</think>The Nile"}


@pytest.fixture(scope="module")
def tokenizer():
    return chat_templates.tokenizer()


def through(tokenizer, template):
    tokenizer.chat_template = template
    return tokenizer


def trained(tokenizer, messages):
    """The trained text, a string for each run of trained tokens."""
    found = tokens_of(tokenizer, messages)
    runs, before = [], False
    for token, learnt in zip(found.ids, found.trained, strict=True):
        if learnt:
            runs += [] if before else [[]]
            runs[-1].append(token)
        before = learnt
    return [tokenizer.decode(run) for run in runs]


@pytest.mark.parametrize(
    ("template", "messages", "expected"),
    [
        (CHATML, ONE, [f"نهر النيل. The Nile{END}"]),
        (CHATML, TWO, [f"نهر النيل. The Nile{END}", f"The Rhine{END}"]),
        (CHATML, [SYSTEM, *TWO], [f"نهر النيل. The Nile{END}", f"The Rhine{END}"]),
        (CHATML, TWO[:3], [f"نهر النيل. The Nile{END}"]),
        (CHATML, TWO[:1], []),
        (CHATML_MARKED, TWO, [f"نهر النيل. The Nile{END}", f"The Rhine{END}"]),
        (CHATML_MARKED, TWO[:1], []),
        (LLAMA, TWO, [f"نهر النيل. The Nile{EOT}", f"The Rhine{EOT}"]),
        (LLAMA, [ONE[0], {"role": "assistant", "content": "\n The Nile \n"}], [f"The Nile{EOT}"]),
        (GEMMA, TWO, [f"نهر النيل. The Nile{EOT}", f"The Rhine{EOT}"]),
        (DEFAULT_SYSTEM, ONE, [f"نهر النيل. The Nile{END}"]),
        (NEEDS_SYSTEM, [SYSTEM, *ONE], [f"نهر النيل. The Nile{END}"]),
        (REASONING, TWO, [f"نهر النيل. The Nile{END}", f"The Rhine{END}"]),
        (REASONING, [ONE[0], THOUGHT], [f"<think>Rivers.</think>The Nile{END}"]),
        (ENDED, TWO, [" نهر النيل. The Nile\n", f" The Rhine\n{END}"]),
        (CHATML, [ONE[0], {"role": "assistant", "content": ""}], [END]),
        (CHATML, [ONE[0], {"role": "assistant", "content": f"a {END} b"}], [f"a {END} b{END}"]),
        (CHATML, [ONE[0], ONE[1], ONE[1]], [f"نهر النيل. The Nile{END}"] * 2),
    ],
)
def test_trained_is_what_the_assistant_says_and_the_end_of_its_turn(tokenizer, template, messages, expected):
    assert trained(through(tokenizer, template), messages) == expected


@pytest.mark.parametrize(
    ("template", "messages", "kind", "told"),
    [
        (GEMMA, [SYSTEM, *ONE], "refused", "System role not supported"),
        (GEMMA, [ONE[1], ONE[0]], "refused", "roles must alternate"),
        (NEEDS_SYSTEM, ONE, "refused", "A system turn is needed"),
        (REASONING, [ONE[0], THOUGHT, *TWO[2:]], "rewritten", "up to message 2, the template writes"),
        (OTHERWISE, ONE, "prompt_differs", "asking for message 2, the template writes"),
        (MACRO, ONE, "misplaced", "message 2 is the assistant's"),
        (CHATML, [ONE[0], {"role": "assistant", "content": "\n\nb"}], "other_tokens", "before the answer '\\n\\nb"),
        (CHATML_MARKED, [ONE[0], {"role": "assistant", "content": "\n\nb"}], "other_tokens", "white space"),
        (
            SPACED,
            [ONE[0], {"role": "assistant", "content": "The Nile"}],
            "other_tokens",
            "before the answer 'The Nile",
        ),
        (CHATML, [ONE[0], {"role": "assistant", "content": None}], "broken", "message 2 has no role and text"),
        ("{{ messages[0].content.nothing() }}", ONE, "broken", "UndefinedError"),
        ("{% for %}", ONE, "broken", "TemplateSyntaxError"),
        (None, ONE, "no_template", "no chat template"),
    ],
)
def test_a_conversation_that_would_be_asked_other_than_it_is_learnt_fails_and_says_how(
    tokenizer, template, messages, kind, told
):
    with pytest.raises(TemplateFailure) as failed:
        tokens_of(through(tokenizer, template), messages)
    assert failed.value.kind == kind
    assert told in str(failed.value)


def test_a_tokenizer_that_reads_the_question_otherwise_once_an_answer_follows_is_told():
    from tokenizers import pre_tokenizers

    gpt2 = through(chat_templates.made_with(pre_tokenizers.ByteLevel(add_prefix_space=False)), LLAMA)
    with pytest.raises(TemplateFailure, match=r"is other tokens before the answer 'The Nile"):
        tokens_of(gpt2, [ONE[0], {"role": "assistant", "content": "The Nile"}])


@pytest.mark.parametrize("template", [CHATML, CHATML_MARKED, LLAMA, GEMMA])
def test_a_model_stands_before_exactly_the_tokens_it_was_trained_after(tokenizer, template):
    through(tokenizer, template)
    found = tokens_of(tokenizer, TWO)
    asked = tokenizer.apply_chat_template(TWO[:3], add_generation_prompt=True)["input_ids"]
    assert found.ids[: len(asked)] == asked
    assert found.trained[len(asked)]
    assert not found.trained[len(asked) - 1]
    assert found.ids == tokenizer.apply_chat_template(TWO)["input_ids"]
    assert found.ids.count(tokenizer.bos_token_id) == 1


def test_marks_are_read_as_transformers_reads_them(tokenizer):
    through(tokenizer, CHATML_MARKED)
    theirs = tokenizer.apply_chat_template(TWO, return_assistant_tokens_mask=True, return_dict=True)
    ours = tokens_of(tokenizer, TWO)
    assert (ours.ids, [int(t) for t in ours.trained]) == (theirs["input_ids"], theirs["assistant_masks"])


def test_marks_and_prefixes_agree(tokenizer):
    ways = [tokens_of(through(tokenizer, template), [SYSTEM, *TWO]) for template in (CHATML, CHATML_MARKED)]
    assert ways[0] == ways[1]


def test_many_conversations_are_what_each_is_alone(tokenizer):
    many = [ONE, [SYSTEM, *ONE], TWO, [ONE[1]], []]
    together = tokens_of_all(through(tokenizer, GEMMA), many)
    assert [getattr(t, "kind", None) for t in together] == [None, "refused", None, "refused", "broken"]
    assert [together[0], together[2]] == [tokens_of(tokenizer, ONE), tokens_of(tokenizer, TWO)]
    assert [t.kind for t in tokens_of_all(tokenizer, many[3:])] == ["refused", "broken"]

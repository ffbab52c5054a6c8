"""The client against a stand-in that misbehaves: what is retried, what is a row's fault, what ends the build."""

import asyncio
import json
import time

import pytest

from hala_factory.catalog import Model
from hala_factory.errors import BuildError, InputError
from hala_factory.generate import circuit, completion, connection
from hala_factory.generate.answers import Request
from hala_factory.generate.circuit import Endpoint
from hala_factory.generate.client import Address, ChatClient
from hala_factory.generate.connection import retry_after
from hala_factory.generate.engines import make_engine
from tests.stand_in_openai import StandIn, reversed_words

KEY = "sk-secret-0123456789"


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(circuit, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(circuit, "LONGEST_WAIT", 0.05)


def request(text="one two three", **changes):
    return Request((("user", text),), **{"temperature": 0.0, "max_tokens": 32, **changes})


def client(*servers, key=None, **options):
    addresses = [Address(s.url, key=key) for s in servers]
    return ChatClient("teacher", "tiny", addresses, **{"deadline": 2.0, "patience": 0.5, **options})


def asked(server, *texts, **options):
    """The answers of one server to these texts, asked all at once."""

    async def go():
        async with server, client(server, **options) as it:
            return await asyncio.gather(*(it.answer(request(t)) for t in texts or ["one two three"]))

    return asyncio.run(go())


def test_an_answer_comes_with_its_tokens_and_the_request_says_everything():
    server = StandIn()

    async def go():
        async with server, client(server, key=KEY) as it:
            asked = Request((("system", "be brief"), ("user", "one two")), 0.3, 32, 7)
            return await it.answer(asked), await it.answer(request())

    first, _ = asyncio.run(go())
    assert (first.text, first.finish_reason, first.prompt_tokens, first.output_tokens) == ("two one", "stop", 6, 2)
    assert server.seen[0] == {
        "model": "tiny",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "one two"}],
        "temperature": 0.3,
        "max_tokens": 32,
        "seed": 7,
    }
    assert "seed" not in server.seen[1]
    assert server.keys == {f"Bearer {KEY}"}


@pytest.mark.parametrize(
    "trouble", ["429", "500", "502", "503:0", "504", "garbage", "empty", "null", "no finish", "close"]
)
def test_trouble_that_passes_is_overcome(trouble):
    server = StandIn(script=[trouble, None, trouble, trouble])
    answers = asked(server, "a b", "c d")
    assert [a.text for a in answers] == ["b a", "d c"]
    assert len(server.seen) == 5


def test_an_attempt_that_hangs_is_given_up_and_made_again():
    server = StandIn(script=["hang"])
    assert asked(server, deadline=0.2)[0].text == "three two one"


@pytest.mark.parametrize("status", ["400", "413", "422"])
def test_a_refused_request_is_an_answer_of_its_row_at_once(status):
    server = StandIn(script=[status])
    (answer,) = asked(server)
    assert answer.finish_reason == "error"
    assert answer.error.startswith(f"HTTP {status}: status {status}")
    assert answer.final
    assert len(server.seen) == 1


@pytest.mark.parametrize("trouble", ["500", "garbage", "empty", "null", "no finish", "close"])
def test_a_request_that_never_comes_to_anything_is_a_failed_row_that_may_be_asked_again(trouble):
    server = StandIn(always=trouble)
    (answer,) = asked(server, patience=60, attempts=3)
    assert (answer.finish_reason, answer.final) == ("error", False)
    assert "the last of 3 attempts" in answer.error
    assert len(server.seen) == 3


def test_a_poisonous_text_fails_alone():
    server = StandIn(poison="poison")
    answers = asked(server, "a b", "poison", "c d", attempts=3)
    assert [a.text for a in answers] == ["b a", "", "d c"]


@pytest.mark.parametrize(
    ("word", "text", "reason"),
    [("length", "two one", "length"), ("thought", "", "length"), ("half a character", "a\ufffd\ufffd\ufffd", "stop")],
)
def test_odd_answers_are_taken_as_what_they_are(word, text, reason):
    (answer,) = asked(StandIn(script=[word]), "one two")
    assert (answer.text, answer.finish_reason) == (text, reason)


@pytest.mark.parametrize(
    ("status", "todo"), [("401", "check the key"), ("403", "check the key"), ("404", "name of the model")]
)
def test_a_wrong_key_or_model_ends_the_build_and_the_key_is_never_shown(status, todo):
    server = StandIn(always=status)
    with pytest.raises(BuildError) as e:
        asked(server, key=KEY)
    assert todo in str(e.value)
    assert f"127.0.0.1:{server.port}" in str(e.value)
    assert KEY not in str(e.value)
    assert "***" in str(e.value)
    assert len(server.seen) == 1


def test_an_address_shows_neither_password_nor_query():
    assert Endpoint("https://user:pass@example.org/v1?key=x").shown == "https://example.org/v1"


@pytest.mark.parametrize("always", ["429", "503", "500", "garbage"])
def test_endpoints_that_give_nothing_end_the_build_when_patience_does(always):
    server = StandIn(always=always)
    started = time.monotonic()
    with pytest.raises(BuildError, match="the endpoint has given nothing for") as e:
        asked(server, *"abcd", attempts=10_000)
    assert "every answer so far is stored, run the same command again to go on" in str(e.value)
    assert 0.5 < time.monotonic() - started < 5


def test_endpoints_that_are_not_there_end_the_build_when_patience_does():
    async def go():
        async with StandIn() as server:
            gone = server
        async with client(gone) as it:
            await it.answer(request())

    with pytest.raises(BuildError, match="no connection"):
        asyncio.run(go())


def test_a_server_that_refuses_everything_from_the_start_ends_the_build():
    with pytest.raises(BuildError, match="refused the first 20 requests: HTTP 400"):
        asked(StandIn(always="400"), *map(str, range(30)))


def test_refusals_after_an_answer_are_only_rows():
    server = StandIn(refuse="bad")

    async def go():
        async with server, client(server) as it:
            await it.answer(request("good"))
            return await asyncio.gather(*(it.answer(request(f"bad {n}")) for n in range(40)))

    assert {a.finish_reason for a in asyncio.run(go())} == {"error"}


def test_when_request_after_request_is_lost_the_build_ends():
    with pytest.raises(BuildError, match="20 requests one after another came to nothing"):
        asked(StandIn(always="500"), *map(str, range(30)), attempts=1, patience=60)


def test_requests_are_spread_over_endpoints_and_bounded_at_each():
    servers = [StandIn(delay=0.02), StandIn(delay=0.02)]

    async def go():
        async with servers[0], servers[1], client(*servers, start=4, most=4) as it:
            texts = [f"text {n}" for n in range(40)]
            return texts, await asyncio.gather(*(it.answer(request(t)) for t in texts))

    texts, answers = asyncio.run(go())
    assert [a.text for a in answers] == [reversed_words(t) for t in texts]
    assert [s.most_at_once for s in servers] == [4, 4]
    assert [s.connections for s in servers] == [4, 4]
    assert abs(len(servers[0].seen) - len(servers[1].seen)) <= 8


def test_requests_go_to_endpoints_by_their_weight():
    heavy, light = StandIn(delay=0.02), StandIn(delay=0.02)

    async def go():
        async with heavy, light:
            addresses = [Address(heavy.url, weight=3), Address(light.url, weight=1)]
            async with ChatClient("teacher", "tiny", addresses, start=12, most=12) as it:
                for n in range(20):  # less than there is room for
                    await asyncio.gather(*(it.answer(request(f"few {n} {m}")) for m in range(8)))
                few = len(heavy.seen), len(light.seen)
                await asyncio.gather(*(it.answer(request(f"many {n}")) for n in range(400)))
                return few

    assert asyncio.run(go()) == (120, 40)
    assert (heavy.most_at_once, light.most_at_once) == (12, 12)  # in the end: room counts, not weight alone


def test_every_endpoint_is_sent_its_own_key():
    one, other, open_to_all = StandIn(), StandIn(always="500"), StandIn()

    async def go():
        async with one, other, open_to_all:
            addresses = [Address(one.url, key="first"), Address(other.url, key="second"), Address(open_to_all.url)]
            async with ChatClient("teacher", "tiny", addresses, attempts=20) as it:
                await asyncio.gather(*(it.answer(request(str(n))) for n in range(30)))

    asyncio.run(go())
    assert (one.keys, other.keys, open_to_all.keys) == ({"Bearer first"}, {"Bearer second"}, {None})


def test_a_key_is_hidden_however_the_words_around_it_are_cut():
    for filler in range(150, 320):
        said = completion.said(json.dumps({"error": {"message": "x" * filler + KEY}}).encode(), KEY)
        assert KEY[:6] not in said
        with pytest.raises(completion.Failed) as e:
            completion.read(b"x" * filler + KEY.encode(), KEY)
        assert KEY[:6] not in str(e.value)


def test_a_key_is_in_no_representation():
    assert KEY not in repr(Endpoint("http://a/v1", key=KEY))
    assert KEY not in repr(Address("http://a/v1", key=KEY))


def test_a_server_with_little_room_gets_as_many_as_it_takes_and_every_answer_comes():
    server = StandIn(room=5, delay=0.01)
    answers = asked(server, *(f"text {n}" for n in range(600)), patience=60, start=32)
    assert [a.text for a in answers] == [reversed_words(f"text {n}") for n in range(600)]
    assert server.refused < 150


def test_a_server_that_takes_more_is_given_more():
    server = StandIn(delay=0.2)  # so long that a busy machine can keep up with many

    async def go():
        async with server, client(server, start=2, most=64) as it:
            before = it.capacity
            await asyncio.gather(*(it.answer(request(f"text {n}")) for n in range(400)))
            return before, it.capacity

    before, after = asyncio.run(go())
    assert before == 2
    assert min(after, server.most_at_once) > 4


def test_what_waits_is_sent_long_ones_first_and_each_once():
    server = StandIn(delay=0.01)
    texts = ["word " * n for n in (3, 40, 7, 90, 1, 20)]
    asked(server, *texts, start=1, most=1)
    assert [s["messages"][0]["content"] for s in server.seen] == sorted(texts, key=len, reverse=True)


def test_a_request_that_is_given_up_while_it_waits_takes_no_room():
    server = StandIn(delay=0.05)

    async def go():
        async with server, client(server, start=1, most=1) as it:
            tasks = [asyncio.create_task(it.answer(request(f"text {n:02}"))) for n in range(20)]
            await asyncio.sleep(0.02)
            for task in tasks[1:]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            return await it.answer(request("one two")), it.endpoints[0].busy

    answer, busy = asyncio.run(go())
    assert (answer.text, busy) == ("two one", 0)
    assert len(server.seen) == 2


def test_there_are_never_more_connections_than_the_system_has_files(monkeypatch):
    allowed = [1024, 4096]
    monkeypatch.setattr(connection.resource, "getrlimit", lambda _: tuple(allowed))
    monkeypatch.setattr(connection.resource, "setrlimit", lambda _, new: allowed.__setitem__(0, new[0]))
    assert connection.connections(600) == 600
    assert allowed[0] == 1024  # enough
    assert connection.connections(2000) == 2000
    assert connection.connections(10_000) == 4096 - connection.OTHER_FILES


def test_a_success_from_before_a_rest_does_not_end_it():
    endpoint = Endpoint("http://a/v1")
    endpoint.rest(began=5.0, now=10.0, down=True, wait=30.0)
    endpoint.works(began=9.0)
    assert not endpoint.room(now=11.0)
    endpoint.works(began=41.0)
    assert endpoint.room(now=41.0)


def test_an_endpoint_that_fails_rests_while_the_other_works():
    bad, good = StandIn(always="503"), StandIn()

    async def go():
        async with bad, good, client(bad, good, start=2) as it:
            return [(await it.answer(request(f"text {n}"))).text for n in range(50)]

    assert len(asyncio.run(go())) == 50
    assert len(bad.seen) < 15
    assert len(good.seen) == 50


def test_an_endpoint_that_comes_back_is_used_again():
    first, second = StandIn(), StandIn()

    async def go():
        await first.start()
        port = first.port
        async with second, client(first, second) as it:
            await first.stop()
            for n in range(10):
                await it.answer(request(f"text {n}"))
            await first.start(port)
            await asyncio.sleep(0.1)
            before = len(first.seen)
            await asyncio.gather(*(it.answer(request(f"more {n}")) for n in range(40)))
            await first.stop()
            return before

    before = asyncio.run(go())
    assert len(first.seen) > before


def test_a_wait_that_is_asked_for_is_kept():
    server = StandIn(script=["429:1"])
    started = time.monotonic()
    asked(server, patience=10)
    assert 1.0 <= time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, None), ("", None), ("2.5", 2.5), ("-3", 0), ("soon", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0)],
)
def test_a_retry_after_is_read_as_number_or_date(value, seconds):
    assert retry_after(value) == seconds


def test_a_key_comes_from_the_environment_or_its_absence_is_told(tmp_path, monkeypatch):
    model = Model(
        licence="unknown", engine="openai", endpoints=["http://127.0.0.1:9/v1"], model="tiny", api_key_env="SOME_KEY"
    )
    engine = make_engine("teacher", model, tmp_path, work=tmp_path)

    async def go():
        async with engine:
            pass

    monkeypatch.delenv("SOME_KEY", raising=False)
    with pytest.raises(InputError, match="SOME_KEY, which holds its key, is not set"):
        asyncio.run(go())
    monkeypatch.setenv("SOME_KEY", "مفتاح")
    with pytest.raises(InputError, match="cannot be a key") as e:
        asyncio.run(go())
    assert "مفتاح" not in str(e.value)


def test_an_endpoint_may_have_a_key_of_its_own_and_a_weight(tmp_path, monkeypatch):
    servers = [StandIn(), StandIn()]

    async def go():
        async with servers[0], servers[1]:
            endpoints = [{"url": servers[0].url, "key_env": "OWN_KEY", "weight": 2}, servers[1].url]
            model = Model(licence="unknown", engine="openai", endpoints=endpoints, model="tiny", api_key_env="ALL_KEY")
            async with make_engine("teacher", model, tmp_path, work=tmp_path) as engine:
                await asyncio.gather(*(engine.answer(request(str(n))) for n in range(30)))
                return [e.weight for e in engine._client.endpoints]

    monkeypatch.setenv("OWN_KEY", "own")
    monkeypatch.setenv("ALL_KEY", "all")
    assert asyncio.run(go()) == [2, 1]
    assert [s.keys for s in servers] == [{"Bearer own"}, {"Bearer all"}]
    monkeypatch.delenv("OWN_KEY")
    with pytest.raises(InputError, match="OWN_KEY, which holds its key, is not set"):
        asyncio.run(go())


@pytest.mark.parametrize("url", [f"https://me:{KEY}@example.org/v1", f"https://example.org/v1?key={KEY}"])
def test_an_address_with_a_secret_in_it_is_refused_and_not_repeated(url, tmp_path):
    model = Model(licence="unknown", engine="openai", endpoints=[url], model="tiny")
    with pytest.raises(InputError, match="user, password or query in its address") as e:
        make_engine("teacher", model, tmp_path, work=tmp_path)
    assert KEY not in str(e.value)


def test_an_endpoint_that_is_no_address_is_told(tmp_path):
    model = Model(licence="unknown", engine="openai", endpoints=["localhost:8000"], model="tiny")
    with pytest.raises(InputError, match="'localhost:8000' is no http"):
        make_engine("teacher", model, tmp_path, work=tmp_path)


def test_the_identity_of_endpoints_is_the_model_and_not_where_it_runs(tmp_path):
    def identity(**changes):
        fields = {"licence": "unknown", "engine": "openai", "endpoints": ["http://a/v1"], "hub": "example/m"}
        return make_engine("m", Model(**{**fields, **changes}), tmp_path, work=tmp_path).identity

    assert identity() == identity(endpoints=["http://b/v1"], api_key_env="X", model="served-name")
    assert identity() == identity(endpoints=[{"url": "http://b/v1", "weight": 3, "key_env": "Y"}], max_concurrency=7)
    assert identity() != identity(revision="abc")
    assert identity() != identity(quantisation="FP8_DYNAMIC")

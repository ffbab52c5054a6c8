"""The generation store: what was answered stays answered, whatever happens to the process or the disk."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pyarrow.parquet as pq
import pytest

from hala_factory.errors import BuildError
from hala_factory.generate import compaction, journal
from hala_factory.generate import segments as segment_files
from hala_factory.generate import store as generation_store
from hala_factory.generate.answers import Answer, ModelIdentity, Request
from hala_factory.generate.compaction import compact
from hala_factory.generate.locks import compacting, listing, unused
from hala_factory.generate.store import GenerationStore

MODEL = ModelIdentity("teacher", {"hub": "example/teacher", "revision": "abc"})


def ask(n, **changes):
    return Request((("user", f"question {n} مرحبا"),), **{"temperature": 0.0, "max_tokens": 64, **changes})


def reply(n):
    return Answer(f"جواب {n}\nwith a second line", "stop", 10 + n, 20 + n)


def fill(store, numbers):
    for n in numbers:
        store.put(ask(n).key(MODEL), ask(n), reply(n))


def stored(root, numbers):
    with GenerationStore(root, MODEL) as store:
        return [n for n in numbers if store.get(ask(n).key(MODEL)) == reply(n)]


def journals(root):
    return sorted((root / MODEL.folder).glob("journal-*"))


def segments(root):
    return sorted((root / MODEL.folder).glob("segment-*"))


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({}, True),
        ({"text": "the bare text"}, True),
        ({"temperature": 0.3}, False),
        ({"max_tokens": 65}, False),
        ({"seed": 0}, False),
        ({"schema": "{}"}, False),
        ({"messages": (("system", "question 1 مرحبا"),)}, False),
    ],
)
def test_a_key_is_decided_by_messages_and_sampling(changed, same):
    fields = {"messages": (("user", "question 1 مرحبا"),), "temperature": 0.0, "max_tokens": 64} | changed
    assert (Request(**fields).key(MODEL) == ask(1).key(MODEL)) is same


def test_a_key_is_decided_by_the_models_identity_and_not_by_its_name():
    other = ModelIdentity("teacher", {"hub": "example/teacher", "revision": "def"})
    renamed = ModelIdentity("other", dict(MODEL.content))
    assert ask(1).key(other) != ask(1).key(MODEL) == ask(1).key(renamed)


def test_a_message_without_text_is_no_request():
    with pytest.raises(TypeError, match="role 'user' has no text"):
        Request((("user", None),), 0.0, 10)


def test_an_answer_is_found_before_and_after_it_becomes_part_of_a_segment(tmp_path):
    with GenerationStore(tmp_path, MODEL, segment_rows=10) as store:
        fill(store, range(25))
        assert [n for n in range(26) if store.get(ask(n).key(MODEL)) == reply(n)] == list(range(25))
        assert len(store) == 25
        assert len(segments(tmp_path)) == 2
    assert stored(tmp_path, range(26)) == list(range(25))
    assert not journals(tmp_path)


def test_a_hit_is_verified_by_the_whole_key(tmp_path):
    key = ask(1).key(MODEL)
    near = key[:16] + "".join("0" if c != "0" else "1" for c in key[16:])
    with GenerationStore(tmp_path, MODEL, segment_rows=1) as store:
        store.put(near, ask(2), reply(2))
        assert store.get(key) is None
        store.put(key, ask(1), reply(1))
        assert (store.get(key), store.get(near)) == (reply(1), reply(2))


def test_a_segment_tells_prompt_sampling_answer_and_time(tmp_path):
    with GenerationStore(tmp_path, MODEL) as store:
        store.put(ask(1).key(MODEL), ask(1, seed=7), Answer("", "error", error="HTTP 400: too long"))
    (row,) = pq.read_table(segments(tmp_path)[0]).to_pylist()
    assert abs(row.pop("time").timestamp() - time.time()) < 60
    assert row == {
        "key": ask(1).key(MODEL),
        "messages": [{"role": "user", "content": "question 1 مرحبا"}],
        "temperature": 0.0,
        "max_tokens": 64,
        "seed": 7,
        "answer": "",
        "finish_reason": "error",
        "prompt_tokens": 0,
        "output_tokens": 0,
        "error": "HTTP 400: too long",
        "schema": None,
    }
    assert json.loads((tmp_path / MODEL.folder / "model.json").read_text())["identity"] == MODEL.content


def test_of_two_answers_the_first_in_time_counts_and_a_refusal_only_alone(tmp_path):
    key = ask(1).key(MODEL)
    refusal = Answer("", "error", error="HTTP 400: too long")
    one, two = GenerationStore(tmp_path, MODEL), GenerationStore(tmp_path, MODEL)
    one.put(key, ask(1), refusal)
    time.sleep(0.01)
    two.put(key, ask(1), reply(1))
    time.sleep(0.01)
    one.put(ask(2).key(MODEL), ask(2), reply(3))
    time.sleep(0.01)
    two.put(ask(2).key(MODEL), ask(2), reply(4))
    two.close()
    one.close()
    with GenerationStore(tmp_path, MODEL) as store:
        assert store.get(key) == reply(1)
        assert store.get(ask(2).key(MODEL)) == reply(3)


def test_what_a_dead_writer_left_is_found_and_what_a_living_one_writes_is_left_alone(tmp_path):
    living = GenerationStore(tmp_path, MODEL)
    fill(living, [1])
    dead = GenerationStore(tmp_path, MODEL)
    fill(dead, [2])
    dead._journal.release()  # as the kernel does for a killed process
    assert stored(tmp_path, [1, 2]) == [2]
    assert len(journals(tmp_path)) == 1
    living.close()
    assert stored(tmp_path, [1, 2]) == [1, 2]


def test_a_crash_between_segment_and_journal_doubles_nothing(tmp_path):
    store = GenerationStore(tmp_path, MODEL)
    fill(store, range(3))
    left = journals(tmp_path)[0]
    content = left.read_bytes()
    store.close()
    left.write_bytes(content)
    with GenerationStore(tmp_path, MODEL) as again:
        assert len(again) == 3
    assert not journals(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: [*lines[:-1], lines[-1][:20]],
        lambda lines: [lines[0], lines[1][:-9], *lines[2:]],
        lambda lines: [lines[0], lines[1].replace(b"second", b"zecond"), *lines[2:]],
        lambda lines: [lines[0], b"\0" * 50 + b"\n", *lines[2:]],
    ],
    ids=["torn at the end", "torn in the middle", "altered", "zeroes"],
)
def test_a_torn_line_hides_no_other(tmp_path, damage):
    store = GenerationStore(tmp_path, MODEL)
    fill(store, range(4))
    store._journal.release()
    (journal,) = journals(tmp_path)
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(damage(lines)))
    lost = 3 if damage(lines)[:-1] == lines[:-1] else 1
    assert stored(tmp_path, range(4)) == [n for n in range(4) if n != lost]


@pytest.mark.parametrize("keep", [0, 100, -1], ids=["empty", "cut", "last byte missing"])
def test_a_torn_segment_is_named(tmp_path, keep):
    with GenerationStore(tmp_path, MODEL) as store:
        fill(store, range(50))
    (segment,) = segments(tmp_path)
    segment.write_bytes(segment.read_bytes()[:keep])
    with pytest.raises(BuildError, match=f"{segment.name}: a torn or corrupt segment"):
        GenerationStore(tmp_path, MODEL)


def test_an_altered_byte_in_a_segment_is_named_and_never_read_as_text(tmp_path):
    with GenerationStore(tmp_path, MODEL) as store:
        fill(store, range(50))
    (segment,) = segments(tmp_path)
    content = bytearray(segment.read_bytes())
    with pq.ParquetFile(segment) as file:
        answers = file.metadata.row_group(0).column(file.schema.names.index("answer"))
        content[answers.data_page_offset + answers.total_compressed_size // 2] ^= 1
    segment.write_bytes(content)
    with GenerationStore(tmp_path, MODEL) as store, pytest.raises(BuildError, match=segment.name):
        store.get(ask(1).key(MODEL))


def test_a_folder_of_another_model_is_refused(tmp_path):
    GenerationStore(tmp_path, MODEL).close()
    record = tmp_path / MODEL.folder / "model.json"
    record.write_text(record.read_text().replace(MODEL.fingerprint, "0" * 64))
    with pytest.raises(BuildError, match="another model"):
        GenerationStore(tmp_path, MODEL)


WRITER = """
    import sys
    from pathlib import Path
    sys.path.append({tests!r})
    from test_generate_store import *
    root, start, count, rows = Path(sys.argv[1]), *map(int, sys.argv[2:5])
    with GenerationStore(root, MODEL, segment_rows=rows) as store:
        for n in range(start, start + count):
            fill(store, [n])
            print(n, flush=True)  # the caller has been given the answer
"""


def writer(tmp_path, start, count, rows=7, limit=None):
    script = textwrap.dedent(WRITER).format(tests=os.path.dirname(__file__))
    return subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path), str(start), str(count), str(rows)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limit,
    )


@pytest.mark.slow
def test_killed_at_any_moment_a_writer_loses_nothing_that_was_answered(tmp_path):
    chance, told = random.Random(5), 0
    for _ in range(6):
        process = writer(tmp_path, told, 10_000)
        stop_after = chance.randrange(1, 40)
        for line in process.stdout:
            told = int(line) + 1
            stop_after -= 1
            if stop_after <= 0:
                time.sleep(chance.random() * 0.01)
                process.send_signal(signal.SIGKILL)
                break
        told = max([told, *(int(line) + 1 for line in process.stdout.read().split())])
        process.wait()
        process.stdout.close()
        process.stderr.close()
        assert stored(tmp_path, range(told)) == list(range(told))


def test_several_processes_write_one_store(tmp_path):
    processes = [writer(tmp_path, start, 100) for start in (0, 100, 200)]
    for process in processes:
        out, errors = process.communicate(timeout=60)
        assert len(out.split()) == 100, errors
    assert stored(tmp_path, range(301)) == list(range(300))


def test_a_full_disk_is_said_and_what_was_answered_stays(tmp_path):
    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000))

    out, errors = writer(tmp_path, 0, 1_000, 1_000, small_files).communicate(timeout=60)
    told = [int(n) for n in out.split()]
    assert "BuildError" in errors
    assert "the disk is full; free some space and run the same command again" in errors
    assert len(told) > 10
    assert stored(tmp_path, range(len(told) + 5)) == told


def test_a_disk_that_fills_while_a_segment_is_written_leaves_the_journal(tmp_path, monkeypatch):
    store = GenerationStore(tmp_path, MODEL)
    fill(store, range(5))

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pq.ParquetWriter, "write_table", full)
        with pytest.raises(BuildError, match="No space left on device"):
            store.close()
    assert not segments(tmp_path)
    assert not list((tmp_path / MODEL.folder).glob(".tmp-*"))
    assert stored(tmp_path, range(6)) == list(range(5))


def test_a_short_write_leaves_no_torn_line_behind(tmp_path, monkeypatch):
    store = GenerationStore(tmp_path, MODEL)
    fill(store, [0])
    real, calls = os.write, []

    def filling(handle, data):
        calls.append(len(data))
        if len(calls) == 1:
            return real(handle, data[:10])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", filling)
        with pytest.raises(BuildError, match="the disk is full"):
            fill(store, [1])
    fill(store, [2])
    assert store.get(ask(2).key(MODEL)) == reply(2)
    assert store.get(ask(1).key(MODEL)) is None
    store.close()
    assert stored(tmp_path, range(3)) == [0, 2]


# ---- Compaction ----


def small_segments(root, count, rows=3):
    """`count` segments of `rows` answers each, as so many interrupted builds leave them; no compaction."""
    for n in range(count):
        store = GenerationStore(root, MODEL)
        fill(store, range(n * rows, (n + 1) * rows))
        store._turn_over()
        store._release()


def test_many_small_segments_become_one_at_the_close_that_makes_them_many(tmp_path):
    small_segments(tmp_path, compaction.MANY - 1)
    with GenerationStore(tmp_path, MODEL) as store:
        assert len(segments(tmp_path)) == compaction.MANY - 1
        fill(store, range(100, 103))
    assert len(segments(tmp_path)) == 1
    with GenerationStore(tmp_path, MODEL) as store:
        assert len(store) == 3 * compaction.MANY
    known = [*range(3 * (compaction.MANY - 1)), *range(100, 103)]
    assert stored(tmp_path, range(104)) == known


def test_the_number_of_segments_grows_with_the_logarithm_of_the_answers(tmp_path, monkeypatch):
    monkeypatch.setattr(generation_store, "MANY", 4)
    most = 0
    for n in range(50):
        with GenerationStore(tmp_path, MODEL) as store:
            fill(store, [n])
        most = max(most, len(segments(tmp_path)))
    assert most <= 2 * 4
    assert stored(tmp_path, range(51)) == list(range(50))


def test_a_merged_segment_has_full_row_groups_in_the_order_in_which_the_answers_came(tmp_path):
    small_segments(tmp_path, 3, 300)
    assert compact(tmp_path / MODEL.folder, many=2) == compaction.Done(3, 1)
    (segment,) = segments(tmp_path)
    with pq.ParquetFile(segment) as file:
        assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [256, 256, 256, 132]
        assert file.read(["key"])["key"].to_pylist() == [ask(n).key(MODEL) for n in range(900)]
    assert compact(tmp_path / MODEL.folder, many=2) == compaction.Done()


def test_a_large_segment_is_left_as_it_is(tmp_path, monkeypatch):
    small_segments(tmp_path, 3, 10)
    large = segments(tmp_path)[0]
    small_segments(tmp_path, 2, 5)
    monkeypatch.setattr(compaction, "LARGE_ROWS", 10)
    assert compact(tmp_path / MODEL.folder, many=2) == compaction.Done(2, 1)
    assert large in segments(tmp_path)


def test_a_merge_keeps_the_first_answer_and_a_refusal_only_alone(tmp_path):
    test_of_two_answers_the_first_in_time_counts_and_a_refusal_only_alone(tmp_path)
    with GenerationStore(tmp_path, MODEL) as store:
        store.put(ask(3).key(MODEL), ask(3), Answer("", "error", error="HTTP 400: too long"))
    compact(tmp_path / MODEL.folder, many=2)
    with GenerationStore(tmp_path, MODEL) as store:
        assert len(store) == 3
        assert store.get(ask(1).key(MODEL)) == reply(1)
        assert store.get(ask(2).key(MODEL)) == reply(3)
        assert store.get(ask(3).key(MODEL)).error == "HTTP 400: too long"


def test_a_reader_finds_its_answers_in_the_merged_segment(tmp_path, monkeypatch):
    small_segments(tmp_path, 20)
    with GenerationStore(tmp_path, MODEL) as reader:
        reader.put(ask(1000).key(MODEL), ask(1000), reply(1000))
        assert reader.get(ask(0).key(MODEL)) == reply(0)  # one segment is open, the others are not
        compact(tmp_path / MODEL.folder, many=2)
        assert all(reader.get(ask(n).key(MODEL)) == reply(n) for n in [*range(60), 1000])
        assert len(reader) == 61


@pytest.mark.parametrize("moment", ["before the merged one stands", "before the others go", "while the others go"])
def test_a_crash_in_a_compaction_loses_and_doubles_nothing(tmp_path, monkeypatch, moment):
    small_segments(tmp_path, 5)
    real, removed = type(tmp_path).unlink, []

    def dies(path, *args, **kwargs):
        if path.name.startswith("segment-"):
            removed.append(path)
            if len(removed) > (1 if moment == "while the others go" else 0):
                raise KeyboardInterrupt
        return real(path, *args, **kwargs)

    def dies_early(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if moment == "before the merged one stands":
            patch.setattr(type(tmp_path), "replace", dies_early)
        else:
            patch.setattr(type(tmp_path), "unlink", dies)
        with pytest.raises(KeyboardInterrupt):
            compact(tmp_path / MODEL.folder, many=2)
    assert len(segments(tmp_path)) == {"before the merged one stands": 5, "before the others go": 6}.get(moment, 5)
    with GenerationStore(tmp_path, MODEL) as store:
        assert len(store) == 15
    assert stored(tmp_path, range(16)) == list(range(15))
    compact(tmp_path / MODEL.folder, many=2)
    assert len(segments(tmp_path)) == 1
    assert stored(tmp_path, range(16)) == list(range(15))


def test_one_process_at_a_time_compacts_and_the_other_goes_on(tmp_path):
    small_segments(tmp_path, 4)
    with compacting(tmp_path / MODEL.folder) as ours:
        assert ours
        assert compact(tmp_path / MODEL.folder, many=2) == compaction.Done()
    assert len(segments(tmp_path)) == 4


def test_a_segment_that_comes_while_a_compaction_looks_around_is_none_of_its_business(tmp_path, monkeypatch):
    small_segments(tmp_path, 4)
    late, real = [], segment_files.replaced_by

    def slow(file):
        if not late:
            late.append(1)
            small_segments(tmp_path / "late", 1, 2)
            (segment,) = segments(tmp_path / "late")
            segment.rename(tmp_path / MODEL.folder / "segment-000000000000.parquet")
        return real(file)

    monkeypatch.setattr(segment_files, "replaced_by", slow)
    compact(tmp_path / MODEL.folder, many=2)
    assert len(segments(tmp_path)) == 2
    assert stored(tmp_path, range(12)) == list(range(12))


def test_no_segment_goes_while_somebody_lists_them(tmp_path):
    small_segments(tmp_path, 4)
    before = segments(tmp_path)
    with listing(tmp_path / MODEL.folder):
        other = threading.Thread(target=compact, args=(tmp_path / MODEL.folder,), kwargs={"many": 2})
        other.start()
        while len(segments(tmp_path)) == 4:
            time.sleep(0.01)
        time.sleep(0.05)
        assert set(before) < set(segments(tmp_path))
    other.join()
    assert len(segments(tmp_path)) == 1


CHURN = """
    import sys
    from pathlib import Path
    sys.path.append({tests!r})
    from test_generate_store import *
    root, start, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    compaction.MANY = 3
    for n in range(start, start + count):
        with GenerationStore(root, MODEL) as store:
            fill(store, [n])
            missing = [m for m in range(start, n + 1) if store.get(ask(m).key(MODEL)) != reply(m)]
        assert not missing, missing
        compact(root / MODEL.folder, many=3)
        print(n, flush=True)
"""


@pytest.mark.slow
def test_writers_and_compactions_killed_in_the_middle_lose_nothing(tmp_path):
    chance = random.Random(7)
    script = textwrap.dedent(CHURN).format(tests=os.path.dirname(__file__))
    told = {0: 0, 1000: 1000, 2000: 2000}
    for _ in range(4):
        processes = {
            start: subprocess.Popen(
                [sys.executable, "-c", script, str(tmp_path), str(n), "400"], stdout=subprocess.PIPE, text=True
            )
            for start, n in told.items()
        }
        for process in processes.values():
            process.stdout.readline()
        time.sleep(chance.random() * 1.5)
        for process in processes.values():
            process.send_signal(signal.SIGKILL)
        for start, process in processes.items():
            lines = process.stdout.read().split()
            process.stdout.close()
            assert process.wait() == -signal.SIGKILL
            told[start] = max([told[start] + 1, *(int(n) + 1 for n in lines)])
    for start, end in told.items():
        assert stored(tmp_path, range(start, end)) == list(range(start, end))
    compact(tmp_path / MODEL.folder, many=2)
    assert len(segments(tmp_path)) == 1
    assert sum(len(stored(tmp_path, range(start, end))) for start, end in told.items()) > 20


def test_what_a_journal_holds_is_on_the_disk_within_seconds(tmp_path, monkeypatch):
    synced, real = [], os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda handle: synced.append(real(handle)))
    monkeypatch.setattr(journal, "SYNCED_EVERY", 0.05)
    with GenerationStore(tmp_path, MODEL) as store:
        fill(store, range(10))
        first = len(synced)
        time.sleep(0.06)
        fill(store, range(10, 20))
        assert first < len(synced) < 12


def test_a_folder_in_use_is_told_from_one_that_is_not(tmp_path):
    store = GenerationStore(tmp_path, MODEL)
    with unused(store.folder) as free:
        assert not free
    store.close()
    with unused(store.folder) as free:
        assert free


def test_a_model_renamed_in_the_catalog_keeps_its_answers(tmp_path):
    with GenerationStore(tmp_path, MODEL) as store:
        fill(store, [1])
    with GenerationStore(tmp_path, ModelIdentity("renamed", dict(MODEL.content))) as store:
        assert store.get(ask(1).key(MODEL)) == reply(1)

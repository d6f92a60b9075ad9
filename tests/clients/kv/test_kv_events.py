"""What an index of our cache reads, with the very sockets and structures that it would use for vLLM."""

import itertools
import json
import os

import pytest
import zmq
from events import AllBlocksCleared, Batch, BatchOfArrays, BlockRemoved, BlockStored, eventually, reader, replay
from rehearsal import MODEL, free_port, in_threads, server

CACHE = ["--enable-kvcache", "--kv-cache-size", "16", "--block-size", "16"]
# Nothing is held back to fill a message.
SMALL = [*CACHE, "--event-batch-size", "1"]
DEVELOPER = {"VLLM_SERVER_DEV_MODE": "1"}


def greet(subject, events, fresh=itertools.count(10_000_000)):
    """Lets a subscription arrive: one prompt after the other, until an event of one was read."""

    def is_heard():
        subject.complete([next(fresh) for _ in range(17)])
        return events.read(0.3)

    eventually(is_heard)
    events.read_until_quiet()
    events.batches.clear()


@pytest.mark.parametrize("batch, flags", [(Batch, []), (BatchOfArrays, ["--no-use-vllm-map-event-format"])])
def test_stored_removed_and_cleared_are_decoded(batch, flags):
    port = free_port()
    with (
        server(*SMALL, *flags, "--zmq-endpoint", f"tcp://*:{port}", "--lora-modules", "ada=/p", env=DEVELOPER) as subject,
        reader(f"tcp://127.0.0.1:{port}", batch=batch) as events,
    ):
        greet(subject, events)
        subject.post("/reset_prefix_cache", {})
        prompt = list(range(100, 140))
        subject.complete(prompt)
        subject.complete([*prompt, *range(200, 208)], cache_salt="pepper", model="ada")
        subject.complete(list(range(1000, 1200)))
        assert subject.post("/reset_prefix_cache", {}) == {"success": True}
        cleared, plain, salted, *rest, last = events.read_until_quiet()
        assert isinstance(cleared, AllBlocksCleared) and isinstance(last, AllBlocksCleared)
        assert isinstance(plain, BlockStored)
        assert (plain.token_ids, plain.block_size, plain.medium) == (prompt[:32], 16, "GPU")
        assert len(plain.block_hashes) == 2 and plain.parent_block_hash is None
        assert (plain.lora_id, plain.lora_name, plain.extra_keys) == (None, None, [None, None])
        assert (plain.group_idx, plain.kv_cache_spec_kind) == (0, "full_attention")
        assert (salted.lora_id, salted.lora_name) == (1, "ada")
        assert salted.extra_keys == [["ada", "pepper"], ["ada"], ["ada"]]
        assert not set(salted.block_hashes) & set(plain.block_hashes)
        # 16 blocks, 5 of them full; 13 for the last prompt, of which 11 were free: the oldest two go, deepest first.
        removed = [event.block_hashes for event in rest if isinstance(event, BlockRemoved)]
        assert removed == [[plain.block_hashes[1]], [plain.block_hashes[0]]]
        assert [event.parent_block_hash for event in rest if isinstance(event, BlockStored)] == [None]
        assert events.topics == {f"kv@10.0.0.7:{subject.port}@{MODEL}"}
        assert {batch.data_parallel_rank for batch in events.batches} == {0}


def test_an_answer_goes_on_where_its_prompt_ended():
    port = free_port()
    with (
        server(*SMALL, "--zmq-endpoint", f"tcp://*:{port}") as subject,
        reader(f"tcp://127.0.0.1:{port}") as events,
    ):
        greet(subject, events)
        subject.complete(list(range(100, 120)), max_tokens=30, ignore_eos=True)
        prompt, *answer = events.read_until_quiet()
        stored = [event for event in answer if isinstance(event, BlockStored)]
        hashes = [*prompt.block_hashes, *(hash for event in stored for hash in event.block_hashes)]
        assert [event.parent_block_hash for event in stored] == [hashes[hashes.index(event.block_hashes[0]) - 1] for event in stored]
        # 20 tokens of prompt and 29 of the answer were computed: three full blocks.
        assert len(hashes) == 3 and stored[0].token_ids[:4] == [116, 117, 118, 119]


def test_numbers_have_no_gap_under_load_and_what_was_missed_is_replayed():
    port, replay_port = free_port(), free_port()
    address = f"tcp://127.0.0.1:{replay_port}"
    endpoints = ["--zmq-endpoint", f"tcp://*:{port}", "--kv-events-replay-endpoint", f"tcp://*:{replay_port}"]
    flags = ["--kv-cache-size", "256", "--max-num-seqs", "8", "--kv-events-replay-queue-size", "100000"]
    with server(*SMALL, *endpoints, *flags) as subject, reader(f"tcp://127.0.0.1:{port}") as events:
        greet(subject, events)

        def client(number):
            for at in range(100):
                first = 1000 * (at * 8 + number)
                subject.complete(list(range(first, first + 100)), max_tokens=40)

        in_threads(8, client)
        events.read_until_quiet()
        first, last = events.sequences[0], events.sequences[-1]
        assert events.sequences == list(range(first, last + 1))
        assert len(events.sequences) > 100
        everything = replay(address, 0)
        assert [sequence for sequence, _ in everything] == list(range(last + 1)), "from 0, without a gap"
        missed = replay(address, last - 6)
        assert missed == everything[last - 6 :]
        assert replay(address, last + 1) == []
        assert replay(address, 3, kind=zmq.REQ)[0] == everything[3]
        decoded = [events.decoder.decode(payload) for _, payload in everything[first:]]
        assert [batch.events for batch in decoded[-len(events.batches) :]] == [batch.events for batch in events.batches]
        assert subject.metric("rehearsal_kv_events_dropped_total") == 0


def test_a_subscriber_that_asks_and_never_reads_holds_up_no_other():
    replay_port = free_port()
    address = f"tcp://127.0.0.1:{replay_port}"
    flags = ["--zmq-endpoint", f"tcp://*:{free_port()}", "--kv-events-replay-endpoint", f"tcp://*:{replay_port}"]
    with server(*SMALL, *flags) as subject:
        for at in range(200):
            subject.complete(list(range(at * 1000, at * 1000 + 250)))
        expected = replay(address, 0)
        assert len(expected) > 200
        context = zmq.Context()
        try:
            slow = context.socket(zmq.DEALER)
            slow.setsockopt(zmq.RCVHWM, 1)
            slow.setsockopt(zmq.RCVBUF, 1024)
            slow.connect(address)
            for _ in range(300):
                slow.send_multipart([b"", bytes(8)])
            # What the last request did may have been told after it was answered.
            assert replay(address, 0)[: len(expected)] == expected
            subject.complete([1, 2, 3])
        finally:
            context.destroy(linger=0)


def resident(subject):
    """Bytes of memory that the server has."""
    with open(f"/proc/{subject.process.pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_subscriber_that_never_reads_is_bounded_and_holds_up_no_other():
    port = free_port()
    config = {"enable_kv_cache_events": True, "endpoint": f"tcp://*:{port}", "topic": "kv@me", "hwm": 20_000}
    flags = ["--kv-events-config", json.dumps(config), "--event-batch-size", "1", "--kv-cache-size", "4000"]
    with server(*flags, "--block-size", "16", "--max-model-len", "70000") as subject, reader(f"tcp://127.0.0.1:{port}") as events:
        greet(subject, events)
        context = zmq.Context()
        try:
            stalled = context.socket(zmq.SUB)
            for option in (zmq.RCVHWM, zmq.RCVBUF):
                stalled.setsockopt(option, 1)
            stalled.setsockopt(zmq.SUBSCRIBE, b"")
            stalled.connect(f"tcp://127.0.0.1:{port}")
            eventually(lambda: subject.metric("rehearsal_kv_event_subscribers") == 2)
            subject.complete(range_of(0))
            before = resident(subject)
            for at in range(1, 15):
                subject.complete(range_of(at))
                while events.read(0.1):
                    pass
            events.read_until_quiet()
            first, last = events.sequences[0], events.sequences[-1]
            assert events.sequences == list(range(first, last + 1)), "the other one has lost nothing"
            assert subject.metric("rehearsal_kv_event_messages_dropped_total") > 0
            assert subject.metric("rehearsal_kv_event_waiting_bytes") <= 64 << 20
            assert resident(subject) - before < 120 << 20
        finally:
            context.destroy(linger=0)
        eventually(lambda: subject.metric("rehearsal_kv_event_subscribers") == 1)
        assert subject.metric("rehearsal_kv_event_waiting_bytes") == 0


def range_of(at):
    """A prompt as large as the cache: the one before it goes, block by block, a message each."""
    return list(range(at * 60_000, (at + 1) * 60_000))


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_the_other_side_may_start_later_or_again(transport, tmp_path):
    port = free_port()
    reader_binds = f"tcp://127.0.0.1:{port}" if transport == "tcp" else f"ipc://{tmp_path}/events"
    # ipc is always ours to bind, by vLLM's rule; then the reader connects.
    binds = transport == "tcp"
    with server(*SMALL, "--zmq-endpoint", reader_binds) as subject:
        subject.complete(list(range(32)))
        for start in (1000, 2000):
            with reader(reader_binds, binds=binds) as events:
                greet(subject, events, itertools.count(start * 1_000_000))
                subject.complete(list(range(start, start + 32)))
                tokens = [event.token_ids for event in events.read_until_quiet() if isinstance(event, BlockStored)]
                assert list(range(start, start + 32)) in tokens
        assert subject.metric("rehearsal_kv_events_dropped_total") == 0


def test_a_reader_may_wait_for_a_server_that_binds():
    port = free_port()
    with reader(f"tcp://127.0.0.1:{port}") as events:
        assert not events.read(0.3)
        with server(*SMALL, "--zmq-endpoint", f"tcp://*:{port}") as subject:
            greet(subject, events)


def test_what_waits_is_sent_before_the_end():
    port = free_port()
    with reader(f"tcp://127.0.0.1:{port}", binds=True) as events:
        with server(*CACHE, "--zmq-endpoint", f"tcp://127.0.0.1:{port}") as subject:
            greet(subject, events)
            # Less than a message, and ended before its second is over.
            subject.complete(list(range(32)))
        # Behind what made itself heard.
        assert events.read_until_quiet()[-1].token_ids == list(range(32))


def test_vllms_own_configuration_and_ranks():
    port = free_port(2)
    config = '{"enable_kv_cache_events": true, "endpoint": "tcp://*:%d", "topic": "kv@mine"}' % port
    with server("--kv-events-config", config, "--event-batch-size", "1", "--data-parallel-size", "2", ports=2) as subjects:
        for rank, subject in enumerate(subjects):
            with reader(f"tcp://127.0.0.1:{port + rank}") as events:
                greet(subject, events)
                subject.complete(list(range(32)))
                events.read_until_quiet()
                assert events.topics == {"kv@mine"}
                assert {batch.data_parallel_rank for batch in events.batches} == {rank}

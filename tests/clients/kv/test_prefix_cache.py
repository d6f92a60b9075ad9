"""The cache finds and forgets what an independent model of vLLM's pool finds and forgets."""

import random

import msgspec
from events import Batch, BlockRemoved, BlockStored, replay
from pool_model import Pool
from rehearsal import free_port, in_threads, server


def conversations(count, seed):
    """A trace like Mooncake's: a few system prompts, conversations that grow turn by turn, some of them busier."""
    rng = random.Random(seed)
    systems = [list(range(1000 * at, 1000 * at + rng.choice([16, 40, 48]))) for at in range(5)]
    talks = [[*rng.choice(systems)] for _ in range(120)]
    fresh = 1_000_000
    for _ in range(count):
        at = min(int(rng.expovariate(1 / 25)), len(talks) - 1)
        turn = rng.randrange(1, 40)
        talks[at] = [*talks[at], *range(fresh, fresh + turn)]
        fresh += turn
        yield talks[at]
        if len(talks[at]) > 350:
            talks[at] = [*rng.choice(systems)]


def test_hits_and_evictions_are_those_of_the_model_for_ten_thousand_requests():
    blocks, size, replay_port = 300, 16, free_port()
    pool = Pool(blocks, size)
    flags = ["--enable-kvcache", "--kv-cache-size", str(blocks), "--block-size", str(size), "--event-batch-size", "1"]
    kept = ["--kv-events-replay-endpoint", f"tcp://*:{replay_port}", "--kv-events-replay-queue-size", "1000000"]
    with server(*flags, *kept, "--zmq-endpoint", f"tcp://*:{free_port()}") as subject:
        for prompt in conversations(10_000, seed=7):
            usage = subject.complete(prompt)["usage"]
            assert usage["prompt_tokens_details"]["cached_tokens"] == pool.serve(prompt)
        hits, queries = (subject.metric(f"vllm:prefix_cache_{name}_total") for name in ("hits", "queries"))
        assert (hits, queries) == (pool.hits, pool.queries)
        assert 0.3 < hits / queries < 0.9, "a trace with reuse, and a cache that is too small for it"
        decoder = msgspec.msgpack.Decoder(Batch)
        batches = [decoder.decode(payload) for _, payload in replay(f"tcp://127.0.0.1:{replay_port}", 0)]
    # Names by content, as readers of events know them.
    contents = {}
    removed = []
    for event in (event for batch in batches for event in batch.events):
        if isinstance(event, BlockStored):
            parent = contents[event.parent_block_hash] if event.parent_block_hash is not None else None
            for at, name in enumerate(event.block_hashes):
                parent = contents[name] = (parent, *event.token_ids[at * size : (at + 1) * size])
        else:
            assert isinstance(event, BlockRemoved)
            removed.extend(contents[name] for name in event.block_hashes)
    assert len(removed) > 10_000
    assert removed == pool.removed


def test_everybody_ends_where_memory_is_short():
    """Eight clients, a thousand requests with prompts and answers of twenty blocks each, sixty-four blocks."""
    flags = ["--kv-cache-size", "64", "--block-size", "8", "--max-num-seqs", "8", "--inter-token-latency", "0.1ms"]
    with server("--enable-kvcache", "--zmq-endpoint", "", *flags) as subject:

        def client(number):
            for at in range(125):
                first = 1000 * (at * 8 + number)
                prompt = list(range(first, first + 160))
                usage = subject.complete(prompt, max_tokens=160, ignore_eos=True)["usage"]
                assert usage["completion_tokens"] == 160

        in_threads(8, client)
        assert subject.metric("vllm:num_preemptions_total") > 10
        assert subject.metric("vllm:kv_cache_usage_perc") == 0
        assert subject.metric("vllm:num_requests_running") == subject.metric("vllm:num_requests_waiting") == 0

"""A reader of KV-cache events, with the structures that vLLM publishes."""

import contextlib
import time
from typing import Any

import msgspec
import zmq


class BlockStored(msgspec.Struct, tag=True, omit_defaults=True, forbid_unknown_fields=True):
    block_hashes: list[int]
    parent_block_hash: int | None
    token_ids: list[int]
    block_size: int
    lora_id: int | None
    medium: str | None
    lora_name: str | None
    extra_keys: list[list[Any] | None] | None = None
    group_idx: int | None = None
    kv_cache_spec_kind: str | None = None
    kv_cache_spec_sliding_window: int | None = None


class BlockRemoved(msgspec.Struct, tag=True, omit_defaults=True, forbid_unknown_fields=True):
    block_hashes: list[int]
    medium: str | None
    group_idx: int | None = None


class AllBlocksCleared(msgspec.Struct, tag=True, omit_defaults=True, forbid_unknown_fields=True):
    pass


class Batch(msgspec.Struct, array_like=True):
    ts: float
    events: list[BlockStored | BlockRemoved | AllBlocksCleared]
    data_parallel_rank: int | None = None


class BlockStoredArray(BlockStored, tag="BlockStored", array_like=True):
    pass


class BlockRemovedArray(BlockRemoved, tag="BlockRemoved", array_like=True):
    pass


class AllBlocksClearedArray(AllBlocksCleared, tag="AllBlocksCleared", array_like=True):
    pass


class BatchOfArrays(msgspec.Struct, array_like=True):
    ts: float
    events: list[BlockStoredArray | BlockRemovedArray | AllBlocksClearedArray]
    data_parallel_rank: int | None = None


class Reader:
    """Subscribed to everything that a topic begins with `kv@`; keeps what it read."""

    def __init__(self, context, address, binds=False, batch=Batch):
        self.socket = context.socket(zmq.SUB)
        self.socket.setsockopt(zmq.SUBSCRIBE, b"kv@")
        self.socket.setsockopt(zmq.RCVHWM, 0)
        if binds:
            self.socket.bind(address)
        else:
            self.socket.connect(address)
        self.decoder = msgspec.msgpack.Decoder(batch)
        self.topics, self.sequences, self.batches = set(), [], []

    def read(self, timeout):
        """One message; false if none came in time."""
        if not self.socket.poll(timeout * 1000):
            return False
        topic, sequence, payload = self.socket.recv_multipart()
        self.topics.add(topic.decode())
        self.sequences.append(int.from_bytes(sequence, "big"))
        self.batches.append(self.decoder.decode(payload))
        return True

    def read_until_quiet(self, quiet=1.0):
        """All that comes until nothing has come for a while."""
        while self.read(quiet):
            pass
        return self.events

    @property
    def events(self):
        return [event for batch in self.batches for event in batch.events]


@contextlib.contextmanager
def reader(address, **options):
    context = zmq.Context()
    try:
        yield Reader(context, address, **options)
    finally:
        context.destroy(linger=0)


def replay(address, start, kind=zmq.DEALER):
    """What is handed out to a subscriber that missed all from `start` on: sequence numbers and payloads."""
    context = zmq.Context()
    try:
        socket = context.socket(kind)
        socket.connect(address)
        delimiter = [b""] if kind == zmq.DEALER else []
        socket.send_multipart([*delimiter, start.to_bytes(8, "big")])
        answers = []
        while True:
            assert socket.poll(60_000), f"no end after {len(answers)} messages"
            frames = socket.recv_multipart()
            topic, sequence, payload = frames[1:] if kind == zmq.DEALER else frames
            if sequence == b"\xff" * 8:
                assert (topic, payload) == (b"", b"")
                return answers
            assert topic.startswith(b"kv@")
            answers.append((int.from_bytes(sequence, "big"), payload))
            if kind == zmq.REQ:
                return answers
    finally:
        context.destroy(linger=0)


def eventually(check, limit=60):
    """Asks until it is so."""
    deadline = time.monotonic() + limit
    while not check():
        assert time.monotonic() < deadline, "it did not come to be in time"
        time.sleep(0.05)

"""Vectors without a model: each token counts in one place of the vector, which follows from its id. Texts that share tokens are
near each other."""

import json
import math

from sdk import fits
from wit_world import exports
from wit_world.exports.embedder import EmbeddingRequest
from wit_world.exports.lifecycle import Description


class Lifecycle(exports.Lifecycle):
    def describe(self) -> Description:
        return Description(
            name="hashed",
            version="0.1.0",
            summary="makes vectors that count tokens",
            needs=[],
            config_schema=json.dumps({"type": "object", "additionalProperties": False}),
            extras=[],
        )

    def init(self, config: str) -> None:
        pass


class Embedder(exports.Embedder):
    def embed(self, req: EmbeddingRequest) -> list[list[float]]:
        vectors = [vector(embedded.token_ids, req.dimensions) for embedded in req.inputs]
        return fits(vectors, list[list[float]], "vectors")


def vector(ids: list[int], dimensions: int) -> list[float]:
    """Of length 1."""
    counts = [0.0] * dimensions
    for token in ids:
        # Knuth's multiplicative hash.
        counts[token * 2654435761 % 2**32 % dimensions] += 1.0
    length = math.hypot(*counts)
    return [count / length for count in counts]

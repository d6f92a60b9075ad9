"""A plugin in Python: throws as many dice as the user's message has words."""

import json
import random

from componentize_py_types import Err
from sdk import fits, user_text
from wit_world import exports
from wit_world.exports.generator import Completion, Content_Text
from wit_world.exports.lifecycle import Description
from wit_world.imports.types import CallError_Internal, Request

CONFIG_SCHEMA = {
    "type": "object",
    "properties": {"sides": {"type": "integer", "minimum": 2, "maximum": 1000}},
    "additionalProperties": False,
}

sides = None


class Lifecycle(exports.Lifecycle):
    def describe(self) -> Description:
        return Description(
            name="dice",
            version="0.1.0",
            summary="throws a die for each word of the user",
            needs=[],
            config_schema=json.dumps(CONFIG_SCHEMA),
            extras=[],
        )

    def init(self, config: str) -> None:
        global sides
        sides = json.loads(config).get("sides", 6)


class Generator(exports.Generator):
    def generate(self, req: Request) -> Completion:
        if sides is None:
            raise Err(CallError_Internal("not initialised"))
        dice = random.Random(req.seed)
        throws = [str(dice.randint(1, sides)) for _ in user_text(req).split()]
        completion = Completion(
            reasoning=None,
            content=Content_Text(" ".join(throws) or "no dice"),
            tool_calls=[],
            token_limit=None,
            finish=None,
            extras=[],
        )
        return fits(completion, Completion, "completion")

"""A plugin in Python: throws as many dice as the user's message has words."""

import json
import random
from dataclasses import is_dataclass
from types import UnionType
from typing import Union, get_args, get_origin, get_type_hints

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.generator import Completion, Content_Text
from wit_world.exports.lifecycle import Description
from wit_world.imports.types import (
    CallError_Internal,
    ContentPart_Text,
    Prompt_Chat,
    Prompt_Text,
    Request,
    Role_User,
)

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


def user_text(req: Request) -> str:
    """What the user said last, or the prompt of a text completion."""
    match req.prompt:
        case Prompt_Text(text):
            return text
        case Prompt_Chat(messages):
            for message in reversed(messages):
                if isinstance(message.role, Role_User):
                    return "\n".join(part.value for part in message.parts if isinstance(part, ContentPart_Text))
    return ""


def fits(value, kind, where: str):
    """The value, if it is of this kind. Else a TypeError names the field that is not, which the bindings would not."""
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        kind = next((arg for arg in args if isinstance(value, get_origin(arg) or arg)), None)
        if kind is None:
            raise TypeError(f"{where} is {value!r}, which is none of {args}")
        fits(value, kind, where)
    elif not isinstance(value, origin or kind):
        raise TypeError(f"{where} is {value!r}, and not of type {(origin or kind).__name__}")
    elif origin is list:
        for index, item in enumerate(value):
            fits(item, args[0], f"{where}[{index}]")
    elif is_dataclass(value):
        for name, hint in get_type_hints(type(value)).items():
            fits(getattr(value, name), hint, f"{where}.{name}")
    return value

"""What plugins in Python ask of a request, and a check of what they answer."""

from dataclasses import is_dataclass
from types import UnionType
from typing import Union, get_args, get_origin, get_type_hints

from componentize_py_types import Err
from wit_world.imports.types import (
    ApiError,
    CallError_Reject,
    ContentPart_Text,
    Prompt_Chat,
    Prompt_Text,
    Role_Tool,
    Role_User,
)


def user_text(req) -> str:
    """What the user said last, or the prompt of a text completion."""
    if isinstance(req.prompt, Prompt_Text):
        return req.prompt.value
    for message in reversed(messages(req)):
        if isinstance(message.role, Role_User):
            return text(message)
    return ""


def tool_results(req) -> list[str]:
    """What tools have answered since the user last said something, in their order."""
    results = []
    for message in messages(req):
        if isinstance(message.role, Role_User):
            results = []
        elif isinstance(message.role, Role_Tool):
            results.append(text(message))
    return results


def messages(req) -> list:
    """The conversation; empty if the prompt is none."""
    return req.prompt.value if isinstance(req.prompt, Prompt_Chat) else []


def text(message) -> str:
    return "\n".join(part.value for part in message.parts if isinstance(part, ContentPart_Text))


def header(req, name: str) -> str | None:
    """The value of a header, by its name in lower case."""
    return next((value for known, value in req.headers if known == name), None)


def reject(status: int, message: str) -> Err:
    """To be raised: an error answer with this status, 400 to 599."""
    return Err(CallError_Reject(api_error(status, message)))


def api_error(status: int, message: str, headers=()) -> ApiError:
    return ApiError(status=status, message=message, kind=None, code=None, param=None, headers=list(headers))


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

"""An agent with a script: {"steps": [{"tool": "search", "arguments": {"query": "tea"}}], "answer": "I found: {result}"}. Each
result that comes back takes it one step further; after the last, it answers, with that result in the place of {result}."""

import json

from sdk import fits, reject, tool_results
from wit_world import exports
from wit_world.exports.generator import Completion, Content_Text
from wit_world.exports.lifecycle import Description
from wit_world.imports.types import (
    Request,
    ToolCall,
    ToolChoice_Auto,
    ToolChoice_Function,
    ToolChoice_None_,
)

STEP = {
    "type": "object",
    "properties": {"tool": {"type": "string"}, "arguments": {"type": "object"}},
    "required": ["tool"],
    "additionalProperties": False,
}
CONFIG_SCHEMA = {
    "type": "object",
    "properties": {"steps": {"type": "array", "items": STEP}, "answer": {"type": "string"}},
    "required": ["steps", "answer"],
    "additionalProperties": False,
}

script = {"steps": [], "answer": ""}


class Lifecycle(exports.Lifecycle):
    def describe(self) -> Description:
        return Description(
            name="agent",
            version="0.1.0",
            summary="calls tools one after the other, then answers",
            needs=[],
            config_schema=json.dumps(CONFIG_SCHEMA),
            extras=[],
        )

    def init(self, config: str) -> None:
        global script
        script = json.loads(config)


class ToolCaller(exports.ToolCaller):
    def call_tools(self, req: Request) -> list[ToolCall]:
        match req.tool_choice:
            case ToolChoice_None_():
                allowed = set()
            case ToolChoice_Function(name):
                allowed = {name}
            case _:
                allowed = {tool.name for tool in req.tools}
        n_results = len(tool_results(req))
        for step in script["steps"][n_results : n_results + 1]:
            if step["tool"] in allowed:
                call = ToolCall(id=None, name=step["tool"], arguments=json.dumps(step.get("arguments", {})))
                return fits([call], list[ToolCall], "calls")
        if isinstance(req.tool_choice, ToolChoice_None_ | ToolChoice_Auto):
            return []
        raise reject(400, "a call is demanded, and the script has none here")


class Generator(exports.Generator):
    def generate(self, req: Request) -> Completion:
        result = (tool_results(req) or [""])[-1]
        completion = Completion(
            reasoning=None,
            content=Content_Text(script["answer"].replace("{result}", result)),
            tool_calls=[],
            token_limit=None,
            finish=None,
            extras=[],
        )
        return fits(completion, Completion, "completion")

"""Calls the tools that it is told to call, if they are offered: {"calls": [{"tool": "weather", "arguments": {"city": "Oslo"}}]}.
Once it has their results, it leaves the answer to the generator."""

import json

from sdk import fits, reject, tool_results
from wit_world import exports
from wit_world.exports.lifecycle import Description
from wit_world.imports.types import (
    Request,
    ToolCall,
    ToolChoice_Auto,
    ToolChoice_Function,
    ToolChoice_Required,
)

CALL = {
    "type": "object",
    "properties": {"tool": {"type": "string"}, "arguments": {"type": "object"}},
    "required": ["tool"],
    "additionalProperties": False,
}
CONFIG_SCHEMA = {
    "type": "object",
    "properties": {"calls": {"type": "array", "items": CALL}},
    "additionalProperties": False,
}

calls = []


class Lifecycle(exports.Lifecycle):
    def describe(self) -> Description:
        return Description(
            name="dispatcher",
            version="0.1.0",
            summary="calls the tools that it is told to call",
            needs=[],
            config_schema=json.dumps(CONFIG_SCHEMA),
            extras=[],
        )

    def init(self, config: str) -> None:
        global calls
        calls = json.loads(config).get("calls", [])


class ToolCaller(exports.ToolCaller):
    def call_tools(self, req: Request) -> list[ToolCall]:
        offered = {tool.name for tool in req.tools}
        match req.tool_choice:
            case ToolChoice_Function(name):
                wanted = {name}
            case ToolChoice_Required():
                wanted = offered
            case ToolChoice_Auto() if not tool_results(req):
                wanted = offered
            case _:
                return []
        made = [
            ToolCall(id=None, name=call["tool"], arguments=json.dumps(call.get("arguments", {})))
            for call in calls
            if call["tool"] in wanted & offered
        ]
        if not made and not isinstance(req.tool_choice, ToolChoice_Auto):
            raise reject(400, "a call is demanded, and of none of the tools that this plugin calls")
        return fits(made if req.parallel_tool_calls else made[:1], list[ToolCall], "calls")

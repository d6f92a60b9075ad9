// Calls the tools that it is told to call, if they are offered: {"calls": [{"tool": "weather", "arguments": {"city": "Oslo"}}]}.
// Once it has their results, it leaves the answer to the generator.

import { CALLS, reject, told, toolResults } from "./sdk.js";

const CALL = {
  type: "object",
  properties: { tool: { type: "string" }, arguments: { type: "object" } },
  required: ["tool"],
  additionalProperties: false,
};
const CONFIG_SCHEMA = {
  type: "object",
  properties: { calls: { type: "array", items: CALL } },
  additionalProperties: false,
};

let calls = [];

export const lifecycle = {
  describe() {
    return {
      name: "dispatcher",
      version: "0.1.0",
      summary: "calls the tools that it is told to call",
      needs: [],
      configSchema: JSON.stringify(CONFIG_SCHEMA),
      extras: [],
    };
  },

  init(config) {
    calls = JSON.parse(config).calls ?? [];
  },
};

export const toolCaller = {
  callTools: told((req) => {
    const choice = req.toolChoice;
    if (choice.tag === "none" || (choice.tag === "auto" && toolResults(req).length > 0)) return [];
    const isOffered = ({ tool }) => req.tools.some(({ name }) => name === tool);
    const isWanted = ({ tool }) => choice.tag !== "function" || choice.val === tool;
    const made = calls
      .filter((call) => isOffered(call) && isWanted(call))
      .map((call) => ({ name: call.tool, arguments: JSON.stringify(call.arguments ?? {}) }));
    if (made.length === 0 && choice.tag !== "auto") {
      throw reject(400, "a call is demanded, and of none of the tools that this plugin calls");
    }
    return req.parallelToolCalls ? made : made.slice(0, 1);
  }, CALLS, "calls"),
};

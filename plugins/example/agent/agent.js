// An agent with a script: {"steps": [{"tool": "search", "arguments": {"query": "tea"}}], "answer": "I found: {result}"}. Each
// result that comes back takes it one step further; after the last, it answers, with that result in the place of {result}.

import { CALLS, COMPLETION, reject, told, toolResults } from "./sdk.js";

const STEP = {
  type: "object",
  properties: { tool: { type: "string" }, arguments: { type: "object" } },
  required: ["tool"],
  additionalProperties: false,
};
const CONFIG_SCHEMA = {
  type: "object",
  properties: { steps: { type: "array", items: STEP }, answer: { type: "string" } },
  required: ["steps", "answer"],
  additionalProperties: false,
};

let script;

export const lifecycle = {
  describe() {
    return {
      name: "agent",
      version: "0.1.0",
      summary: "calls tools one after the other, then answers",
      needs: [],
      configSchema: JSON.stringify(CONFIG_SCHEMA),
      extras: [],
    };
  },

  init(config) {
    script = JSON.parse(config);
  },
};

export const toolCaller = {
  callTools: told((req) => {
    const choice = req.toolChoice;
    const step = script.steps[toolResults(req).length];
    const isAllowed =
      step !== undefined &&
      choice.tag !== "none" &&
      (choice.tag === "function" ? choice.val === step.tool : req.tools.some(({ name }) => name === step.tool));
    if (isAllowed) return [{ name: step.tool, arguments: JSON.stringify(step.arguments ?? {}) }];
    if (choice.tag === "none" || choice.tag === "auto") return [];
    throw reject(400, "a call is demanded, and the script has none here");
  }, CALLS, "calls"),
};

export const generator = {
  generate: told((req) => {
    const result = toolResults(req).at(-1) ?? "";
    const answer = script.answer.replaceAll("{result}", () => result);
    return { content: { tag: "text", val: answer }, toolCalls: [], extras: [] };
  }, COMPLETION, "completion"),
};

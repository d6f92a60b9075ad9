// A plugin in JavaScript: gives the user's words back in another order.

import { COMPLETION, seeded, told, userText } from "./sdk.js";

export const lifecycle = {
  describe() {
    return {
      name: "shuffle",
      version: "0.1.0",
      summary: "gives the user's words back in another order",
      needs: [],
      configSchema: JSON.stringify({ type: "object", additionalProperties: false }),
      extras: [],
    };
  },

  init(_config) {},
};

export const generator = {
  generate: told((req) => {
    const words = userText(req).match(/\S+/g) ?? [];
    const draw = seeded(req.seed);
    // Fisher and Yates.
    for (let left = words.length; left > 1; left--) {
      const at = draw(left);
      const word = words[at];
      words[at] = words[left - 1];
      words[left - 1] = word;
    }
    return { content: { tag: "text", val: words.join(" ") }, toolCalls: [], extras: [] };
  }, COMPLETION, "completion"),
};

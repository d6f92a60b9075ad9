// A plugin in JavaScript: gives the user's words back in another order.

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
  }),
};

/** The same call. What it throws by mistake is printed with its own stack; the bindings would print theirs. */
function told(call) {
  return (...given) => {
    try {
      return call(...given);
    } catch (error) {
      if (error instanceof Error) console.error(`${error}\nStack:\n${error.stack}`);
      throw error;
    }
  };
}

/** What the user said last, or the prompt of a text completion. */
function userText(req) {
  if (req.prompt.tag === "text") return req.prompt.val;
  if (req.prompt.tag !== "chat") return "";
  const message = req.prompt.val.findLast(({ role }) => role.tag === "user");
  const texts = message?.parts.filter(({ tag }) => tag === "text").map(({ val }) => val);
  return texts?.join("\n") ?? "";
}

/** Whole numbers below `n` that follow from the request's seed, in every engine and release (mulberry32). */
function seeded(seed) {
  let state = Number(BigInt.asUintN(32, seed ^ (seed >> 32n)));
  return (n) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * n);
  };
}

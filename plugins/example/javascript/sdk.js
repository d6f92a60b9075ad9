// What plugins in JavaScript ask of a request, and how they answer with errors.

/** The same call. What it throws by mistake is printed with its own stack; the bindings would print theirs. */
export function told(call) {
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
export function userText(req) {
  if (req.prompt.tag === "text") return req.prompt.val;
  const message = messages(req).findLast(({ role }) => role.tag === "user");
  return message ? text(message) : "";
}

/** What tools have answered since the user last said something, in their order. */
export function toolResults(req) {
  const all = messages(req);
  const since = all.findLastIndex(({ role }) => role.tag === "user") + 1;
  return all.slice(since).filter(({ role }) => role.tag === "tool").map(text);
}

function messages(req) {
  return req.prompt.tag === "chat" ? req.prompt.val : [];
}

function text(message) {
  return message.parts.filter(({ tag }) => tag === "text").map(({ val }) => val).join("\n");
}

/** The value of a header, by its name in lower case. */
export function header(req, name) {
  return req.headers.find(([known]) => known === name)?.[1];
}

/** To be thrown: an error answer with this status, 400 to 599. */
export function reject(status, message) {
  return { tag: "reject", val: apiError(status, message) };
}

export function apiError(status, message, headers = []) {
  return { status, message, headers };
}

/** Whole numbers below `n` that follow from the request's seed, in every engine and release (mulberry32). */
export function seeded(seed) {
  let state = Number(BigInt.asUintN(32, seed ^ (seed >> 32n)));
  return (n) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * n);
  };
}

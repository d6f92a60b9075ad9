// What plugins in JavaScript ask of a request, and how they answer with errors.

/**
 * The same call. What it throws by mistake is printed with its own stack, and an answer that is not of this shape is told by its
 * field: the bindings would tell neither.
 */
export function told(call, shape, where) {
  return (...given) => {
    try {
      return fits(call(...given), shape, where);
    } catch (error) {
      if (error instanceof Error) console.error(`${error}\nStack:\n${error.stack}`);
      throw error;
    }
  };
}

const PAIRS = [["string", "string"]];
const CONTENT = { tag: "string" };
const CALL = { "id?": "string", name: "string", arguments: "string" };
const ERROR = {
  status: "number",
  message: "string",
  "kind?": "string",
  "code?": "string",
  "param?": "string",
  headers: PAIRS,
};

/** Shapes of what plugins answer: types by name, lists, records (`?`: may be left out), and pairs. */
export const COMPLETION = {
  "reasoning?": CONTENT,
  "content?": CONTENT,
  toolCalls: [CALL],
  "tokenLimit?": "number",
  extras: PAIRS,
};
export const CALLS = [CALL];
/** What a failure needs: an error, a number of milliseconds, or nothing. */
const failureValue = (val, where) => typeof val !== "object" || fits(val, ERROR, where);
export const OUTCOMES = [{ failure: { tag: "string", "val?": failureValue }, moment: { tag: "string" } }];

/** The value, if it is of this shape; else a TypeError that names the field. */
function fits(value, shape, where) {
  const wrong = (kind) => new TypeError(`${where} is ${JSON.stringify(value)}, and not ${kind}`);
  if (shape === undefined) return value;
  if (typeof shape === "function") {
    shape(value, where);
  } else if (typeof shape === "string") {
    if (typeof value !== shape) throw wrong(`a ${shape}`);
  } else if (Array.isArray(shape)) {
    if (!Array.isArray(value)) throw wrong("a list");
    value.forEach((item, at) => fits(item, shape.length === 1 ? shape[0] : shape[at], `${where}[${at}]`));
  } else {
    if (typeof value !== "object" || value === null) throw wrong("an object");
    for (const [key, inner] of Object.entries(shape)) {
      const name = key.replace(/\?$/, "");
      if (name === key || value[name] !== undefined) fits(value[name], inner, `${where}.${name}`);
    }
  }
  return value;
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

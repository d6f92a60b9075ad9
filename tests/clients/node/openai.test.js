// The official openai package for JavaScript.

import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

import { all, connect } from "./servers.js";

const echo = connect("ECHO_URL");
const random = connect("RANDOM_URL");
const model = "m";
const text = "one two three";
const messages = [{ role: "user", content: text }];

const Visit = z.object({
  city: z.string().min(1),
  days: z.number().int().min(1).max(14),
  stops: z.array(z.enum(["museum", "park"])).max(3),
  guide: z.string().nullable(),
});

test("models", async () => {
  assert.deepEqual((await all(echo.models.list())).map(({ id }) => id), ["m"]);
});

test("chat", async () => {
  const answer = await echo.chat.completions.create({ model, messages });
  const [choice] = answer.choices;
  assert.deepEqual([choice.message.content, choice.message.role, choice.finish_reason], [text, "assistant", "stop"]);
  assert.equal(answer.usage.total_tokens, 6);
});

test("chat, streamed", async () => {
  const stream_options = { include_usage: true };
  const chunks = await all(await echo.chat.completions.create({ model, messages, stream: true, stream_options }));
  assert.equal(chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join(""), text);
  assert.deepEqual([chunks.at(-1).choices, chunks.at(-1).usage.completion_tokens], [[], 3]);
});

test("the stream helper", async () => {
  const stream = echo.chat.completions.stream({ model, messages });
  const pieces = [];
  stream.on("content", (piece) => pieces.push(piece));
  assert.equal(await stream.finalContent(), text);
  assert.deepEqual(pieces, ["one ", "two ", "three"]);
});

test("a stream that is aborted", async () => {
  const long = { min_tokens: 500, max_tokens: 500 };
  const stream = await random.chat.completions.create({ model, messages, stream: true, ...long });
  for await (const _ of stream) stream.controller.abort();
  assert.ok(stream.controller.signal.aborted);
});

test("a tool that is run", async () => {
  const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
  const cities = [];
  const weather = ({ city }) => cities.push(city) && "Rain.";
  const tools = [{ type: "function", function: { name: "weather", parameters, parse: JSON.parse, function: weather } }];
  // Which of the answers call is the seed's.
  for (let seed = 0; seed < 10; seed++) {
    assert.ok(await random.chat.completions.runTools({ model, messages, tools, seed }).finalContent());
  }
  assert.ok(cities.length > 0 && cities.every((city) => typeof city === "string"));
});

test("completions", async () => {
  const answer = await echo.completions.create({ model, prompt: text, max_tokens: 2 });
  assert.deepEqual([answer.choices[0].text, answer.choices[0].finish_reason], ["one two ", "length"]);
  const chunks = await all(await echo.completions.create({ model, prompt: text, stream: true }));
  assert.equal(chunks.map(({ choices }) => choices[0].text).join(""), text);
});

test("responses", async () => {
  const answer = await echo.responses.create({ model, input: text });
  assert.deepEqual([answer.output_text, answer.status], [text, "completed"]);
  const events = await all(await echo.responses.create({ model, input: text, stream: true }));
  const deltas = events.filter(({ type }) => type === "response.output_text.delta").map(({ delta }) => delta);
  assert.deepEqual(deltas, ["one ", "two ", "three"]);
  assert.deepEqual([events[0].type, events.at(-1).type], ["response.created", "response.completed"]);
});

test("the stream helper of responses", async () => {
  const stream = echo.responses.stream({ model, input: text });
  const { output, status } = await stream.finalResponse();
  assert.deepEqual([output[0].content[0].text, status], [text, "completed"]);
});

test("embeddings", async () => {
  // Without an encoding the package asks for base64 and decodes it.
  const embed = async (more) => (await random.embeddings.create({ model, input: [text, "four"], ...more })).data;
  const [decoded, floats] = [await embed({}), await embed({ encoding_format: "float" })];
  for (const [item, { embedding }] of decoded.entries()) {
    assert.equal(embedding.length, 384);
    assert.ok(embedding.every((number, at) => Math.abs(number - floats[item].embedding[at]) < 1e-6));
  }
  assert.equal((await embed({ dimensions: 8 }))[1].embedding.length, 8);
});

test("answers are parsed by a zod schema", async () => {
  for (let seed = 0; seed < 10; seed++) {
    const response_format = zodResponseFormat(Visit, "visit");
    const { choices } = await random.chat.completions.parse({ model, messages, response_format, seed });
    assert.ok(Visit.safeParse(choices[0].message.parsed).success);
    const format = zodTextFormat(Visit, "visit");
    const { output_parsed } = await random.responses.parse({ model, input: text, text: { format } });
    assert.ok(Visit.safeParse(output_parsed).success);
  }
});

test("errors", async () => {
  const ask = (more) => echo.chat.completions.create({ model, messages, ...more });
  await assert.rejects(ask({ temperature: 3 }), (error) => {
    return error instanceof OpenAI.BadRequestError && error.param === "temperature";
  });
  await assert.rejects(ask({ model: "gpt-9" }), OpenAI.NotFoundError);
});

// The AI SDK with its provider for servers that speak OpenAI's API.

import assert from "node:assert/strict";
import { test } from "node:test";

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embedMany, generateObject, generateText, stepCountIs, streamObject, streamText, tool } from "ai";
import { z } from "zod";

import { all, baseURL } from "./servers.js";

const provider = (name) => createOpenAICompatible({
  name: "rehearsal",
  baseURL: baseURL(name),
  supportsStructuredOutputs: true,
  includeUsage: true,
});
const echo = provider("ECHO_URL")("m");
const random = provider("RANDOM_URL")("m");
const settings = { maxRetries: 0 };

const schema = z.object({
  city: z.string().min(1),
  days: z.number().int().min(1).max(14),
  stops: z.array(z.object({ name: z.string(), open: z.boolean() })).max(3),
});

test("text", async () => {
  const { text, finishReason, usage } = await generateText({ model: echo, prompt: "one two three", ...settings });
  assert.deepEqual([text, finishReason, usage.inputTokens, usage.outputTokens], ["one two three", "stop", 3, 3]);
});

test("text, streamed", async () => {
  const result = streamText({ model: echo, prompt: "one two three", ...settings });
  assert.deepEqual(await all(result.textStream), ["one ", "two ", "three"]);
  assert.equal(await result.finishReason, "stop");
  assert.equal((await result.usage).outputTokens, 3);
});

test("an object", async () => {
  for (let seed = 0; seed < 10; seed++) {
    const { object } = await generateObject({ model: random, schema, prompt: "Plan a visit.", seed, ...settings });
    assert.ok(schema.safeParse(object).success);
  }
});

test("an object that grows in a stream", async () => {
  const result = streamObject({ model: random, schema, prompt: "Plan a visit.", ...settings });
  const partial = await all(result.partialObjectStream);
  assert.deepEqual(partial.at(-1), await result.object);
});

test("a choice", async () => {
  const ask = { model: random, output: "enum", enum: ["park", "museum"], prompt: "Where to?", ...settings };
  assert.ok(["park", "museum"].includes((await generateObject(ask)).object));
});

test("tools are run until there is a text", async () => {
  const cities = [];
  const weather = tool({
    description: "The weather of a city.",
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => cities.push(city) && "Rain.",
  });
  for (let seed = 0; seed < 10; seed++) {
    const result = streamText({
      model: random, tools: { weather }, prompt: "How is the weather?", stopWhen: stepCountIs(10), seed, ...settings,
    });
    const parts = await all(result.fullStream);
    assert.deepEqual(parts.filter(({ type }) => type === "error"), []);
    assert.ok(await result.text);
  }
  assert.ok(cities.length > 0 && cities.every((city) => typeof city === "string"));
});

test("reasoning", async () => {
  const model = provider("REASONING_URL")("m");
  const answers = [];
  for (let seed = 0; seed < 20; seed++) {
    answers.push(await generateText({ model, prompt: "Think.", seed, ...settings }));
  }
  assert.ok(answers.some(({ reasoningText, text }) => reasoningText && text));
});

test("embeddings", async () => {
  const model = provider("RANDOM_URL").embeddingModel("m");
  const { embeddings } = await embedMany({ model, values: ["one", "two"], ...settings });
  assert.deepEqual(embeddings.map(({ length }) => length), [384, 384]);
});

// The servers that the tests ask, named by the environment; see tests/e2e/clients.rs.

import OpenAI from "openai";

export const baseURL = (name) => `${process.env[name]}/v1`;

export const connect = (name) => new OpenAI({ baseURL: baseURL(name), apiKey: "none", maxRetries: 0 });

export async function all(iterable) {
  const items = [];
  for await (const item of iterable) items.push(item);
  return items;
}

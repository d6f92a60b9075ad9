// Vectors without a model: each token counts in one place of the vector, which follows from its id. Texts that share tokens are
// near each other.

import { told } from "./sdk.js";

export const lifecycle = {
  describe() {
    return {
      name: "hashed",
      version: "0.1.0",
      summary: "makes vectors that count tokens",
      needs: [],
      configSchema: JSON.stringify({ type: "object", additionalProperties: false }),
      extras: [],
    };
  },

  init(_config) {},
};

export const embedder = {
  embed: told((req) => req.inputs.map(({ tokenIds }) => vector(tokenIds, req.dimensions))),
};

/** Of length 1. */
function vector(ids, dimensions) {
  const counts = new Float32Array(dimensions);
  for (const id of ids) {
    // Knuth's multiplicative hash.
    counts[(Math.imul(id, 2654435761) >>> 0) % dimensions] += 1;
  }
  const length = Math.hypot(...counts);
  return counts.map((count) => count / length);
}

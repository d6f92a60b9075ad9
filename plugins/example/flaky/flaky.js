// Fails every third request of each tenant, as the header x-tenant-id names them. The count outlives the instances: the host
// keeps it.

import { increment } from "rehearsal:strategy/state@0.1.1";
import { OUTCOMES, apiError, header, told } from "./sdk.js";

export const lifecycle = {
  describe() {
    return {
      name: "flaky",
      version: "0.1.0",
      summary: "fails every third request of a tenant",
      needs: ["header:x-tenant-id"],
      configSchema: JSON.stringify({ type: "object", additionalProperties: false }),
      extras: [],
    };
  },

  init(_config) {},
};

export const failureSelector = {
  select: told((req) => {
    const tenant = header(req, "x-tenant-id");
    if (tenant === undefined || increment(`requests of ${tenant}`, 1n) % 3n !== 0n) return [];
    const error = apiError(503, `the third request of ${tenant} is unlucky`, [["retry-after", "1"]]);
    return [{ failure: { tag: "error", val: error }, moment: { tag: "on-arrival" } }];
  }, OUTCOMES, "outcomes"),
};

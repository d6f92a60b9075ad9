// node build.mjs <wit folder> <output>: makes a component of shuffle.js. (package.json names preview2-shim because
// componentize-js uses that version of it without saying so.)

import { writeFile } from "node:fs/promises";
import { componentize } from "@bytecodealliance/componentize-js";

const [witPath, output] = process.argv.slice(2);
const { component } = await componentize({
  sourcePath: new URL("shuffle.js", import.meta.url).pathname,
  witPath,
  worldName: "generator-plugin",
  // What the host does not offer.
  disableFeatures: ["http", "fetch-event"],
});
await writeFile(output, component);

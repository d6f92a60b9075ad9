// node build.mjs <source> <world> <wit folder> <output>: makes a component. (package.json names preview2-shim because
// componentize-js uses that version of it without saying so.)

import { writeFile } from "node:fs/promises";
import { componentize } from "@bytecodealliance/componentize-js";

const [source, worldName, witPath, output] = process.argv.slice(2);
const { component } = await componentize({
  sourcePath: new URL(source, import.meta.url).pathname,
  witPath,
  worldName,
  // What the host does not offer.
  disableFeatures: ["http", "fetch-event"],
});
await writeFile(output, component);

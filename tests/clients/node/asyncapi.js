// Ends with an error if AsyncAPI's own parser finds an error or a warning in docs/asyncapi.yaml.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Parser } from "@asyncapi/parser";

const path = fileURLToPath(new URL("../../../docs/asyncapi.yaml", import.meta.url));
const { document, diagnostics } = await new Parser().parse(readFileSync(path, "utf8"), { source: path });
const [error, warning] = [0, 1];
const found = diagnostics.filter(({ severity }) => severity === error || severity === warning);
for (const { severity, path: where, message } of found) {
  console.error(`${severity === error ? "error" : "warning"} at ${where.join(".")}: ${message}`);
}
if (document === undefined || found.length > 0) {
  process.exitCode = 1;
} else {
  console.log(`${document.allChannels().length} channels, ${document.allMessages().length} messages`);
}

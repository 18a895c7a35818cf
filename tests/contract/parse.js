// Prints the errors and warnings of AsyncAPI's own parser, and fails if there are any: node parse.js asyncapi.yaml
import { readFile } from "node:fs/promises";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(await readFile(process.argv[2], "utf8"));
for (const { message, path } of diagnostics) console.error(`${process.argv[2]}: ${path.join(".")}: ${message}`);
if (!document || diagnostics.length) process.exit(1);

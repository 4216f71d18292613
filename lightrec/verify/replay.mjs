/**
 * Replay a bundle's golden cases in Node: node replay.mjs BUNDLE [PRECISION]
 *
 * Prints {"runtime", "answers": [{"items", "scores"}]} as JSON, or {"absent": how to get what is missing}. ONNX Runtime
 * is looked for as any package is that the current folder requires: in node_modules there and above, and in NODE_PATH.
 */

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";

import { Recommender } from "../web/lightrec.js";

const [bundle, precision] = process.argv.slice(2);
const isNew = Number.parseInt(process.versions.node, 10) >= 20;
const found = isNew ? findRuntime() : null;

if (found) {
  const recommender = await Recommender.load(bundle, { precision, ort: found.ort });
  const { cases } = JSON.parse(await readFile(path.join(bundle, "golden.json"), "utf8"));
  const answers = [];
  for (const { history, exclude, k } of cases) answers.push(await recommender.rank(history, { k, exclude }));
  console.log(JSON.stringify({ runtime: found.name, answers }));
} else {
  console.log(JSON.stringify({ absent: isNew ? "npm install --ignore-scripts onnxruntime-node" : "Node.js 20 or newer" }));
}

function findRuntime() {
  const require = createRequire(path.join(process.cwd(), "from-here.js"));
  for (const name of ["onnxruntime-node", "onnxruntime-web"]) {
    try {
      const ort = require(name);
      if (ort.env.wasm) ort.env.wasm.numThreads = 1;
      return { name, ort };
    } catch (error) {
      if (error.code !== "MODULE_NOT_FOUND") throw error;
    }
  }
  return null;
}

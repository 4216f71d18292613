/**
 * Recommendations in Node: what to show next to somebody who liked the items named on the command line.
 *
 *     npm install --ignore-scripts onnxruntime-node
 *     npm pkg set type=module
 *     node recommend.mjs bundle 50 181 174
 *
 * lightrec.js lies beside this file: `lightrec package bundle --for web --out web` writes it, or copy it from the
 * installed package (lightrec/web/lightrec.js).
 */

import { Recommender } from "./lightrec.js";

const [bundle, ...history] = process.argv.slice(2);
const recommender = await Recommender.load(bundle);
const { items, unknown, fallback } = await recommender.recommend(history, { k: 5 });

if (unknown.length) console.error(`Not in the catalogue: ${unknown.join(", ")}`);
if (fallback) console.error("No item of the history is known: these are the most popular ones.");
for (const { id, title, score } of items) {
  console.log([id, title ?? "", score?.toFixed(3) ?? ""].join("\t"));
}

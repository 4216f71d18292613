/**
 * Asks lightrec.js what each line of standard input says: {"bundle", "kept", "calls"}. A call is the body of an async
 * function of `recommender` and `box`, which lives as long as the line; a bundle that is kept is loaded once. Prints
 * {"load": error or null, "told": [{"answer"} or {"error"}]}, where an error says whether it is a LightrecError.
 */

import { createInterface } from "node:readline";

import { LightrecError, Recommender } from "./lightrec.js";

const AsyncFunction = (async () => {}).constructor;
const kept = new Map();
const told = (error) => [error instanceof LightrecError, String(error instanceof LightrecError ? error.message : error?.stack)];

async function load({ bundle, kept: keep }) {
  const recommender = kept.get(bundle) ?? (await Recommender.load(bundle));
  if (keep) kept.set(bundle, recommender);
  return recommender;
}

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  const found = { load: null, told: [] };
  const recommender = await load(asked).catch((error) => void (found.load = told(error)));
  const box = {};
  for (const call of recommender ? asked.calls : []) {
    const made = async () => ({ answer: (await new AsyncFunction("recommender", "box", call)(recommender, box)) ?? null });
    found.told.push(await made().catch((error) => ({ error: told(error) })));
  }
  process.stdout.write(`${JSON.stringify(found)}\n`);
}

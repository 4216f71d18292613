/**
 * lightrec.js: recommendations from a lightrec bundle, in a browser tab or in Node 20 and newer.
 *
 *     import { Recommender } from "./lightrec.js";
 *
 *     const recommender = await Recommender.load("bundle");
 *     const { items } = await recommender.recommend(["50", "181"], { k: 10 });
 *
 * In a browser ONNX Runtime is taken from the folder onnxruntime-web/ beside this file, in Node from the installed
 * package onnxruntime-node or onnxruntime-web; load() takes another one as { ort }. Nothing is ever sent anywhere.
 * The types are in lightrec.d.ts, the format of a bundle in docs/format.md.
 */

const FORMAT_MAJOR = 2;
const IN_NODE = typeof process === "object" && Boolean(process.versions?.node);

// onnxruntime-node reports home from the first session on, unless this is set before.
if (IN_NODE) process.env.ORT_DISABLE_TELEMETRY = "1";

/** Every error that lightrec.js raises on purpose: one sentence that says what is wrong and how to mend it. */
export class LightrecError extends Error {
  name = "LightrecError";
}

/** A loaded bundle. Make one with `await Recommender.load(bundle)`. */
export class Recommender {
  #session;
  #ort;
  #index;
  #popularity;
  #readTitles;
  #titlesRead;
  #openParts;
  #parts;
  #blocked = [];

  constructor({ manifest, itemIds, popularity, titles, session, openParts, ort }) {
    this.manifest = manifest;
    this.itemIds = itemIds;
    this.#popularity = popularity;
    this.#readTitles = titles;
    this.#session = session;
    this.#openParts = openParts;
    this.#ort = ort;
    this.#index = new Map(itemIds.map((id, index) => [id, index]));
  }

  /** Load a bundle and check the SHA-256 of every file that is read. */
  static async load(bundle, { precision, ort, block = [] } = {}) {
    const read = await reader(bundle);
    const manifest = checkedManifest(parse(await read("manifest.json"), bundle, "manifest.json"), bundle);
    const model = chosenModel(manifest, precision, bundle);
    const verified = async (name) => checked(await read(name), manifest.files[name], bundle, name);
    const [items, titleFile] = [listFile(manifest, "items"), listFile(manifest, "titles")];
    const [runtime, graph, itemIds, popularity, titles] = await Promise.all([
      ort ?? onnxRuntime(),
      verified(model.files[0]),
      verified(items).then(async (bytes) => parse(await unpacked(bytes, bundle, items), bundle, items)),
      verified("popularity.npy").then((bytes) => int32Array(bytes, manifest.n_items, bundle)),
      manifest.files[titleFile] ? read(titleFile, { optional: true }) : null,
    ]);
    const titleBytes =
      titles && (await unpacked(await checked(titles, manifest.files[titleFile], bundle, titleFile), bundle, titleFile));
    const session = await openSession(runtime, graph, bundle, model.files[0]);
    const recommender = new Recommender({
      manifest,
      itemIds: listOf(itemIds, manifest.n_items, bundle, items),
      popularity,
      titles: () =>
        titleBytes && listOf(parse(titleBytes, bundle, titleFile), manifest.n_items, bundle, titleFile),
      session,
      openParts: () => openParts(runtime, model, bundle, { read, verified, files: manifest.files }),
      ort: runtime,
    });
    recommender.block(block);
    return recommender;
  }

  /** By index, parsed when they are first asked for; null if the bundle holds none. */
  get #titles() {
    return (this.#titlesRead ??= this.#readTitles());
  }

  /** Whether the bundle knows an item. */
  has(id) {
    return this.#index.has(String(id));
  }

  /** The title of an item; null if the item is not known or has none. */
  title(id) {
    return this.#titles?.[this.#index.get(String(id))] ?? null;
  }

  /** Recommend none of `items` to anybody from now on, in place of those blocked before; returns the unknown ids. */
  block(items) {
    const unknown = new Set();
    this.#blocked = this.#indices(items, "block", unknown);
    return [...unknown];
  }

  /** The items to show next to one user, best first; a history without a known item is answered by popularity. */
  async recommend(history, { k, exclude, candidates, boost } = {}) {
    const unknown = new Set();
    const seen = this.#indices(history, "history", unknown);
    return this.#answer(seen, unknown, { k, exclude, candidates, boost }, (...asked) => this.rank(...asked));
  }

  /** A user's history that grows item by item; each recommendation reads only what is new. */
  async session(history = []) {
    this.#parts ??= this.#openParts();
    const parts = await this.#parts.catch((error) => {
      this.#parts = undefined; // the next session tries again
      throw error;
    });
    return new Session({
      parts,
      window: this.manifest.max_length,
      tensor: (...given) => this.#tensor(...given),
      indices: (...given) => this.#indices(...given),
      answer: (...given) => this.#answer(...given),
      rank: (...given) => this.rank(...given),
      score: (state, seen, { k, exclude }) => this.#run(parts.score, { state, ...this.#inputs(seen, k, exclude) }),
      empty: (shape) => new this.#ort.Tensor("float32", new Float32Array(0), shape),
      history,
    });
  }

  /** Rank by item index, for golden vectors and evaluation; `history` holds at least one item. */
  async rank(history, { k = 10, exclude = [] } = {}) {
    return this.#run(this.#session, this.#inputs(history, k, exclude));
  }

  async #run(graph, inputs) {
    const answer = await graph.run(inputs);
    const items = Array.from(answer.items.data, Number).filter((index) => index >= 0);
    return { items, scores: Array.from(answer.scores.data).slice(0, items.length) };
  }

  #inputs(history, k, exclude) {
    const window = this.manifest.max_length;
    const recent = history.slice(-window);
    // What the model does not read is still filtered as seen; some runtimes refuse an empty input.
    const leftOut = [...history.slice(0, -window), ...exclude];
    return {
      history: this.#tensor(recent, [1, recent.length]),
      length: this.#tensor([recent.length], [1]),
      exclude: this.#tensor(leftOut.length ? leftOut : [-1], [1, leftOut.length || 1]),
      k: this.#tensor([Math.min(wholeK(k), this.manifest.n_items)], [1]),
    };
  }

  /** The items of `seen`, and `options` in ids, to an answer in ids; `rank` ranks by index. */
  async #answer(seen, unknownIds, { k = 10, exclude = [], candidates, boost }, rank) {
    const unknown = new Set(unknownIds);
    let leftOut = this.#indices(exclude, "exclude", unknown).concat(this.#blocked);
    if (candidates !== undefined && candidates !== null) {
      const allowed = new Set(this.#indices(candidates, "candidates", unknown));
      leftOut = leftOut.concat([...this.itemIds.keys()].filter((index) => !allowed.has(index)));
    }
    const fallback = seen.length === 0;
    const boosts = this.#boosts(boost, unknown);
    const ask = boosts.size ? (...asked) => this.#boosted(rank, boosts, ...asked) : rank;
    const answer = fallback ? this.#popular(k, leftOut) : await ask(seen, { k, exclude: leftOut });
    const items = answer.items.map((index, place) => ({
      id: this.itemIds[index],
      title: this.#titles?.[index] ?? null,
      score: answer.scores[place],
    }));
    return { items, unknown: [...unknown], fallback };
  }

  /**
   * The ranking of all boosted scores. Among the best k + boosts there are k without a boost, or all that remain: of
   * the others only those that a boost raises can come among the best k, and these are scored apart.
   */
  async #boosted(rank, boosts, seen, { k, exclude }) {
    const most = wholeK(k) + boosts.size;
    const { items, scores } = await rank(seen, { k: most, exclude });
    const found = new Map(items.map((index, place) => [index, scores[place]]));
    const raised = [...boosts].filter(([index, amount]) => amount > 0 && !found.has(index));
    const outside = new Set(raised.map(([index]) => index));
    if (items.length === most && outside.size) {
      const others = [...this.itemIds.keys()].filter((index) => !outside.has(index));
      const more = await rank(seen, { k: outside.size, exclude: exclude.concat(others) });
      more.items.forEach((index, place) => found.set(index, more.scores[place]));
    }
    const ranked = [...found].map(([index, score]) => [index, score + (boosts.get(index) ?? 0)]);
    const best = ranked.sort(([a, x], [b, y]) => y - x || a - b).slice(0, k);
    return { items: best.map(([index]) => index), scores: best.map(([, score]) => score) };
  }

  /** A caller's boosts, an object or a Map, by index. */
  #boosts(boost, unknown) {
    const boosts = new Map();
    for (const [id, amount] of boost instanceof Map ? boost : Object.entries(boost ?? {})) {
      if (!Number.isFinite(amount)) {
        throw new LightrecError(`The boost of item ${id} is ${amount}: give a finite number.`);
      }
      const index = this.#index.get(String(id));
      if (index === undefined) unknown.add(String(id));
      else boosts.set(index, amount);
    }
    return boosts;
  }

  #tensor(values, shape) {
    return new this.#ort.Tensor("int64", BigInt64Array.from(values, BigInt), shape);
  }

  #indices(ids, name, unknown) {
    if (typeof ids === "string" || typeof ids?.[Symbol.iterator] !== "function") {
      throw new LightrecError(`${name} is ${JSON.stringify(ids)}: give a list of item ids, such as ["50"].`);
    }
    const known = [];
    for (const id of ids) {
      const index = this.#index.get(String(id));
      if (index === undefined) unknown.add(String(id));
      else known.push(index);
    }
    return known;
  }

  #popular(k, leftOut) {
    const out = new Set(leftOut);
    const items = Array.from(this.#popularity)
      .filter((index) => !out.has(index))
      .slice(0, wholeK(k));
    return { items, scores: items.map(() => null) };
  }
}

/**
 * One user's growing history; made by `await recommender.session()`. It answers as `recommend` would with the whole
 * history. Once there are more items than the model reads, the window is read again for each new one.
 */
export class Session {
  #of;
  #history = [];
  #unknown = new Set();
  #past = null;
  #read = 0; // items that the past and the state stand for
  #state = null;
  #turn = Promise.resolve();

  constructor({ history, ...of }) {
    this.#of = of;
    this.incremental = of.parts !== null;
    this.extend(history);
  }

  /** How many known items the history has. */
  get length() {
    return this.#history.length;
  }

  /** Put an item behind the history; an unknown one is skipped and reported by the next recommendation. */
  add(item) {
    this.extend([item]);
  }

  /** Put several items behind the history, oldest first. */
  extend(items) {
    this.#history = this.#history.concat(this.#of.indices(items, "history", this.#unknown));
  }

  /** The items to show next. What is added while an answer is on its way belongs to the next one. */
  async recommend({ k, exclude, candidates, boost } = {}) {
    const [seen, unknown] = [this.#history, new Set(this.#unknown)];
    const rank = this.incremental ? (...asked) => this.#rank(...asked) : this.#of.rank;
    const answer = this.#turn.then(() => this.#of.answer(seen, unknown, { k, exclude, candidates, boost }, rank));
    this.#turn = answer.catch(() => {}); // one step after the other, also after a mistake
    return answer;
  }

  async #rank(seen, asked) {
    wholeK(asked.k);
    return this.#of.score(await this.#lastState(seen), seen, asked);
  }

  /** The encoder's state after the whole history, reading only what it has not read. */
  async #lastState(seen) {
    if (this.#read === seen.length) return this.#state;
    const fits = seen.length <= this.#of.window;
    const items = fits ? seen.slice(this.#past ? this.#read : 0) : seen.slice(-this.#of.window);
    const [state, past] = await this.#step(items, (fits && this.#past) || this.#start());
    // Beyond the window, everything remembered has seen items that have left it.
    [this.#state, this.#past, this.#read] = [state, fits ? past : null, seen.length];
    return state;
  }

  async #step(items, past) {
    const { step } = this.#of.parts;
    const answer = await step.run({ items: this.#of.tensor(items, [1, items.length]), ...past });
    const [state, ...present] = step.outputNames.map((name) => answer[name]);
    return [state, Object.fromEntries(Object.keys(past).map((name, place) => [name, present[place]]))];
  }

  /** The past of an empty history: nothing in the free dimensions. */
  #start() {
    const inputs = this.#of.parts.step.inputMetadata.filter(({ name }) => name !== "items");
    const fixed = (size) => (Number.isInteger(size) && size > 0 ? size : 0);
    return Object.fromEntries(inputs.map(({ name, shape }) => [name, this.#of.empty(shape.map(fixed))]));
  }
}

function wholeK(k) {
  if (!Number.isInteger(k) || k < 1) {
    throw new LightrecError(`k is ${k}: it must be a whole number of at least 1.`);
  }
  return k;
}

/** A function that reads one file of the bundle: from disk in Node unless it has an http address, else by fetch. */
async function reader(bundle) {
  const address = String(bundle).replace(/\/*$/, "/");
  return IN_NODE && !/^https?:/.test(address) ? diskReader(address) : fetchReader(address);
}

async function diskReader(folder) {
  const [{ readFile }, { fileURLToPath }, path] = await Promise.all(
    ["node:fs/promises", "node:url", "node:path"].map((name) => import(/* @vite-ignore */ name)),
  );
  const root = folder.startsWith("file:") ? fileURLToPath(folder) : folder;
  return async (name, { optional = false } = {}) => {
    try {
      return await readFile(path.join(root, name));
    } catch (error) {
      if (optional && error.code === "ENOENT") return null;
      throw new LightrecError(`${path.join(root, name)} cannot be read (${error.code}): is this a bundle's folder?`);
    }
  };
}

function fetchReader(address) {
  const base = new URL(address, IN_NODE ? undefined : document.baseURI);
  return async (name, { optional = false } = {}) => {
    const url = new URL(name, base);
    let response;
    try {
      response = await fetch(url);
    } catch (error) {
      throw new LightrecError(`${url} cannot be fetched (${error.message}): check the address and the network.`);
    }
    if (optional && response.status === 404) return null;
    if (!response.ok) {
      throw new LightrecError(`${url} cannot be fetched (status ${response.status}): is this a bundle's address?`);
    }
    return new Uint8Array(await response.arrayBuffer());
  };
}

async function checked(bytes, record, bundle, name) {
  if (!globalThis.crypto?.subtle) {
    throw new LightrecError("This page cannot check SHA-256: serve it by https or from localhost.");
  }
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (hex !== record.sha256) {
    const hint = name.endsWith(".gz") ? ", and let the server send .gz files as they are" : "";
    throw new LightrecError(`${name} of the bundle ${bundle} differs from its SHA-256: copy the bundle again${hint}.`);
  }
  return bytes;
}

function parse(bytes, bundle, name) {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw new LightrecError(`${name} of the bundle ${bundle} is not valid JSON: copy the bundle again.`);
  }
}

function checkedManifest(manifest, bundle) {
  const major = Number.parseInt(manifest.format_version, 10);
  if (Number.isNaN(major)) throw new LightrecError(`${bundle} is not a bundle: its manifest has no format_version.`);
  if (major > FORMAT_MAJOR) {
    throw new LightrecError(
      `${bundle} has format version ${manifest.format_version}, this lightrec.js reads up to ${FORMAT_MAJOR}: ` +
        "take the lightrec.js of a newer lightrec.",
    );
  }
  if (manifest.files?.["items.utf8.npy"]) {
    throw new LightrecError(
      `${bundle} has its ids in the files of large catalogues, which lightrec.js does not read: ` +
        "run  lightrec package BUNDLE --for web",
    );
  }
  const unrecorded = [listFile(manifest, "items"), "popularity.npy"].filter((name) => !manifest.files?.[name]);
  const outside = Object.keys(manifest.files ?? {}).filter((name) => /[\\/]/.test(name) || name === "..");
  if (unrecorded.length || outside.length) {
    const problem = unrecorded.length ? `lacks ${unrecorded}` : `names files outside the bundle (${outside})`;
    throw new LightrecError(`The manifest of ${bundle} ${problem}: export the bundle again.`);
  }
  return manifest;
}

/** The file of "items" or "titles": compressed since format 2.0. */
function listFile(manifest, name) {
  return manifest.files?.[`${name}.json`] ? `${name}.json` : `${name}.json.gz`;
}

async function unpacked(bytes, bundle, name) {
  if (!name.endsWith(".gz")) return bytes;
  try {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch {
    throw new LightrecError(`${name} of the bundle ${bundle} is not gzip: export it again.`);
  }
}

function chosenModel(manifest, precision, bundle) {
  const models = manifest.models ?? [];
  const model = models.find(
    (one) => one.backend === "onnxruntime" && one.files.length === 1 && [undefined, one.precision].includes(precision),
  );
  if (!model || !manifest.files[model.files[0]]) {
    const held = models.map((one) => `${one.backend} ${one.precision} (${one.files.join(", ")})`).join(", ") || "none";
    const wanted = precision ? `${precision} model` : "model";
    throw new LightrecError(`${bundle} holds no ${wanted} for onnxruntime in one file (it holds ${held}): export one.`);
  }
  return model;
}

function listOf(values, size, bundle, name) {
  if (!Array.isArray(values) || values.length !== size) {
    throw new LightrecError(`${name} of ${bundle} does not list the ${size} items of the manifest: export it again.`);
  }
  return values;
}

/** The numbers of a .npy file of version 1.0 that holds little-endian 32-bit integers. */
function int32Array(bytes, size, bundle) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = bytes.byteLength >= 10 ? 10 + view.getUint16(8, true) : 0;
  if (start === 0 || bytes.byteLength !== start + 4 * size) {
    throw new LightrecError(`popularity.npy of ${bundle} does not order the ${size} items: export it again.`);
  }
  return Int32Array.from({ length: size }, (_, place) => view.getInt32(start + 4 * place, true));
}

/** The graphs for sessions, whose weights lie in the model's file; null where the bundle has none. */
async function openParts(ort, model, bundle, { read, verified, files }) {
  const names = [model.parts?.step, model.parts?.score];
  if (!names.every((name) => name && files[name])) return null;
  const graphs = await Promise.all(names.map((name) => read(name, { optional: true })));
  if (graphs.includes(null)) return null; // a deployed bundle may lack them
  const data = [{ path: model.files[0], data: await verified(model.files[0]) }];
  const [step, score] = await Promise.all(
    names.map(async (name, place) =>
      openSession(ort, await checked(graphs[place], files[name], bundle, name), bundle, name, data),
    ),
  );
  return { step, score };
}

async function openSession(ort, graph, bundle, name, externalData) {
  try {
    return await ort.InferenceSession.create(graph, {
      ...(externalData && { externalData }),
      intraOpNumThreads: 1, // fastest for single requests to a small model
      interOpNumThreads: 1,
      logSeverityLevel: 3, // errors only
    });
  } catch (error) {
    const reason = String(error?.message ?? error).split("\n")[0];
    throw new LightrecError(`ONNX Runtime cannot load ${name} of the bundle ${bundle} (${reason}).`);
  }
}

async function onnxRuntime() {
  if (!IN_NODE) return webRuntime(new URL("onnxruntime-web/ort.wasm.bundle.min.mjs", import.meta.url));
  for (const name of ["onnxruntime-node", "onnxruntime-web"]) {
    try {
      const module = await import(/* webpackIgnore: true */ /* @vite-ignore */ name);
      return oneThread(module.InferenceSession ? module : module.default);
    } catch (error) {
      if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
    }
  }
  throw new LightrecError("ONNX Runtime is not installed: run  npm install --ignore-scripts onnxruntime-node");
}

async function webRuntime(url) {
  try {
    return oneThread(await import(/* webpackIgnore: true */ /* @vite-ignore */ url.href));
  } catch (error) {
    throw new LightrecError(`ONNX Runtime cannot be loaded (${error.message}): copy it to ${url}.`);
  }
}

/** More threads gain nothing for a small model, and need special headers in a browser. */
function oneThread(ort) {
  if (ort.env?.wasm) ort.env.wasm.numThreads = 1;
  return ort;
}

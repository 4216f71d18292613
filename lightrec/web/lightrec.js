/**
 * lightrec.js: recommendations from a lightrec bundle, in a page, a worker, a service worker or in Node 20 and newer.
 *
 *     import { Recommender } from "./lightrec.js";
 *
 *     const recommender = await Recommender.load("bundle");
 *     const { items } = await recommender.recommend(["50", "181"], { k: 10 });
 *
 * In a browser ONNX Runtime is taken from the folder onnxruntime-web/ beside this file or beside the bundle, or from
 * the address given as { onnxruntimeWeb }; in Node from the installed package onnxruntime-node or onnxruntime-web. A
 * module that you imported yourself is given as { ort }. Nothing is sent anywhere, and what onnxruntime-node would report
 * is switched off (docs/privacy.md). The types are in lightrec.d.ts, the format of a bundle in docs/format.md.
 */

const FORMAT_MAJOR = 2;
const ITEMS = "items.json.gz";
const TITLES = "titles.json.gz";
const HERE = import.meta.url; // bundlers rewrite new URL("name", import.meta.url) itself
const IN_NODE = typeof process === "object" && Boolean(process?.versions?.node);
const RUNTIME = "ort.wasm.bundle.min.mjs";
const RUNTIME_WASM = "ort-wasm-simd-threaded.wasm";
const MAX_MANIFEST_BYTES = 2 ** 24;
const MAX_CONTENT_BYTES = 2 ** 28; // bytes: no list of ids or titles inflates to more
const MAX_ITEMS = 2 ** 31 - 1;
const LOAD_OPTIONS = ["precision", "ort", "onnxruntimeWeb", "block"];
const RECOMMEND_OPTIONS = ["k", "exclude", "candidates", "boost"];
const LONE_SURROGATE = /\p{Cs}/u;

// Early too, for other uses of onnxruntime-node in this process: see silenceRuntime.
if (IN_NODE) process.env.ORT_DISABLE_TELEMETRY = "1";

/** Every error that lightrec.js raises on purpose: one sentence that says what is wrong and how to mend it. */
export class LightrecError extends Error {
  name = "LightrecError";

  constructor(message) {
    super(message.replace(/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]+/gu, " ")); // one line, whatever names and values it quotes
  }
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

  constructor(given) {
    if (!given?.session) fail("A Recommender is made by  await Recommender.load(bundle).");
    const { manifest, itemIds, popularity, titles, session, openParts, ort } = given;
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
  static async load(bundle, options) {
    const { precision, ort, onnxruntimeWeb, block = [] } = checkedOptions(options, LOAD_OPTIONS, "load");
    const source = sourceOf(bundle);
    const manifest = checkedManifest(await source.read("manifest.json", { most: MAX_MANIFEST_BYTES }), source);
    const model = chosenModel(manifest, precision, source);
    const [runtime, graph, itemIds, popularity, titleBytes] = await Promise.all([
      ort === undefined ? onnxRuntime(source, onnxruntimeWeb) : checkedRuntime(ort),
      verified(source, manifest, model.files[0]).then((bytes) => checkedGraph(bytes, source.file(model.files[0]))),
      verified(source, manifest, ITEMS).then((bytes) => idsOf(bytes, manifest.n_items, source.file(ITEMS))),
      verified(source, manifest, "popularity.npy").then((bytes) =>
        orderOf(bytes, manifest.n_items, source.file("popularity.npy")),
      ),
      Object.hasOwn(manifest.files, TITLES) ? verified(source, manifest, TITLES, { optional: true }) : null,
    ]);
    if (IN_NODE) await silenceRuntime();
    const session = await openSession(runtime, graph, source.file(model.files[0]));
    const recommender = new Recommender({
      manifest,
      itemIds,
      popularity,
      titles: () => titleBytes && titlesOf(titleBytes, manifest.n_items, source.file(TITLES)),
      session,
      openParts: () => openParts(runtime, model, manifest, source),
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
    return this.#place(id) !== undefined;
  }

  /** The title of an item; null if the item is not known or has none. */
  title(id) {
    return this.#titles?.[this.#place(id)] ?? null;
  }

  /** Recommend none of `items` to anybody from now on, in place of those blocked before; returns unknown ids skipped. */
  block(items, options) {
    const { skipUnknown = false } = checkedOptions(options, ["skipUnknown"], "block");
    const unknown = new Set();
    const blocked = this.#indices(items, "block", unknown);
    const [first] = unknown;
    if (unknown.size && !skipUnknown) {
      fail(`block holds ${shown(first)}, which the bundle does not know: correct it, leave it out or set skipUnknown.`);
    }
    this.#blocked = blocked;
    return [...unknown];
  }

  /** The items to show next to one user, best first; a history without a known item is answered by popularity. */
  async recommend(history, options) {
    const asked = checkedOptions(options, RECOMMEND_OPTIONS, "recommend");
    const unknown = new Set();
    const seen = this.#indices(history, "history", unknown);
    return this.#answer(seen, unknown, asked, (...given) => this.#rank(...given));
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
      rank: (...given) => this.#rank(...given),
      score: (state, seen, { k, exclude }) => this.#run(parts.score, { state, ...this.#inputs(seen, k, exclude) }),
      empty: (shape) => new this.#ort.Tensor("float32", new Float32Array(0), shape),
      history,
    });
  }

  /** Rank by item index, for golden vectors and evaluation; `history` holds at least one item. */
  async rank(history, options) {
    const { k = 10, exclude = [] } = checkedOptions(options, ["k", "exclude"], "rank");
    const seen = this.#places(history, "history");
    if (!seen.length) fail("history is empty: rank needs at least one item.");
    return this.#rank(seen, { k, exclude: this.#places(exclude, "exclude") });
  }

  #rank(seen, { k, exclude }) {
    return this.#run(this.#session, this.#inputs(seen, k, exclude));
  }

  async #run(graph, inputs) {
    const { items, scores } = await graph.run(inputs);
    const asked = Number(inputs.k.data[0]);
    const [found, theirs] = [Array.from(items?.data ?? [], Number), Array.from(scores?.data ?? [])];
    const real = [...found.keys()].filter((place) => found[place] !== -1);
    const indices = new Set(real.map((place) => found[place]));
    const isItem = (index) => Number.isInteger(index) && index >= 0 && index < this.itemIds.length;
    const sound = [...indices].every(isItem) && real.every((place) => Number.isFinite(theirs[place]));
    const fits = found.length === theirs.length && found.length <= asked && indices.size === real.length;
    if (!sound || !fits || (real.length < asked && real.length < this.#remaining(inputs))) {
      fail(`${graph.file} answers with items or scores that cannot be: export the bundle again.`);
    }
    return { items: real.map((place) => found[place]), scores: real.map((place) => theirs[place]) };
  }

  /** How many items `inputs` leave to be recommended. */
  #remaining({ history, exclude }) {
    const hidden = new Set([...history.data, ...exclude.data].filter((index) => index >= 0n));
    return this.itemIds.length - hidden.size;
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
    if (boost === undefined || boost === null) return boosts;
    if (!(boost instanceof Map) && !isPlain(boost)) {
      fail(`boost is ${shown(boost)}: give an object or a Map of numbers by item id, such as { "50": 0.7 }.`);
    }
    for (const [given, amount] of boost instanceof Map ? boost : Object.entries(boost)) {
      const id = checkedId(given, "boost");
      if (!Number.isFinite(amount)) fail(`The boost of item ${shown(id)} is ${shown(amount)}: give a finite number.`);
      const index = this.#index.get(id);
      if (index === undefined) unknown.add(id);
      else boosts.set(index, amount);
    }
    return boosts;
  }

  #tensor(values, shape) {
    return new this.#ort.Tensor("int64", BigInt64Array.from(values, BigInt), shape);
  }

  #place(id) {
    return isId(id) ? this.#index.get(String(id)) : undefined;
  }

  /** The indices of the known ones among a caller's ids; the others are added to `unknown`. */
  #indices(ids, name, unknown) {
    const known = [];
    for (const id of Array.from(checkedList(ids, name), (given) => checkedId(given, name))) {
      const index = this.#index.get(id);
      if (index === undefined) unknown.add(id);
      else known.push(index);
    }
    return known;
  }

  /** A caller's list of item indices. */
  #places(indices, name) {
    const places = [...checkedList(indices, name)];
    const wrong = places.find((index) => !Number.isInteger(index) || index < 0 || index >= this.itemIds.length);
    if (places.includes(wrong)) {
      fail(`${name} holds ${shown(wrong)}: give item indices, whole numbers from 0 to ${this.itemIds.length - 1}.`);
    }
    return places;
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

  constructor(given) {
    if (!given?.answer) fail("A Session is made by  await recommender.session(history).");
    const { history, ...of } = given;
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
  async recommend(options) {
    const asked = checkedOptions(options, RECOMMEND_OPTIONS, "recommend");
    const [seen, unknown] = [this.#history, new Set(this.#unknown)];
    const rank = this.incremental ? (...given) => this.#rank(...given) : this.#of.rank;
    const answer = this.#turn.then(() => this.#of.answer(seen, unknown, asked, rank));
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
    const [state, ...present] = step.outputs.map((name) => answer[name]);
    return [state, Object.fromEntries(Object.keys(past).map((name, place) => [name, present[place]]))];
  }

  /** The past of an empty history: nothing in the free dimensions. */
  #start() {
    const inputs = this.#of.parts.step.inputs.filter(({ name }) => name !== "items");
    const fixed = (size) => (Number.isInteger(size) && size > 0 ? size : 0);
    return Object.fromEntries(inputs.map(({ name, shape }) => [name, this.#of.empty(shape.map(fixed))]));
  }
}

// What a caller gives.

function fail(message) {
  throw new LightrecError(message);
}

/** A value as it is quoted in a message: short, and whatever it is. */
function shown(value) {
  let text;
  try {
    text = typeof value === "bigint" ? `${value}n` : (JSON.stringify(value) ?? String(value));
  } catch {
    text = Object.prototype.toString.call(value);
  }
  if (typeof value === "number") text = String(value); // JSON has no NaN
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

function isPlain(value) {
  return Object.prototype.toString.call(value) === "[object Object]" && !(Symbol.iterator in value);
}

function isId(value) {
  return typeof value === "string" || typeof value === "bigint" || Number.isSafeInteger(value);
}

function checkedId(value, name) {
  if (!isId(value)) fail(`${name} holds ${shown(value)}: an item id is a string or a whole number.`);
  return String(value);
}

/** Any iterable, but for strings and bytes, whose parts are no ids. */
function checkedList(values, name) {
  const isText = typeof values === "string" || values instanceof String || values instanceof Uint8Array;
  if (isText || typeof values?.[Symbol.iterator] !== "function") {
    fail(`${name} is ${shown(values)}: give a list of item ids, such as ["50"].`);
  }
  return values;
}

function checkedOptions(options, known, name) {
  if (options === undefined) return {};
  if (!isPlain(options)) fail(`The options of ${name} are ${shown(options)}: give an object, such as { k: 10 }.`);
  const unknown = Object.keys(options).find((option) => !known.includes(option));
  if (unknown !== undefined) fail(`${name} has no option ${shown(unknown)}: choose from ${known.join(", ")}.`);
  return options;
}

function wholeK(k) {
  if (!Number.isInteger(k) || k < 1) fail(`k is ${shown(k)}: it must be a whole number of at least 1.`);
  return k;
}

// Where a bundle is.

/** A bundle's files: what to call them, and their bytes; from disk in Node unless it has an http address, else by fetch. */
function sourceOf(bundle) {
  const address = addressOf(bundle, "The bundle");
  return IN_NODE && !/^https?:/i.test(address) ? diskSource(address) : webSource(address);
}

/** A string or a URL as a string. */
function addressOf(given, name) {
  const address = typeof given === "string" ? given : given?.href;
  if (typeof address !== "string" || !address) {
    fail(`${name} is ${shown(given)}: give the address of its folder, such as "bundle".`);
  }
  return address;
}

function diskSource(address) {
  const folder = address.replace(/\/*$/, "/");
  const file = (name) => folder + name;
  const read = async (name, { most, optional = false }) => {
    const [{ readFile, stat }, { fileURLToPath }] = await Promise.all(
      ["node:fs/promises", "node:url"].map((module) => import(/* webpackIgnore: true */ /* @vite-ignore */ module)),
    );
    try {
      const path = folder.startsWith("file:") ? fileURLToPath(folder + encodeURIComponent(name)) : file(name);
      const facts = await stat(path);
      if (!facts.isFile()) fail(`${file(name)} is no file: is this a bundle's folder?`);
      if (facts.size > most) fail(tooLong(file(name), most));
      return await readFile(path);
    } catch (error) {
      if (error instanceof LightrecError) throw error;
      if (optional && error.code === "ENOENT") return null;
      fail(`${file(name)} cannot be read (${error.code ?? error.message}): is this a bundle's folder?`);
    }
  };
  return { name: address, file, read };
}

function webSource(address) {
  const base = absolute(address, "bundle");
  const url = (name) => {
    const whole = new URL(encodeURIComponent(name), base);
    whole.search = base.search; // such as a signature
    return whole.href;
  };
  const read = async (name, { most, optional = false }) => {
    const response = await fetched(url(name), optional);
    const bytes = response && (await bodyOf(response, most, url(name)));
    if (!bytes || !isPage(bytes)) return bytes;
    return optional ? null : fail(pageInPlace(url(name))); // as some servers answer for what they do not have
  };
  return { name: address, file: url, read, base };
}

/** The address of a folder, with a slash at its end. */
function absolute(address, name) {
  let url;
  try {
    url = new URL(address, globalThis.document?.baseURI ?? globalThis.location?.href);
  } catch {
    fail(
      `${name} is ${shown(String(address))}, which is no address here: give a whole one, as new URL("/bundle", origin) makes it.`,
    );
  }
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  url.hash = "";
  return url;
}

const MEND = "put the file there, or mend the address";

async function fetched(url, optional = false, mend = MEND) {
  let response;
  try {
    response = await fetch(url);
  } catch (error) {
    fail(`${url} cannot be fetched: ${await unreachable(new URL(url), error)}.`);
  }
  if (optional && (response.status === 404 || response.status === 410)) return null;
  if (!response.ok) fail(`${url} cannot be fetched (status ${response.status}): ${mend}.`);
  return response;
}

/** Why nothing came, and the mend; a browser does not tell a page whether it was the network or a missing header. */
async function unreachable(url, error) {
  const origin = globalThis.location?.origin;
  if (globalThis.navigator?.onLine === false) return "this device is offline, connect it and load again";
  if (url.protocol === "file:") return "a page cannot read files from disk, serve its folder with a web server";
  if (!IN_NODE && origin !== url.origin) {
    if (globalThis.location?.protocol === "https:" && url.protocol === "http:") {
      return "a page that came by https fetches nothing by http, give an https address";
    }
    const answers = await fetch(url, { mode: "no-cors" }).then(
      () => true,
      () => false,
    );
    if (answers) return `its server lets no page of ${origin} read it, have it send Access-Control-Allow-Origin`;
  }
  const reason = error.cause?.code ?? error.message;
  return `no answer (${reason}), check the address, the network and the page's Content-Security-Policy (connect-src)`;
}

/** The body as bytes, and no more of it than one beyond `most`. */
async function bodyOf(response, most, file) {
  try {
    return await bytesOf(response.body, most, () => fail(tooLong(file, most)));
  } catch (error) {
    if (error instanceof LightrecError) throw error;
    fail(`${file} broke off on its way (${error.message}): load it again.`);
  }
}

async function bytesOf(stream, most, tooMany) {
  const [parts, reader] = [[], stream?.getReader()];
  let size = 0;
  while (reader) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    size += value.length;
    if (size <= most) continue;
    reader.cancel().catch(() => {});
    if (isPage(parts[0])) break; // a page is named as such
    tooMany();
  }
  const bytes = new Uint8Array(size);
  let start = 0;
  for (const part of parts) {
    bytes.set(part, start);
    start += part.length;
  }
  return bytes;
}

const tooLong = (file, most) => `${file} has more than the ${most} bytes that it should have: copy the bundle again.`;

/** Whether these are the bytes of a web page, where no file of a bundle begins like one. */
function isPage(bytes) {
  return /^\s*<(!doctype|html|head|body|!--|\?xml|script)/i.test(new TextDecoder().decode(bytes.subarray(0, 200)));
}

const pageInPlace = (file, mend = MEND) =>
  `${file} is a web page and not the file, as many servers answer for what they do not have: ${mend}.`;

// What a bundle holds.

/** One file, checked; what a .gz file holds, whether or not it was inflated on its way. */
async function verified(source, manifest, name, { optional = false } = {}) {
  const [record, file] = [manifest.files[name], source.file(name)];
  const zipped = name.endsWith(".gz");
  const most = zipped ? Math.max(record.bytes, record.content_bytes ?? MAX_CONTENT_BYTES) : record.bytes;
  const bytes = await source.read(name, { most, optional });
  if (bytes === null) return null;
  if (isPage(bytes)) fail(pageInPlace(file));
  const inflated = zipped && !(bytes[0] === 0x1f && bytes[1] === 0x8b); // no JSON begins so
  const [size, sha256] = inflated ? [record.content_bytes, record.content_sha256] : [record.bytes, record.sha256];
  if (bytes.length === size && (await digest(bytes)) === sha256) {
    return zipped && !inflated
      ? gunzipped(bytes, Math.min(record.content_bytes ?? MAX_CONTENT_BYTES, MAX_CONTENT_BYTES), file)
      : bytes;
  }
  if (inflated && sha256 === undefined) {
    fail(
      `${file} came inflated, and this bundle has the SHA-256 of the compressed file alone: run  lightrec package ` +
        "BUNDLE --for web  again, or let the server send .gz files as they are, without Content-Encoding.",
    );
  }
  if (bytes.length < size) fail(`${file} has ${bytes.length} of its ${size} bytes: load or copy the bundle again.`);
  fail(`${file} differs from its SHA-256: copy the bundle again.`);
}

async function digest(bytes) {
  if (!globalThis.crypto?.subtle) fail("This page cannot check SHA-256: serve it by https or from localhost.");
  const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(sum, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function gunzipped(bytes, most, file) {
  const tooMany = () => fail(`${file} inflates to more than ${most} bytes: export the bundle again.`);
  try {
    return await bytesOf(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")), most, tooMany);
  } catch (error) {
    if (error instanceof LightrecError) throw error;
    fail(`${file} is not gzip: export the bundle again.`);
  }
}

function parsed(bytes, file) {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    fail(`${file} is not valid JSON: copy the bundle again.`);
  }
}

function checkedManifest(bytes, source) {
  const file = source.file("manifest.json");
  if (isPage(bytes)) fail(pageInPlace(file));
  const manifest = parsed(bytes, file);
  const version = isPlain(manifest) ? manifest.format_version : undefined;
  if (typeof version !== "string" || !/^\d{1,4}\.\d{1,4}$/.test(version)) {
    fail(`${file} is not a bundle's: it states no format_version such as "2.3".`);
  }
  const major = Number.parseInt(version, 10);
  if (major !== FORMAT_MAJOR) {
    const remedy = major > FORMAT_MAJOR ? "take the lightrec.js of a newer lightrec" : "export the bundle again";
    fail(`${source.name} has format version ${version}, and this lightrec.js reads version ${FORMAT_MAJOR}: ${remedy}.`);
  }
  if (isPlain(manifest.files) && Object.hasOwn(manifest.files, "items.utf8.npy")) {
    fail(
      `${source.name} has its ids in the files of large catalogues, which lightrec.js does not read: ` +
        "run  lightrec package BUNDLE --for web",
    );
  }
  const problem = manifestProblem(manifest);
  if (problem) fail(`${file} ${problem}: export the bundle again.`);
  return manifest;
}

/** What is wrong with a manifest; undefined if nothing is. */
function manifestProblem({ n_items, max_length, models, files }) {
  const isSize = (value) => Number.isInteger(value) && value >= 1 && value <= MAX_ITEMS;
  if (!isSize(n_items) || !isSize(max_length))
    return "has an n_items or max_length that is no whole number of at least 1";
  if (!Array.isArray(models) || !models.length || !models.every(isModel))
    return "lists no models, or one that is malformed";
  if (!isPlain(files)) return "records no files";
  const outside = Object.keys(files).find((name) => /^\.{0,2}$|[\\/:]/.test(name) || LONE_SURROGATE.test(name));
  if (outside !== undefined) return `names a file outside the bundle (${shown(outside)})`;
  const wrong = Object.keys(files).find((name) => !isRecord(files[name]));
  if (wrong !== undefined) return `has no SHA-256 and size of ${shown(wrong)}`;
  const lacking = [ITEMS, "popularity.npy"].find((name) => !Object.hasOwn(files, name));
  return lacking && `lacks ${lacking}`;
}

function isModel(model) {
  const parts = model?.parts ?? {};
  const names = [model?.backend, model?.precision, ...(Array.isArray(model?.files) ? model.files : [])];
  return (
    names.length > 2 && isPlain(parts) && [...names, ...Object.values(parts)].every((one) => typeof one === "string")
  );
}

function isRecord(record) {
  const isSum = (sum) => typeof sum === "string" && /^[0-9a-f]{64}$/.test(sum);
  const isSize = (size) => Number.isSafeInteger(size) && size >= 0;
  const { content_sha256: sum = record?.sha256, content_bytes: size = record?.bytes } = record ?? {};
  return isSum(record?.sha256) && isSize(record.bytes) && isSum(sum) && isSize(size);
}

function chosenModel({ models, files }, precision, source) {
  const model = models.find(
    (one) => one.backend === "onnxruntime" && one.files.length === 1 && [undefined, one.precision].includes(precision),
  );
  if (!model || !Object.hasOwn(files, model.files[0])) {
    const held = models.map((one) => `${one.backend} ${one.precision} (${one.files.join(", ")})`).join(", ");
    const wanted = precision === undefined ? "model" : `${shown(precision).replaceAll('"', "")} model`;
    fail(`${source.name} holds no ${wanted} for onnxruntime in one file (it holds ${held.slice(0, 500)}): export one.`);
  }
  return model;
}

function idsOf(bytes, size, file) {
  const ids = listOf(bytes, size, file);
  const wrong = (id) => typeof id !== "string" || LONE_SURROGATE.test(id);
  if (ids.some(wrong) || new Set(ids).size !== size) {
    fail(`${file} holds an id twice or one that is no proper string: export the bundle again.`);
  }
  return ids;
}

function titlesOf(bytes, size, file) {
  const titles = listOf(bytes, size, file);
  const wrong = (title) => title !== null && (typeof title !== "string" || LONE_SURROGATE.test(title));
  if (titles.some(wrong)) fail(`${file} holds a title that is no proper string: export the bundle again.`);
  return titles;
}

function listOf(bytes, size, file) {
  const values = parsed(bytes, file);
  if (!Array.isArray(values) || values.length !== size) {
    fail(`${file} does not list the ${size} items of the manifest: export the bundle again.`);
  }
  return values;
}

/** The numbers of a .npy file of version 1.0 that holds every index of `size` items once, as little-endian int32. */
function orderOf(bytes, size, file) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = bytes.length >= 10 ? 10 + view.getUint16(8, true) : 0;
  const head = new TextDecoder("latin1").decode(bytes.subarray(0, start));
  const shape = new RegExp(`'shape': *\\(${size},\\)`);
  const fits = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0].every((byte, place) => bytes[place] === byte);
  const order = new Int32Array(fits && bytes.length === start + 4 * size ? size : 0).map((_, place) =>
    view.getInt32(start + 4 * place, true),
  );
  const seen = new Set(order.filter((index) => index >= 0 && index < size));
  if (seen.size !== size || !/'descr': *'<i4'/.test(head) || !shape.test(head)) {
    fail(`${file} does not order the ${size} items: export the bundle again.`);
  }
  return order;
}

/** The graphs for sessions, whose weights are in the model's file; null where the bundle has none. */
async function openParts(ort, model, manifest, source) {
  const names = [model.parts?.step, model.parts?.score];
  if (!names.every((name) => name !== undefined && Object.hasOwn(manifest.files, name))) return null;
  const graphs = await Promise.all(names.map((name) => verified(source, manifest, name, { optional: true })));
  if (graphs.includes(null)) return null; // a deployed bundle may lack them
  const data = [{ path: model.files[0], data: await verified(source, manifest, model.files[0]) }];
  const [step, score] = await Promise.all(
    names.map((name, place) =>
      openSession(ort, checkedGraph(graphs[place], source.file(name), model.files), source.file(name), data),
    ),
  );
  if (!isStep(step)) fail(`${step.file} is no graph for one step of a history: export the bundle again.`);
  return { step, score };
}

/** Whether a graph takes items and, beside them, what was remembered: floats with a free dimension. */
function isStep({ inputs = [] }) {
  const isPast = ({ type, shape }) => type === "float32" && shape.some((size) => !(Number.isInteger(size) && size > 0));
  return inputs.some(({ name }) => name === "items") && inputs.every((one) => one.name === "items" || isPast(one));
}

// What a graph may hold: the fields of ONNX's protobuf to look into, by number, or what is wrong with one.
const NESTED = "holds a graph in a graph, such as a loop";
const TENSOR = { 13: "external" };
const ATTRIBUTE = { 5: TENSOR, 6: NESTED, 10: TENSOR, 11: NESTED };
const GRAPH = { 1: { 5: ATTRIBUTE }, 5: TENSOR, 15: "holds sparse weights" };
const MODEL = { 7: GRAPH, 25: "defines functions" };

/** Refuse a graph that might never end, or that reads other files than `beside`: those of bundles are flat lists. */
function checkedGraph(bytes, file, beside = []) {
  if (new TextDecoder().decode(bytes.subarray(4, 8)) === "ORTM") return bytes; // ONNX Runtime's own format
  let problem;
  try {
    problem = graphProblem(bytes, 0, bytes.length, MODEL, beside);
  } catch {
    fail(`${file} is not an ONNX model: copy the bundle again.`);
  }
  if (problem) fail(`${file} ${problem}, which no model of a bundle does: export the bundle again.`);
  return bytes;
}

function graphProblem(bytes, start, stop, rules, beside) {
  for (const [number, first, last] of fieldsOf(bytes, start, stop)) {
    const rule = rules[number];
    if (rule === "external") {
      const texts = [...fieldsOf(bytes, first, last)].map(([, from, to]) =>
        new TextDecoder().decode(bytes.slice(from, to)),
      );
      if (texts[0] === "location" && !beside.includes(texts[1])) return `reads weights from ${shown(texts[1])}`;
    } else if (typeof rule === "string") return rule;
    const problem = typeof rule === "object" && graphProblem(bytes, first, last, rule, beside);
    if (problem) return problem;
  }
}

/** The fields of a message of protobuf that have a length: number, start and end. */
function* fieldsOf(bytes, start, stop) {
  let place = start;
  const varint = () => {
    for (let [value, factor] = [0, 1]; place < stop && factor < 2 ** 70; factor *= 128) {
      const byte = bytes[place++];
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
    throw new RangeError("cut short");
  };
  while (place < stop) {
    const key = varint();
    const size = [varint, () => 8, varint, undefined, undefined, () => 4][key % 8]();
    if (key % 8 === 0) continue;
    if (place + size > stop) throw new RangeError("cut short");
    if (key % 8 === 2) yield [Math.floor(key / 8), place, place + size];
    place += size;
  }
}

// ONNX Runtime.

/** A graph to run, whose errors are sentences. */
async function openSession(ort, graph, file, externalData) {
  const options = {
    ...(externalData && { externalData }),
    intraOpNumThreads: 1, // fastest for single requests to a small model
    interOpNumThreads: 1,
    logSeverityLevel: 3, // errors only
  };
  let session;
  try {
    session = await ort.InferenceSession.create(graph, options);
  } catch (error) {
    if (/no available backend/.test(error?.message)) fail(await notStarted(ort, error));
    fail(`ONNX Runtime cannot load ${file} (${reasonOf(error)}): copy the bundle again, or take a newer ONNX Runtime.`);
  }
  const run = async (inputs) => {
    try {
      return await session.run(inputs);
    } catch (error) {
      fail(`ONNX Runtime cannot run ${file} (${reasonOf(error)}): export the bundle again.`);
    }
  };
  return { file, run, inputs: session.inputMetadata, outputs: session.outputNames };
}

function reasonOf(error) {
  return String(error?.message ?? error)
    .split("\n")[0]
    .slice(0, 300);
}

const addresses = new WeakMap(); // of the modules that lightrec.js has imported

/**
 * Stop onnxruntime-node from reporting home, which it does from the first session of the process on. What counts is the
 * process's own environment, of which a worker thread has a copy: the main thread sets it there.
 */
async function silenceRuntime() {
  process.env.ORT_DISABLE_TELEMETRY = "1";
  const load = (module) => import(/* webpackIgnore: true */ /* @vite-ignore */ module);
  try {
    if ((await load("node:worker_threads")).isMainThread) return;
    const session = new (await load("node:inspector")).Session();
    session.connectToMainThread();
    await new Promise((done) => {
      const patience = setTimeout(done, 1000);
      session.post("Runtime.evaluate", { expression: 'process.env.ORT_DISABLE_TELEMETRY = "1"' }, () => {
        clearTimeout(patience);
        done();
      });
    });
    session.disconnect();
  } catch {
    // A Node without an inspector: docs/privacy.md says what helps there.
  }
}

async function onnxRuntime(source, onnxruntimeWeb) {
  if (!IN_NODE) return webRuntime(source, onnxruntimeWeb);
  for (const name of ["onnxruntime-node", "onnxruntime-web"]) {
    try {
      return checkedRuntime(await import(/* webpackIgnore: true */ /* @vite-ignore */ name));
    } catch (error) {
      if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
    }
  }
  fail("ONNX Runtime is not installed: run  npm install --ignore-scripts onnxruntime-node");
}

/** The module itself, on one thread: more gain nothing for a small model, and need special headers in a browser. */
function checkedRuntime(module) {
  const ort = module?.InferenceSession ? module : module?.default;
  if (typeof ort?.InferenceSession?.create !== "function" || !ort.Tensor) {
    fail(`ort is ${shown(module)}: give the module onnxruntime-web or onnxruntime-node.`);
  }
  if (ort.env?.wasm && !ort.env.wasm.numThreads) ort.env.wasm.numThreads = 1;
  return ort;
}

async function webRuntime(source, onnxruntimeWeb) {
  if (globalThis.ServiceWorkerGlobalScope && globalThis instanceof ServiceWorkerGlobalScope) {
    fail(
      "A service worker imports nothing later on: import onnxruntime-web at its top, and give it to load as { ort }.",
    );
  }
  const folders = runtimeFolders(source, onnxruntimeWeb);
  for (const folder of folders) {
    const { href } = new URL(RUNTIME, folder);
    try {
      const ort = checkedRuntime(await import(/* webpackIgnore: true */ /* @vite-ignore */ href));
      addresses.set(ort, new URL(RUNTIME_WASM, folder).href);
      return ort;
    } catch (error) {
      if (folder === folders.at(-1)) fail(await notImported(href, error));
    }
  }
}

/** Where onnxruntime-web/ may be: beside lightrec.js, or beside a bundle from the same server as the page. */
function runtimeFolders({ base }, onnxruntimeWeb) {
  if (onnxruntimeWeb !== undefined) return [absolute(addressOf(onnxruntimeWeb, "onnxruntimeWeb"), "onnxruntimeWeb")];
  const { origin, protocol } = globalThis.location ?? {};
  const folders = [];
  // webpack makes a file: address of HERE, other bundlers none at all.
  if (HERE && (protocol === "file:" || /^(?!file:|blob:|data:)/.test(HERE)))
    folders.push(new URL("onnxruntime-web/", HERE));
  if (base.origin === origin) folders.push(new URL("../onnxruntime-web/", base)); // no code from elsewhere
  return folders.length
    ? folders
    : fail(`ONNX Runtime has no address: give load that of the folder onnxruntime-web/ as { onnxruntimeWeb }.`);
}

const RUNTIME_MEND =
  "put the folder onnxruntime-web/ of  lightrec package BUNDLE --for web  there, or give load its address as " +
  "{ onnxruntimeWeb }";

/** Why ONNX Runtime's module cannot be imported, which the browser's own error does not tell. */
async function notImported(url, error) {
  const problem = `ONNX Runtime cannot be loaded`;
  try {
    const response = await fetched(url, false, RUNTIME_MEND);
    if (isPage(await bodyOf(response, MAX_CONTENT_BYTES, url))) return `${problem}: ${pageInPlace(url, RUNTIME_MEND)}`;
    const type = response.headers.get("Content-Type");
    if (!/javascript|ecmascript/.test(type)) {
      return `${problem}: ${url} is served as ${type}, let the server send .mjs files as text/javascript.`;
    }
  } catch (found) {
    return `${problem}: ${found.message}`;
  }
  return `${problem} from ${url} (${reasonOf(error)}): ${RUNTIME_MEND}.`;
}

/** Why ONNX Runtime does not start: mostly because of its .wasm file. */
async function notStarted(ort, error) {
  const [url, problem] = [addresses.get(ort), "ONNX Runtime cannot start"];
  if (!url) {
    const page = /found 3c/.test(error.message) ? "got a web page for its .wasm file" : reasonOf(error); // 3c is "<"
    return `${problem} (${page}): serve that file, and say where by ort.env.wasm.wasmPaths = { wasm: address }.`;
  }
  try {
    const bytes = await bodyOf(await fetched(url, false, RUNTIME_MEND), MAX_CONTENT_BYTES, url);
    if (isPage(bytes)) return `${problem}: ${pageInPlace(url, RUNTIME_MEND)}`;
    if (new TextDecoder().decode(bytes.subarray(0, 4)) !== "\0asm") {
      return `${problem}: ${url} is no WebAssembly, ${RUNTIME_MEND}.`;
    }
  } catch (found) {
    return `${problem}: ${found.message}`;
  }
  return `${problem} (${reasonOf(error)}): allow 'wasm-unsafe-eval' in the page's Content-Security-Policy (script-src).`;
}

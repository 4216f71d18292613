/** Types of lightrec.js. Items are called by their own ids; a whole number is taken as its string, so that 50 means "50". */

export type ItemId = string | number | bigint;

/** What a model's numbers are. */
export type Precision = "fp32" | "fp16" | "int8" | "int8-static" | "int4";

/** One recommended item. */
export interface Recommendation {
  /** The item's own id. */
  id: string;
  /** Its title; null if the bundle has none. */
  title: string | null;
  /** The model's score (a logit: comparable within one answer); null where popularity answered. */
  score: number | null;
}

/** An answer and what there is to know about it. */
export interface Recommendations {
  /** Best first. */
  items: Recommendation[];
  /** Ids among history, exclude, candidates and boosts that the bundle does not know; they were skipped. */
  unknown: string[];
  /** True if the history held no known item, so that the most popular items are returned. */
  fallback: boolean;
}

export interface LoadOptions {
  /** Which model, where the bundle holds several; the first by default. */
  precision?: Precision;
  /**
   * The module onnxruntime-web or onnxruntime-node, where you import it yourself, as in a service worker; by default
   * the one that lightrec.js finds by itself.
   */
  ort?: unknown;
  /**
   * Address of the folder onnxruntime-web/ that a web package holds; by default the one beside lightrec.js, or beside
   * a bundle from the page's own server. Code is loaded from there. Not for Node.
   */
  onnxruntimeWeb?: string | URL;
  /** Items never to recommend to anybody; see `Recommender.block`. Ids that the bundle does not know are an error. */
  block?: Iterable<ItemId>;
}

export interface RecommendOptions {
  /** How many items; fewer come back where fewer remain. 10 by default. */
  k?: number;
  /** Further items never to return. */
  exclude?: Iterable<ItemId>;
  /** If given, only these may be returned. */
  candidates?: Iterable<ItemId> | null;
  /** Added to the scores of these items before the whole catalogue is ranked; Math.LN2 makes an item twice as likely. */
  boost?: Record<string | number, number> | Map<ItemId, number> | null;
}

/** What a manifest.json says; docs/format.md explains every key. */
export interface Manifest {
  format_version: string;
  model_type: string;
  n_items: number;
  max_length: number;
  k_limit: number;
  hidden_size: number;
  models: { backend: string; precision: Precision; files: string[]; opset: number | null }[];
  files: Record<string, { sha256: string; bytes: number; content_sha256?: string; content_bytes?: number }>;
  [key: string]: unknown;
}

/** Every error that lightrec.js raises on purpose: one sentence that says what is wrong and how to mend it. */
export class LightrecError extends Error {}

/** A loaded bundle. */
export class Recommender {
  private constructor();

  /**
   * Load a bundle and check the SHA-256 of every file that is read.
   *
   * @param bundle address of the bundle's folder, relative to the page, in a worker to the worker's script; in Node a
   *   path, too.
   * @throws LightrecError if the bundle or ONNX Runtime cannot be loaded, if the bundle is damaged, or holds no model
   *   for ONNX Runtime.
   */
  static load(bundle: string | URL, options?: LoadOptions): Promise<Recommender>;

  /** What the bundle says of itself. */
  readonly manifest: Manifest;
  /** The items' own ids, by index. */
  readonly itemIds: readonly string[];

  /** Whether the bundle knows an item. */
  has(id: ItemId): boolean;

  /** The title of an item; null if the item is not known or has none. */
  title(id: ItemId): string | null;

  /**
   * Recommend none of `items` to anybody from now on, in place of those blocked before.
   *
   * In a history they still say what the user likes.
   *
   * @param options `skipUnknown`: skip ids that the bundle does not know, in place of an error; false by default.
   * @returns the ids that were skipped.
   * @throws LightrecError if an id is not known; what was blocked before stays blocked.
   */
  block(items: Iterable<ItemId>, options?: { skipUnknown?: boolean }): string[];

  /**
   * The items to show next to one user, best first.
   *
   * Items of the history are never returned, however long it is; the model reads its last `manifest.max_length` known
   * items. A history without a known item is answered by popularity.
   *
   * @param history the user's item ids, oldest first.
   * @throws LightrecError if `k` is no whole number of at least 1, a list of ids is no list or holds something that is
   *   no id, a boost is no finite number, or an option is not known.
   */
  recommend(history: Iterable<ItemId>, options?: RecommendOptions): Promise<Recommendations>;

  /**
   * A history that grows item by item; each recommendation reads only what is new.
   *
   * @param history items to start from, oldest first.
   */
  session(history?: Iterable<ItemId>): Promise<Session>;

  /**
   * Rank by item index, for golden vectors and evaluation.
   *
   * @throws LightrecError if `history` is empty or an index is that of no item.
   */
  rank(
    history: readonly number[],
    options?: { k?: number; exclude?: readonly number[] },
  ): Promise<{ items: number[]; scores: number[] }>;
}

/**
 * One user's growing history; made by `Recommender.session`.
 *
 * It answers as `Recommender.recommend` would with the whole history. As long as there are no more than
 * `manifest.max_length` items, only those that were not read yet go through the model; after that the whole window is
 * read again for each new one.
 */
export class Session {
  private constructor();

  /** False if every recommendation reads the whole window: the bundle has no graph for one step. */
  readonly incremental: boolean;
  /** How many known items the history has. */
  readonly length: number;

  /** Put an item behind the history; an unknown one is skipped and reported by the next recommendation. */
  add(item: ItemId): void;

  /** Put several items behind the history, oldest first. */
  extend(items: Iterable<ItemId>): void;

  /** The items to show next; what is added while an answer is on its way belongs to the next one. */
  recommend(options?: RecommendOptions): Promise<Recommendations>;
}

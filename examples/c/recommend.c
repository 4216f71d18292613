/*
 * Recommendations in C: what to show next to somebody who liked the items named on the command line.
 *
 *     cc -O2 recommend.c -o recommend -I "$ONNXRUNTIME/include" -L "$ONNXRUNTIME/lib" -Wl,-rpath,"$ONNXRUNTIME/lib" \
 *         -lonnxruntime -lz
 *     ./recommend -k 5 bundle 50 181 174
 *     ./recommend -k 5 -x 172 bundle 50 181 174      (never item 172; -x may be repeated)
 *
 * Prints a line for each item: id, title and score, with tabs between them. Needs zlib and the C library of ONNX Runtime,
 * 1.23 or newer, $ONNXRUNTIME being the absolute path of an unpacked release of it; the header may be older than the
 * library. The ids must lie in items.json.gz, as they do below 200,000 items; docs/format.md tells of the rest. The
 * bundle is trusted: `lightrec verify` checks the SHA-256 of its files.
 */

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "onnxruntime_c_api.h"

static void die(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("Error: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  exit(2);
}

static void *allocate(size_t bytes) {
  void *memory = malloc(bytes ? bytes : 1);
  if (!memory) die("%zu bytes of memory are not to be had.", bytes);
  return memory;
}

/* ---- Files ---- */

/* A whole file and a zero byte behind it; gunzipped if it is gzip. NULL if there is no such file. */
static char *read_file(const char *folder, const char *name, size_t *size) {
  char path[4096];
  if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) die("The path %s is too long.", folder);
  gzFile file = gzopen(path, "rb");
  if (!file) return NULL;
  size_t used = 0, room = 1 << 16;
  char *text = allocate(room);
  for (int got; (got = gzread(file, text + used, (unsigned)(room - used - 1))) != 0; used += (size_t)got) {
    if (got < 0) die("%s cannot be read: copy the bundle again.", path);
    if (used + (size_t)got + 1 == room && !(text = realloc(text, room *= 2))) die("%s is too large.", path);
  }
  gzclose(file);
  text[used] = 0;
  if (size) *size = used;
  return text;
}

static char *need_file(const char *folder, const char *name, size_t *size) {
  char *text = read_file(folder, name, size);
  if (!text) die("%s/%s is missing: is this a bundle's folder?", folder, name);
  return text;
}

/* ---- JSON: a cursor into the text. Every function takes the place of a value and returns a place behind it. ---- */

static const char *skip_space(const char *at) {
  while (*at && strchr(" \t\r\n", *at)) at++;
  return at;
}

static const char *expect(const char *at, char wanted) {
  at = skip_space(at);
  if (*at != wanted) die("The bundle's JSON is damaged where '%c' is expected: copy the bundle again.", wanted);
  return at + 1;
}

static char *put_utf8(char *to, uint32_t code) {
  int more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  static const unsigned char first[] = {0, 0xC0, 0xE0, 0xF0};
  *to++ = (char)(first[more] | code >> 6 * more);
  while (more--) *to++ = (char)(0x80 | (code >> 6 * more & 0x3F));
  return to;
}

static uint32_t hex4(const char *at) {
  char digits[5] = {0};
  strncpy(digits, at, 4);
  return (uint32_t)strtoul(digits, NULL, 16);
}

/* The string at `at`, which `*text` gets in UTF-8 with its escapes resolved. The caller frees it. */
static const char *read_string(const char *at, char **text) {
  at = expect(at, '"');
  size_t length = strcspn(at, "\"\\");
  for (const char *end = at + length; *end == '\\' && end[1]; length = (size_t)(end - at)) {
    end += 2;
    end += strcspn(end, "\"\\");
  }
  char *to = *text = allocate(length + 1); /* UTF-8 never takes more bytes than the escape that stands for it */
  while (*at && *at != '"') {
    if (*at != '\\') {
      *to++ = *at++;
      continue;
    }
    static const char escapes[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const char *found = at[1] ? strchr(escapes, at[1]) : NULL;
    if (found) {
      *to++ = meant[found - escapes];
      at += 2;
    } else if (at[1] == 'u' && strlen(at) >= 6) {
      uint32_t code = hex4(at + 2);
      at += 6;
      if (code >= 0xD800 && code < 0xDC00 && at[0] == '\\' && at[1] == 'u' && strlen(at) >= 6) { /* a pair */
        code = 0x10000 + ((code - 0xD800) << 10) + (hex4(at + 2) - 0xDC00);
        at += 6;
      }
      to = put_utf8(to, code);
    } else {
      die("The bundle's JSON has a wrong escape: copy the bundle again.");
    }
  }
  *to = 0;
  return expect(at, '"');
}

static const char *skip_value(const char *at) {
  at = skip_space(at);
  if (*at == '"') {
    char *text;
    at = read_string(at, &text);
    free(text);
    return at;
  }
  if (*at != '{' && *at != '[') return at + strcspn(at, ",]} \t\r\n");
  char closing = *at == '{' ? '}' : ']';
  int is_object = *at == '{';
  for (at = skip_space(at + 1); *at != closing; at = skip_space(at)) {
    if (is_object) at = expect(skip_value(at), ':');
    at = skip_space(skip_value(at));
    if (*at != closing) at = expect(at, ',');
  }
  return at + 1;
}

/* The value of `key` in the object at `at`; NULL if it has none. */
static const char *member(const char *at, const char *key) {
  for (at = skip_space(expect(at, '{')); *at != '}'; at = skip_space(at)) {
    char *name;
    at = expect(read_string(at, &name), ':');
    int found = strcmp(name, key) == 0;
    free(name);
    if (found) return skip_space(at);
    at = skip_space(skip_value(at));
    if (*at != '}') at = expect(at, ',');
  }
  return NULL;
}

static const char *need_member(const char *at, const char *key) {
  const char *value = member(at, key);
  if (!value) die("The manifest has no %s: is this a bundle?", key);
  return value;
}

/* The `count` strings, or nulls, of the list at `at`. */
static char **read_strings(const char *at, int64_t count, const char *name) {
  char **strings = allocate((size_t)count * sizeof *strings);
  at = expect(at, '[');
  for (int64_t place = 0; place < count; place++) {
    if (place) at = expect(at, ',');
    at = skip_space(at);
    if (*at == '"') {
      at = read_string(at, &strings[place]);
    } else if (strncmp(at, "null", 4) == 0) {
      strings[place] = NULL;
      at += 4;
    } else {
      die("%s does not list %" PRId64 " items: export the bundle again.", name, count);
    }
  }
  expect(at, ']');
  return strings;
}

/* ---- The bundle ---- */

typedef struct {
  int64_t n_items, max_length;
  char **ids, **titles; /* titles is NULL if the bundle has none */
  int32_t *popularity;  /* item indices, most popular first */
  char *model;          /* name of the file */
} Bundle;

/* The file of the first model that ONNX Runtime runs. */
static char *model_file(const char *manifest) {
  const char *at = skip_space(expect(need_member(manifest, "models"), '['));
  while (*at == '{') {
    char *backend, *file;
    read_string(need_member(at, "backend"), &backend);
    read_string(expect(need_member(at, "files"), '['), &file);
    if (strcmp(backend, "onnxruntime") == 0) return file;
    at = skip_space(skip_value(at));
    if (*at == ',') at = skip_space(at + 1);
  }
  die("The bundle holds no model for ONNX Runtime: export one with --format onnx.");
  return NULL;
}

static int32_t *read_popularity(const char *folder, int64_t n_items) {
  size_t size;
  unsigned char *bytes = (unsigned char *)need_file(folder, "popularity.npy", &size);
  size_t start = size < 10 ? 0 : 10u + bytes[8] + 256u * bytes[9]; /* magic, version, length of the header */
  if (!start || size != start + 4 * (size_t)n_items) die("popularity.npy does not order %" PRId64 " items.", n_items);
  int32_t *order = allocate((size_t)n_items * sizeof *order);
  for (int64_t place = 0; place < n_items; place++) {
    const unsigned char *at = bytes + start + 4 * place;
    order[place] = (int32_t)(at[0] | at[1] << 8 | at[2] << 16 | (uint32_t)at[3] << 24);
  }
  free(bytes);
  return order;
}

static Bundle open_bundle(const char *folder) {
  Bundle bundle = {0};
  char *manifest = need_file(folder, "manifest.json", NULL), *version;
  read_string(need_member(manifest, "format_version"), &version);
  if (atoi(version) != 2) die("%s has format version %s: this program reads version 2.", folder, version);
  free(version);
  bundle.n_items = atoll(need_member(manifest, "n_items"));
  bundle.max_length = atoll(need_member(manifest, "max_length"));
  if (bundle.n_items < 1 || bundle.max_length < 1) die("The manifest of %s gives no sizes.", folder);
  bundle.model = model_file(manifest);
  const char *ids_file = "items.json.gz", *titles_file = "titles.json.gz";
  free(manifest);
  char *ids = need_file(folder, ids_file, NULL), *titles = read_file(folder, titles_file, NULL);
  bundle.ids = read_strings(ids, bundle.n_items, ids_file);
  if (titles) bundle.titles = read_strings(titles, bundle.n_items, titles_file);
  free(ids);
  free(titles);
  bundle.popularity = read_popularity(folder, bundle.n_items);
  return bundle;
}

/* The index of an item, -1 if it is unknown. One after another will do for a few ids: keep a hash table for many. */
static int64_t index_of(const Bundle *bundle, const char *id) {
  for (int64_t item = 0; item < bundle->n_items; item++)
    if (bundle->ids[item] && strcmp(bundle->ids[item], id) == 0) return item;
  fprintf(stderr, "Not in the catalogue: %s\n", id);
  return -1;
}

/* Item indices. */
typedef struct {
  int64_t *items, size;
} Items;

static Items known_items(const Bundle *bundle, char **ids, int count) {
  Items known = {allocate((size_t)count * sizeof *known.items), 0};
  for (int place = 0; place < count; place++) {
    int64_t item = index_of(bundle, ids[place]);
    if (item >= 0) known.items[known.size++] = item;
  }
  return known;
}

static void print_item(const Bundle *bundle, int64_t item, float score) {
  const char *title = bundle->titles && bundle->titles[item] ? bundle->titles[item] : "";
  printf("%s\t%s\t", bundle->ids[item], title);
  if (isnan(score)) puts(""); /* popularity has no scores */
  else printf("%.6f\n", score);
}

/* ---- The model ---- */

static const OrtApi *ort;

static void check(OrtStatus *status) {
  if (status) die("ONNX Runtime says: %s", ort->GetErrorMessage(status));
}

static OrtSession *open_model(const char *folder, const char *file) {
  ort = OrtGetApiBase()->GetApi(ORT_API_VERSION);
  if (!ort) die("ONNX Runtime is older than the header that this program was compiled with.");
  char path[4096];
  if (snprintf(path, sizeof path, "%s/%s", folder, file) >= (int)sizeof path) die("The path %s is too long.", folder);
  setenv("ORT_DISABLE_TELEMETRY", "1", 1); /* ONNX Runtime reports home from CreateEnv on, unless this is set */
  OrtEnv *env;
  OrtSessionOptions *options;
  OrtSession *session;
  check(ort->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "lightrec", &env));
  check(ort->DisableTelemetryEvents(env)); /* for versions that do not read the variable */
  check(ort->CreateSessionOptions(&options));
  check(ort->SetIntraOpNumThreads(options, 1)); /* fastest for single requests to a small model */
  check(ort->CreateSession(env, path, options, &session));
  return session;
}

static OrtValue *tensor(int64_t *values, int64_t size, int rank) {
  OrtMemoryInfo *memory;
  OrtValue *value;
  int64_t shape[] = {1, size};
  check(ort->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &memory));
  check(ort->CreateTensorWithDataAsOrtValue(memory, values, (size_t)size * sizeof *values, shape + 2 - rank,
                                            (size_t)rank, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, &value));
  ort->ReleaseMemoryInfo(memory);
  return value;
}

/* Ask the model and print its answer. `history` is not empty. */
static void recommend(const Bundle *bundle, OrtSession *session, Items history, Items exclude, int64_t k) {
  int64_t length = history.size < bundle->max_length ? history.size : bundle->max_length;
  int64_t older = history.size - length;
  /* What the model does not read is still filtered as seen; some runtimes refuse an empty input. */
  Items left_out = {allocate((size_t)(older + exclude.size + 1) * sizeof(int64_t)), older + exclude.size};
  memcpy(left_out.items, history.items, (size_t)older * sizeof(int64_t));
  memcpy(left_out.items + older, exclude.items, (size_t)exclude.size * sizeof(int64_t));
  if (!left_out.size) left_out.items[left_out.size++] = -1;
  if (k > bundle->n_items) k = bundle->n_items;

  const char *inputs[] = {"history", "length", "exclude", "k"}, *outputs[] = {"items", "scores"};
  const OrtValue *values[] = {tensor(history.items + older, length, 2), tensor(&length, 1, 1),
                              tensor(left_out.items, left_out.size, 2), tensor(&k, 1, 1)};
  OrtValue *answer[2] = {NULL, NULL};
  check(ort->Run(session, NULL, inputs, values, 4, outputs, 2, answer));

  OrtTensorTypeAndShapeInfo *shape;
  size_t found;
  int64_t *items;
  float *scores;
  check(ort->GetTensorTypeAndShape(answer[0], &shape));
  check(ort->GetTensorShapeElementCount(shape, &found));
  check(ort->GetTensorMutableData(answer[0], (void **)&items));
  check(ort->GetTensorMutableData(answer[1], (void **)&scores));
  for (size_t rank = 0; rank < found && items[rank] >= 0; rank++) print_item(bundle, items[rank], scores[rank]);
}

static void print_popular(const Bundle *bundle, Items exclude, int64_t k) {
  fputs("No item of the history is known: these are the most popular ones.\n", stderr);
  for (int64_t place = 0; place < bundle->n_items && k > 0; place++) {
    int64_t item = bundle->popularity[place], left_out = 0;
    for (int64_t other = 0; other < exclude.size; other++) left_out |= exclude.items[other] == item;
    if (left_out) continue;
    print_item(bundle, item, NAN);
    k--;
  }
}

int main(int count, char **arguments) {
  int64_t k = 5;
  char **excluded = allocate((size_t)count * sizeof *excluded);
  int excluded_count = 0;
  for (int option; (option = getopt(count, arguments, "k:x:")) != -1;) {
    if (option == 'k') k = atoll(optarg);
    else if (option == 'x') excluded[excluded_count++] = optarg;
    else die("Usage: recommend [-k COUNT] [-x ID]... BUNDLE ID...");
  }
  if (optind >= count) die("Usage: recommend [-k COUNT] [-x ID]... BUNDLE ID...");
  if (k < 1) die("-k must be a whole number of at least 1.");

  const char *folder = arguments[optind];
  Bundle bundle = open_bundle(folder);
  Items history = known_items(&bundle, arguments + optind + 1, count - optind - 1);
  Items exclude = known_items(&bundle, excluded, excluded_count);
  if (history.size) recommend(&bundle, open_model(folder, bundle.model), history, exclude, k);
  else print_popular(&bundle, exclude, k);
  return 0; /* the memory goes with the process */
}

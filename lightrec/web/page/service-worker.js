/** Keeps all files of the page, so that it works offline. precache.js lists them and changes with any of them. */

importScripts("precache.js");

// Other packages may live on the same server: each keeps to its own caches.
const PREFIX = `lightrec ${self.registration.scope} `;
const CACHE = PREFIX + self.PRECACHE.version;

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));
self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method === "GET" && request.url.startsWith(self.registration.scope)) event.respondWith(answer(request));
});

async function install() {
  const cache = await caches.open(CACHE);
  // "no-cache" asks the server whether the browser's own copy is still the newest, and so fetches nothing twice.
  await cache.addAll(self.PRECACHE.files.map((file) => new Request(file, { cache: "no-cache" })));
  await self.skipWaiting();
}

async function activate() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(PREFIX) && name !== CACHE).map((name) => caches.delete(name)));
  await self.clients.claim();
}

async function answer(request) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(request.mode === "navigate" ? "./" : request, { ignoreSearch: true });
  return kept ?? fetch(request);
}

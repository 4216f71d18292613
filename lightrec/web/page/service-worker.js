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
  await Promise.all(Object.entries(self.PRECACHE.files).map((entry) => keep(cache, ...entry)));
  await self.skipWaiting();
}

/** Only what the list promises is kept. "no-cache" fetches nothing again that the browser still has and is the newest. */
async function keep(cache, file, integrity) {
  const get = (mode) => fetch(file, { cache: mode, integrity });
  await cache.put(file, await get("no-cache").catch(() => get("reload")));
}

async function activate() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(PREFIX) && name !== CACHE).map((name) => caches.delete(name)));
  await self.clients.claim();
}

async function answer(request) {
  const cache = await caches.open(CACHE);
  const kept = isHome(request)
    ? cache.match("./")
    : cache.match(request, { ignoreSearch: request.mode !== "navigate" });
  return (await kept) ?? fetch(request);
}

/** Whether the demo page itself is opened, with whatever query; other pages in its folder are somebody's own. */
function isHome({ mode, url }) {
  const [path, home] = [url, self.registration.scope].map((address) => new URL(address).pathname);
  return mode === "navigate" && (path === home || path === `${home}index.html`);
}

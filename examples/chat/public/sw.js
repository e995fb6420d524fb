// Keeps the page itself for when the server can't be reached: network first, so that nobody is stuck with an old version.
// Messages are none of its business; those are in the outbox and the history.
const CACHE = 'everyonce-chat';
const ENTRIES = [
  './',
  'icon.svg',
  'main.js',
  'styles/base.css',
  'styles/layout.css',
  'styles/thread.css',
  'styles/network.css',
];

/** @param {string} text of a module @returns {string[]} what it imports statically */
const importsOf = (text) =>
  [...text.matchAll(/^\s*(?:import|export)\b[^'"]*?from\s*'([^']+)'/gm)].map(([, path]) => path);

/** Fetches the page and all that its modules lead to; so no list needs to be kept. */
async function fill() {
  const cache = await caches.open(CACHE);
  const waiting = ENTRIES.map((path) => new URL(path, location.href).href);
  const seen = new Set(waiting);
  for (const address of waiting) {
    const response = await fetch(address, { cache: 'no-cache' });
    if (!response.ok) throw new Error(`${address}: ${response.status}`);
    await cache.put(address, response.clone());
    if (!address.endsWith('.js')) continue;
    for (const path of importsOf(await response.text())) {
      const next = new URL(path, address).href;
      if (seen.has(next)) continue;
      seen.add(next);
      waiting.push(next);
    }
  }
}

/** @param {Request} request @param {string} name under which it is kept */
async function answer(request, name) {
  const cache = await caches.open(CACHE);
  try {
    const response = await fetch(request);
    if (response.ok) await cache.put(name, response.clone());
    return response;
  } catch (error) {
    const kept = await cache.match(name);
    if (kept) return kept;
    throw error;
  }
}

addEventListener('install', (event) => {
  event.waitUntil(fill().then(() => skipWaiting()));
});

addEventListener('activate', (event) => {
  event.waitUntil(clients.claim());
});

addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== location.origin) return;
  // One page, whoever is named in its address.
  const name = request.mode === 'navigate' ? new URL('./', location.href).href : request.url;
  event.respondWith(answer(request, name));
});

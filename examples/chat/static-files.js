// The files of one folder over HTTP. Only what was in the folder at the start is served, by exact name: there is no path
// to walk out of it.
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { extname, join, relative, sep } from 'node:path';

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.webmanifest': 'application/manifest+json',
};

/** Everything comes from here, and nothing is inline. The page's WebSocket is 'self', too. */
const SECURITY = {
  'Content-Security-Policy':
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'",
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
};

export class StaticFiles {
  /** Path of the URL → path on disk. @type {Map<string, string>} */
  #paths = new Map();

  /** @param {string} folder */
  constructor(folder) {
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !(extname(entry.name) in TYPES)) continue;
      const path = join(entry.parentPath, entry.name);
      this.#paths.set(`/${relative(folder, path).split(sep).join('/')}`, path);
    }
  }

  /**
   * @param {import('node:http').IncomingMessage} request
   * @param {import('node:http').ServerResponse} response
   */
  answer(request, response) {
    const [name] = (request.url ?? '/').split(/[?#]/, 1);
    const path = this.#paths.get(name === '/' ? '/index.html' : name);
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    if (!isRead) return void response.writeHead(405, { ...SECURITY, Allow: 'GET, HEAD' }).end();
    if (!path) return void response.writeHead(404, { ...SECURITY, 'Content-Type': 'text/plain' }).end('Not found\n');
    const content = readFileSync(path);
    const etag = `"${createHash('sha256').update(content).digest('base64url')}"`;
    const headers = { ...SECURITY, 'Cache-Control': 'no-cache', ETag: etag };
    if (request.headers['if-none-match'] === etag) return void response.writeHead(304, headers).end();
    response.writeHead(200, { ...headers, 'Content-Type': TYPES[extname(path)], 'Content-Length': content.length });
    response.end(request.method === 'HEAD' ? undefined : content);
  }
}

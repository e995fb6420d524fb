// Who may open a WebSocket from a browser. A browser sends cookies along to any host and tells the page's origin, which
// is the only thing that keeps another site's page from speaking for its visitor (cross-site WebSocket hijacking).

/**
 * @param {import('node:http').IncomingHttpHeaders} headers of the upgrade request
 * @param {ReadonlySet<string> | null} origins allowed ones; null: only pages of the host that is asked
 * @returns {boolean} true also where there is no Origin: then it is no browser, see `needsToken`
 */
export function isOriginAllowed(headers, origins) {
  const { origin, host } = headers;
  if (origin === undefined) return true;
  if (origins) return origins.has(origin);
  const page = parse(origin);
  if (!page || host === undefined) return false;
  // The page's scheme gives the default port for both, so that `example.com:443` is `https://example.com`.
  return page.host === parse(`${page.protocol}//${host}`)?.host;
}

/**
 * Without an Origin only a token counts, never a cookie that came by itself.
 *
 * @param {import('node:http').IncomingHttpHeaders} headers
 * @returns {boolean} true where authentication must bring a token
 */
export function needsToken(headers) {
  return headers.origin === undefined && headers.cookie !== undefined;
}

/**
 * The token of `Authorization: Bearer …`.
 *
 * @param {import('node:http').IncomingHttpHeaders} headers
 * @returns {string | null}
 */
export function bearerToken(headers) {
  return /^Bearer +([^\s]+) *$/i.exec(headers.authorization ?? '')?.[1] ?? null;
}

/**
 * @param {string | undefined} host a name or address, with or without port
 * @returns {boolean} whether it can only be this machine
 */
export function isLoopbackHost(host) {
  if (host === undefined) return false;
  const bareAddress = host.split(':').length > 2 && !host.startsWith('[');
  const name = parse(`http://${bareAddress ? `[${host}]` : host}`)?.hostname;
  return (
    name !== undefined && (/^(.+\.)?localhost$/.test(name) || /^127\.\d+\.\d+\.\d+$/.test(name) || name === '[::1]')
  );
}

/**
 * @param {string | undefined} address a socket's remote address
 * @returns {boolean}
 */
export function isLoopbackAddress(address) {
  return address !== undefined && /^(::ffff:)?127\.|^::1$/.test(address);
}

/**
 * @param {string} url
 * @returns {URL | null}
 */
function parse(url) {
  return URL.canParse(url) ? new URL(url) : null;
}

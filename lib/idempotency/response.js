/** An HTTP response that is held back until it is kept, and one that was kept, sent again. */

/** Of one connection, not of the answer. */
const HOP_HEADERS = new Set(['connection', 'date', 'keep-alive', 'transfer-encoding', 'content-length']);

/**
 * Takes over what the application writes to a response. Until `send()` nothing of it leaves, unless it is longer than may be kept.
 *
 * @param {any} response
 * @param {number} maxBytes
 */
export function captureResponse(response, maxBytes) {
  const own = {
    write: response.write,
    end: response.end,
    writeHead: response.writeHead,
    flushHeaders: response.flushHeaders,
  };
  /** @type {Buffer[]} */
  const chunks = [];
  let bytes = 0;
  let state = /** @type {'held' | 'passing' | 'ended' | 'discarded'} */ ('held');
  /** As it was at end(): an error handler that comes later must not change it. @type {any} */
  let answer;
  /** @type {(answer: { kept: string | undefined, status: number }) => void} */
  let resolveEnded = () => {};
  /** @type {Promise<{ kept: string | undefined, status: number }>} */
  const ended = new Promise((resolve) => (resolveEnded = resolve));

  /** @param {any} chunk @param {any} encoding */
  const take = (chunk, encoding) => {
    if (chunk === undefined || chunk === null || typeof chunk === 'function') return;
    const buffer = Buffer.from(chunk, typeof encoding === 'string' ? /** @type {BufferEncoding} */ (encoding) : 'utf8');
    if (state === 'passing') own.write.call(response, buffer);
    if (state !== 'held') return;
    chunks.push(buffer);
    bytes += buffer.length;
    if (bytes <= maxBytes) return;
    state = 'passing';
    // The first write sends the headers by it.
    response.writeHead = own.writeHead;
    for (const one of chunks.splice(0)) own.write.call(response, one);
  };
  /** @param {unknown[]} args */
  const callBack = (args) => {
    const last = args.at(-1);
    if (typeof last === 'function') process.nextTick(last);
  };

  response.writeHead = (/** @type {number} */ status, /** @type {any[]} */ ...rest) => {
    response.statusCode = status;
    if (typeof rest[0] === 'string') response.statusMessage = rest.shift();
    const [headers] = rest;
    const pairs = Array.isArray(headers) ? pairsOf(headers) : Object.entries(headers ?? {});
    for (const [name, value] of pairs) response.setHeader(name, value);
    return response;
  };
  response.flushHeaders = () => {};
  response.write = (/** @type {any[]} */ ...args) => {
    take(args[0], args[1]);
    callBack(args);
    return true;
  };
  response.end = (/** @type {any[]} */ ...args) => {
    if (state === 'ended' || state === 'discarded') return response;
    take(args[0], args[1]);
    callBack(args);
    const status = response.statusCode;
    if (state === 'passing') {
      state = 'ended';
      own.end.call(response);
      resolveEnded({ kept: undefined, status });
      return response;
    }
    state = 'ended';
    const headers = Object.entries(response.getHeaders());
    answer = { status, message: response.statusMessage, headers };
    const lasting = headers.filter(([name]) => !HOP_HEADERS.has(name));
    resolveEnded({
      kept: JSON.stringify({ status, headers: lasting, body: Buffer.concat(chunks).toString('base64') }),
      status,
    });
    return response;
  };
  const giveBack = () => Object.assign(response, own);

  return {
    ended,
    /** Sends what was held back. */
    send() {
      giveBack();
      if (response.headersSent || response.writableEnded) return;
      clearHeaders(response);
      response.statusCode = answer.status;
      response.statusMessage = answer.message;
      for (const [name, value] of answer.headers) response.setHeader(name, value);
      response.end(Buffer.concat(chunks));
    },
    /** Lets go: what comes from now on is sent as it comes. */
    giveBack,
    /** Forgets it; another answer can be sent, and what the application still writes goes nowhere. */
    discard() {
      const writes = { write: response.write, end: response.end, writeHead: response.writeHead };
      state = 'discarded';
      chunks.length = 0;
      giveBack();
      // Half of an answer that is too long to be held back is out already: its end must not look like one.
      if (response.headersSent) return void response.destroy();
      clearHeaders(response);
      // The next answer is the last one that goes out.
      const { end } = own;
      response.end = (/** @type {any[]} */ ...args) => {
        end.apply(response, args);
        Object.assign(response, writes, { setHeader: () => response, removeHeader: () => {} });
        return response;
      };
    },
  };
}

/** @param {any} response */
function clearHeaders(response) {
  for (const name of response.getHeaderNames()) response.removeHeader(name);
}

/** @param {any[]} headers as writeHead takes them: name, value, name, value, or pairs @returns {[string, any][]} */
function pairsOf(headers) {
  if (Array.isArray(headers[0])) return /** @type {[string, any][]} */ (headers);
  return Array.from({ length: headers.length / 2 }, (_, n) => [headers[2 * n], headers[2 * n + 1]]);
}

/** @param {any} response @param {string | undefined} kept */
export function replay(response, kept) {
  const { status, headers, body } = JSON.parse(/** @type {string} */ (kept));
  response.statusCode = status;
  for (const [name, value] of headers) response.setHeader(name, value);
  response.setHeader('Idempotency-Replayed', 'true');
  response.end(Buffer.from(body, 'base64'));
}

/**
 * @param {any} response @param {number} status @param {string} code @param {string} detail
 * @param {Record<string, string>} [headers]
 */
export function problem(response, status, code, detail, headers = {}) {
  if (response.headersSent) return;
  response.statusCode = status;
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.setHeader('Content-Type', 'application/problem+json');
  response.end(JSON.stringify({ type: 'about:blank', status, code, detail }));
}

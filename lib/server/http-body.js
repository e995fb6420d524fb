// The body of a request: bounded in bytes and in time.

import { HttpError } from './http-error.js';

/** @typedef {import('node:http').IncomingMessage} IncomingMessage */

/**
 * Reads a JSON object.
 *
 * @param {IncomingMessage} request
 * @param {{ maxBytes: number, timeoutMs: number }} bounds
 * @returns {Promise<{ text: string, value: Record<string, unknown> }>} the object, and its text as it was sent
 * @throws {HttpError} 400, 408, 413, 415
 */
export async function readJson(request, bounds) {
  const { 'content-type': type, 'content-encoding': encoding } = request.headers;
  if (type !== undefined && !/^application\/([\w.+-]+\+)?json *(;|$)/i.test(type)) {
    throw new HttpError(415, 'bad_request', 'Content-Type must be application/json');
  }
  if (encoding !== undefined && encoding !== 'identity') {
    throw new HttpError(415, 'bad_request', 'Content-Encoding must be left out: bodies are taken as they are');
  }
  const bytes = await readBytes(request, bounds);
  let text;
  let value;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    value = JSON.parse(text);
  } catch (error) {
    throw new HttpError(400, 'bad_request', `the body must be JSON in UTF-8: ${/** @type {Error} */ (error).message}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new HttpError(400, 'bad_request', 'the body must be a JSON object');
  }
  return { text, value };
}

/**
 * @param {IncomingMessage} request
 * @param {{ maxBytes: number, timeoutMs: number }} bounds
 * @returns {Promise<Buffer>}
 */
function readBytes(request, { maxBytes, timeoutMs }) {
  const tooLarge = () => new HttpError(413, 'too_large', `the body may have at most ${maxBytes} bytes`);
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) return Promise.reject(tooLarge());
  return new Promise((resolve, reject) => {
    /** @type {Buffer[]} */
    const chunks = [];
    let size = 0;
    /** @param {Buffer} chunk */
    const onData = (chunk) => {
      size += chunk.length;
      if (size > maxBytes) settle(() => reject(tooLarge()));
      else chunks.push(chunk);
    };
    const onEnd = () => settle(() => resolve(Buffer.concat(chunks, size)));
    const onGone = () => settle(() => reject(new HttpError(400, 'bad_request', 'the body ended early')));
    const timer = setTimeout(() => {
      settle(() => reject(new HttpError(408, 'bad_request', 'the body did not come in time')));
    }, timeoutMs);
    /** @param {() => void} done */
    const settle = (done) => {
      clearTimeout(timer);
      request.off('data', onData).off('end', onEnd).off('close', onGone).off('error', onGone);
      request.on('error', () => {});
      done();
    };
    request.on('data', onData).on('end', onEnd).on('close', onGone).on('error', onGone);
  });
}

/**
 * What is left of the body of a request that was answered already is read and dropped, so that the peer gets to the
 * answer; one that does not end is cut off.
 *
 * @param {IncomingMessage} request
 * @param {number} timeoutMs
 */
export function drop(request, timeoutMs) {
  if (request.complete) return;
  const timer = setTimeout(() => request.destroy(), timeoutMs);
  request.on('error', () => {});
  request.once('end', () => clearTimeout(timer)).once('close', () => clearTimeout(timer));
  request.resume();
}

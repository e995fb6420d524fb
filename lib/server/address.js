// Whose address counts: the socket's own, or, behind proxies that the operator named, the one that they saw. What a
// client itself writes into X-Forwarded-For is never believed.

import { isIP } from 'node:net';

/**
 * The address that limits count by. Of IPv6 it is the network (/64), since a host has all of one.
 *
 * @param {import('node:http').IncomingHttpHeaders} headers
 * @param {string | undefined} socketAddress
 * @param {number} proxies how many proxies of the operator's own stand in front, each of which adds the address that it
 *   heard at the end of X-Forwarded-For; 0: none
 * @returns {string} '' where there is none
 */
export function clientAddress(headers, socketAddress, proxies) {
  const own = networkOf(socketAddress ?? '');
  if (proxies === 0) return own;
  const forwarded = [headers['x-forwarded-for'] ?? []].flat().join(',');
  const heard = forwarded.split(',').map((address) => address.trim());
  // A request that came past some of the proxies has a shorter list: then its first entry is the furthest that is known.
  return networkOf(withoutPort(heard.at(-proxies) ?? heard[0])) || own;
}

/** @param {string} address @returns {string} without a port, which some proxies add */
function withoutPort(address) {
  return /^\[([^\]]+)\](:\d+)?$/.exec(address)?.[1] ?? /^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(address)?.[1] ?? address;
}

/** @param {string} address @returns {string} '' where it is none */
function networkOf(address) {
  const bare = address.replace(/%.*$/, '');
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(bare)?.[1];
  if (mapped !== undefined && isIP(mapped)) return mapped;
  const version = isIP(bare);
  if (version !== 6) return version === 4 ? bare : '';
  // The URL parser writes every IPv6 address in its one shortest form.
  const shortest = new URL(`http://[${bare}]`).hostname.slice(1, -1);
  const [head, tail] = shortest.split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const last = tail === '' ? [] : tail.split(':');
    while (groups.length + last.length < 8) groups.push('0');
    groups.push(...last);
  }
  return groups.slice(0, 4).join(':') + '::/64';
}

/** The claims of a store, by the option `store`. */
import { openClaims } from '../../primitives/claims.js';
import { checkObject } from '../values.js';
import { PostgresClaims } from './postgres.js';

/** @typedef {import('./interface.js').Claims} Claims */
/** @typedef {{ postgres: any, table?: string | string[] } | import('../../primitives/store.js').StoreOption | Claims} ClaimStore */

/**
 * @param {unknown} store `{ postgres: pool, table? }`, `{ data }`, `{ memory: true }`, a server, or claims themselves
 * @returns {{ claims: Claims, close: () => Promise<void> }} what was opened here is closed by `close`, and nothing else
 */
export function openClaimStore(store) {
  const given = checkObject(store, 'store');
  if (typeof given.claim === 'function' && typeof given.commit === 'function') {
    return { claims: /** @type {Claims} */ (given), close: async () => {} };
  }
  const claims =
    given.postgres === undefined
      ? openClaims(/** @type {any} */ (given))
      : new PostgresClaims(given.postgres, { table: given.table });
  return { claims, close: () => claims.close() };
}

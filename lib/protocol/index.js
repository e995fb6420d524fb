/** The protocol library: constants, codes, errors, identifiers, packets. Pure and browser-safe. */
export * from './constants.js';
export * from './codes.js';
export * from './errors.js';
export * from './identifiers.js';
export * from './packets.js';

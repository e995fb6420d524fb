// The token of the first article as it stands there: ids lie in a set, and who handles a message takes its id out, in one script
// so that no two do. It is here to show what it loses: see right.js.
const TOKENS = 'plain:tokens';

/** Check and delete, in one act. */
const TAKE = `
  if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 0 then return 0 end
  redis.call('SREM', KEYS[1], ARGV[1])
  return 1`;

/** @param {{ redis: import('ioredis').Redis }} places */
export function plainTokens({ redis }) {
  return {
    /** The set has no expiry, for members of a set can't: who never sends leaves a token for ever. @param {string[]} ids */
    issue: (ids) => redis.sadd(TOKENS, ...ids),

    /**
     * @param {string} id
     * @param {() => Promise<unknown>} effect
     * @returns {Promise<unknown>} what came of it; a repeat is told nothing
     */
    async handle(id, effect) {
      if ((await redis.eval(TAKE, 1, TOKENS, id)) === 0) return undefined;
      // From here on the id is gone. Whoever throws or dies now has lost the message: its next delivery is "a repeat".
      return effect();
    },

    close: async () => {},
  };
}

/** Who takes part in a torture, and in which conversations: pairs, small groups, and one of everybody. */

/** Of a small group. */
const GROUP_SIZE = 8;
/** Members that one packet may name (protocol, Conversations), the creator beside them. */
const CREATED_WITH = 200;
/** Every so many users have a second device. */
const SECOND_DEVICE_EVERY = 4;

/**
 * @typedef {{ name: string, members: string[], share: number }} Conversation `share`: of a member's messages, 0 to 1
 * @typedef {{ user: string, device: string, convs: Conversation[] }} Person one device of a user
 */

/**
 * @param {string[]} users
 * @param {string} run names what is new of this run
 * @param {boolean} withPairs whether these users are new, too, so that what lies between two of them is empty
 * @returns {Conversation[]}
 */
export function conversationsOf(users, run, withPairs) {
  /** @type {Conversation[]} */
  const convs = [{ name: `g:torture-${run}-all`, members: users, share: 0.1 }];
  for (let i = 0; i < users.length; i += GROUP_SIZE) {
    const members = users.slice(i, i + GROUP_SIZE);
    convs.push({ name: `g:torture-${run}-${i / GROUP_SIZE + 1}`, members, share: 0.4 });
  }
  for (let i = 0; i + 1 < users.length; i += 2) {
    const members = users.slice(i, i + 2);
    const [a, b] = [...members].sort();
    convs.push({ name: withPairs ? `dm:${a}:${b}` : `g:torture-${run}-pair-${i / 2 + 1}`, members, share: 0.5 });
  }
  return convs;
}

/** @param {string[]} users @param {Conversation[]} convs @param {string} run @returns {Person[]} */
export function devicesOf(users, convs, run) {
  return users.flatMap((user, index) => {
    const mine = convs.filter(({ members }) => members.includes(user));
    const first = { user, device: `torture-${run}-${index + 1}-a`, convs: mine };
    return index % SECOND_DEVICE_EVERY === 0 ? [first, { ...first, device: `torture-${run}-${index + 1}-b` }] : [first];
  });
}

/**
 * Who is added to a group after it was made is not shown what came before: here, the messages that tell of its members.
 *
 * @param {Conversation} conv
 * @param {string} user
 * @returns {number} the seq behind which the conversation is shown
 */
export function startOf({ name, members }, user) {
  return name.startsWith('g:') ? Math.max(0, Math.floor((members.indexOf(user) - 1) / CREATED_WITH)) : 0;
}

/**
 * Makes the groups, as the first member of each.
 *
 * @param {(user: string) => Promise<import('../client-node.js').Client>} clientOf
 * @param {Conversation[]} convs
 */
export async function createGroups(clientOf, convs) {
  for (const { name, members } of convs) {
    if (!name.startsWith('g:')) continue;
    const [creator, ...others] = members;
    const client = await clientOf(creator);
    await client.createConversation(name, others.slice(0, CREATED_WITH));
    for (let i = CREATED_WITH; i < others.length; i += CREATED_WITH)
      await client.addMembers(name, others.slice(i, i + CREATED_WITH));
  }
}

// everyonce in an application on plain node:http: the application's own routes and sessions, and a shop that tells its
// customers what becomes of their orders.
//
// PORT (8080), HOST (127.0.0.1) and DATA (./data/shop) may be set.
import { randomUUID } from 'node:crypto';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from '../../lib/index.js';

const { PORT = '8080', HOST = '127.0.0.1', DATA = './data/shop' } = process.env;

/** Who is logged in, by session. An application has these in its database. @type {Map<string, string>} */
const sessions = new Map();

const chat = createServer({
  data: DATA,
  // The application's own sessions say who somebody is: here and at its routes.
  authenticate: ({ token }) => (sessions.has(token) ? { user: sessions.get(token) } : null),
});
chat.on('error', (error) => console.error(`everyonce: ${error.message}`));

/** @type {Record<string, (request: import('node:http').IncomingMessage, body: any) => Promise<[number, object]>>} */
const routes = {
  async 'POST /login'(_request, { user }) {
    if (typeof user !== 'string' || !/^[a-z0-9]{1,32}$/.test(user) || user === 'shop') {
      return [400, { error: 'user must be 1 to 32 of a-z 0-9' }];
    }
    const token = randomUUID();
    sessions.set(token, user);
    return [200, { token }];
  },

  async 'POST /orders'(request, { order, item }) {
    const user = userOf(request);
    if (!user) return [401, { error: 'log in first' }];
    if (!/^[a-z0-9-]{1,40}$/.test(order)) return [400, { error: 'order must be 1 to 40 of a-z 0-9 -' }];
    // The order's number makes the message's id: however often this runs, the customer is told once.
    const { seq, dup } = await chat.publish({
      conv: withShop(user),
      from: 'shop',
      id: `order-taken-${order}`,
      type: 'order',
      body: { order, item, state: 'taken' },
    });
    return [dup ? 200 : 201, { order, seq }];
  },

  async 'GET /messages'(request) {
    const user = userOf(request);
    if (!user) return [401, { error: 'log in first' }];
    const { items } = await chat.history(withShop(user), { limit: 20 });
    return [200, { messages: items.map(({ seq, from, body }) => ({ seq, from, body })) }];
  },
};

const http = createHttpServer(async (request, response) => {
  let answer;
  try {
    const route = routes[`${request.method} ${request.url}`];
    answer = route ? await route(request, await bodyOf(request)) : [404, { error: 'there is nothing here' }];
  } catch (error) {
    answer = error instanceof SyntaxError ? [400, { error: 'not JSON' }] : [500, { error: error.message }];
  }
  response.writeHead(answer[0], { 'Content-Type': 'application/json' }).end(JSON.stringify(answer[1]));
});
chat.attach(http); // WebSockets at /everyonce; all other paths stay the application's

http.listen(Number(PORT), HOST, () => console.log(`shop listening on http://${HOST}:${http.address().port}`));

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, async () => {
    http.close();
    await chat.close();
    http.closeAllConnections();
  });
}

/** @param {import('node:http').IncomingMessage} request */
function userOf({ headers: { authorization = '' } }) {
  return sessions.get(authorization.replace(/^Bearer /, ''));
}

/** The conversation of two: the smaller name first. @param {string} user */
function withShop(user) {
  return user < 'shop' ? `dm:${user}:shop` : `dm:shop:${user}`;
}

/** @param {import('node:http').IncomingMessage} request */
async function bodyOf(request) {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk;
    if (text.length > 10_000) throw new Error('too much');
  }
  return text === '' ? {} : JSON.parse(text);
}

// Deliveries to worker processes that throw and are killed, as a queue gives them: what is not answered, or failed, is given again.
import { fork } from 'node:child_process';
import { once as event } from 'node:events';
import { fileURLToPath } from 'node:url';

const CHILD = fileURLToPath(new URL('worker-child.js', import.meta.url));

/** A process that is dying takes nothing; what it had been given is given again when it has ended. */
const gone = () => {};

/**
 * @param {object} run
 * @param {string} run.way of ways.js
 * @param {any} run.address of the database
 * @param {string[]} run.deliveries keys, with repeats
 * @param {number} run.processes
 * @param {number} run.inFlight deliveries that a process works on at once
 * @param {number} run.kills processes that are killed with SIGKILL in the middle of their work, spread over the run
 * @param {number} run.throwRate at each point where a program may fail
 * @param {number} run.seed of what throws where
 * @param {() => number} run.random
 * @returns {Promise<{ results: Map<string, Set<unknown>>, failures: Map<string, number>, kills: number }>}
 */
export async function killRun({ way, address, deliveries, processes, inFlight, kills, throwRate, seed, random }) {
  const waiting = deliveries.map((key, delivery) => ({ key, delivery, tries: 0 }));
  const results = new Map(deliveries.map((key) => [key, new Set()]));
  const failures = new Map();
  const workers = new Set();
  let left = deliveries.length;
  let killed = 0;
  let finish;
  const finished = new Promise((resolve) => (finish = resolve));

  const feed = (worker) => {
    while (worker.ready && worker.open.size < inFlight && waiting.length > 0) {
      const next = waiting.shift();
      next.tries += 1;
      worker.open.set(next.delivery, next);
      worker.child.send(next, gone);
    }
  };
  const start = () => {
    const orders = JSON.stringify({ way, address, throwRate, seed });
    const child = fork(CHILD, [orders], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const worker = { child, open: new Map(), ready: false };
    workers.add(worker);
    child.on('message', (message) => {
      if (message === 'ready') worker.ready = true;
      else settle(worker, message);
      feed(worker);
    });
    // What it had been given comes again, to others.
    child.on('exit', () => {
      workers.delete(worker);
      waiting.unshift(...worker.open.values());
      if (left > 0) start();
      for (const one of workers) feed(one);
    });
  };
  const settle = (worker, { delivery, result, error, code }) => {
    const given = worker.open.get(delivery);
    worker.open.delete(delivery);
    if (error !== undefined) {
      failures.set(code ?? error, (failures.get(code ?? error) ?? 0) + 1);
      // Somewhere behind: a queue that backs off.
      waiting.splice(Math.floor(random() * (waiting.length + 1)), 0, given);
    } else {
      results.get(given.key).add(JSON.stringify(result));
      left -= 1;
      if (left === 0) return finish();
    }
    const due = Math.floor(((deliveries.length - left) * (kills + 1)) / deliveries.length);
    if (killed < Math.min(due, kills) && worker.open.size > 0) {
      killed += 1;
      worker.ready = false;
      worker.child.kill('SIGKILL');
    }
  };

  for (let n = 0; n < processes; n++) start();
  await finished;
  const ended = [...workers].map(({ child }) => event(child, 'exit'));
  for (const { child } of workers) child.connected ? child.send('end', gone) : child.kill('SIGKILL');
  await Promise.all(ended);
  return { results, failures, kills: killed };
}

// An example of examples/, in a process of its own, on a free port and a directory of its own.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { makeDirectory, onCleanUp } from './servers.js';

/** @param {string} name of its folder */
export async function startExample(name) {
  const program = fileURLToPath(new URL(`../../../examples/${name}/server.js`, import.meta.url));
  const env = { ...process.env, PORT: '0', DATA: join(makeDirectory(), 'data') };
  const child = spawn(process.execPath, [program], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  onCleanUp(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  const [line] = await Promise.race([
    once(createInterface({ input: child.stdout }), 'line'),
    exited.then(([code]) => Promise.reject(new Error(`examples/${name} ended with ${code}`))),
  ]);
  const port = Number(/:(\d+)$/.exec(line)[1]);

  /** Posts JSON. @returns {Promise<[number, any, Response]>} */
  const post = async (path, body, headers = {}) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
    return [response.status, await response.json(), response];
  };
  return { child, exited, port, post };
}

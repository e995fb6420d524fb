// Programs of examples/idempotency/queues, and the packages that are installed beside them.
import { spawn } from 'node:child_process';
import { once as event } from 'node:events';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const FOLDER = new URL('../../examples/idempotency/queues/', import.meta.url);

/** `require` as of the examples. */
export const packageOf = createRequire(new URL('package.json', FOLDER));

/** @type {{ child: import('node:child_process').ChildProcess, exited: Promise<any[]> }[]} */
const programs = [];

/**
 * Starts a program and waits until it has said its first line.
 *
 * @param {string} name
 * @param {Record<string, string>} env
 */
export async function start(name, env) {
  const child = spawn(process.execPath, [fileURLToPath(new URL(name, FOLDER))], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const program = { child, exited: event(child, 'exit') };
  programs.push(program);
  await Promise.race([
    event(createInterface({ input: child.stdout }), 'line'),
    program.exited.then(([code]) => Promise.reject(new Error(`${name} ended (${code})`))),
  ]);
  return program;
}

export async function stopPrograms() {
  for (const { child, exited } of programs.splice(0)) {
    child.kill('SIGKILL');
    await exited;
  }
}

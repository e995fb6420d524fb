// npm run test:queues: the examples that need a queue of their own (BullMQ, RabbitMQ), by tests that are not part of `npm test`,
// since they need a Debian package and npm packages that nothing else here does.
import { installLine, installPackages, isInstalled, privilege } from './lib/debian.mjs';
import { listFiles, root } from './lib/files.mjs';
import { step } from './lib/progress.mjs';
import { run } from './lib/run.mjs';
import { setup, SetupError } from './lib/setup.mjs';

const BROKER = ['rabbitmq-server'];
const FOLDER = 'examples/idempotency/queues';
/** No lock file and nothing optional: BullMQ's optional parts are not in every registry, and it does without. */
const INSTALL = ['install', '--omit=optional', '--no-package-lock', '--ignore-scripts', '--no-audit', '--no-fund'];

try {
  await setup('test', { quiet: true });
  if (!isInstalled(BROKER)) {
    const prefix = privilege();
    if (!prefix)
      throw new SetupError(
        `RabbitMQ is missing, and may not be installed from here. Run:\n\n  ${installLine(BROKER)}\n`,
      );
    await step(`Debian packages: ${BROKER.join(' ')}`, (onLine) => installPackages(BROKER, prefix, onLine));
  }
  const npm = process.env.npm_execpath ? [process.execPath, process.env.npm_execpath] : ['npm'];
  const [command, ...first] = npm;
  await step('npm packages of the queues', (onLine) =>
    run(command, [...first, ...INSTALL, '--prefix', FOLDER], { onLine }),
  );
  const specs = listFiles('test/queues', (name) => name.endsWith('.queue.js'));
  const mocha = ['node_modules/mocha/bin/mocha.js', ...specs];
  const { code, output } = await run(process.execPath, mocha, { cwd: root, allowFailure: true });
  console.log(output);
  process.exitCode = code;
} catch (error) {
  console.error(error instanceof SetupError ? error.message : error);
  process.exitCode = 1;
}

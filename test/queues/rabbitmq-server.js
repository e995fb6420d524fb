// A RabbitMQ for tests: on loopback alone, with an epmd of its own on a port of its own, in a directory of its own.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { directoryFor, startDaemon } from '../support/daemon.js';
import { freePort } from '../support/free-port.js';

/** Debian's; the one in /usr/sbin would become the user rabbitmq. */
const SERVER = '/usr/lib/rabbitmq/bin/rabbitmq-server';
/** Ends both, the server first: it says goodbye to epmd. */
const BOTH = `epmd -address 127.0.0.1 -port "$ERL_EPMD_PORT" & names=$!
${SERVER} & server=$!
trap 'kill -TERM $server; wait $server; kill $names; exit 0' TERM
wait $server; kill $names`;

/** @returns {Promise<string>} its URL */
export async function rabbitmqServer() {
  const directory = directoryFor('rabbitmq', {});
  const [port, between, names] = [await freePort(), await freePort(), await freePort()];
  const none = join(directory, 'none');
  const plugins = join(directory, 'plugins');
  mkdirSync(join(directory, 'log'));
  writeFileSync(plugins, '[].\n');
  const env = {
    HOME: directory,
    ERL_EPMD_ADDRESS: '127.0.0.1',
    ERL_EPMD_PORT: names,
    RABBITMQ_NODENAME: `everyonce${port}@localhost`,
    RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
    RABBITMQ_NODE_PORT: port,
    RABBITMQ_DIST_PORT: between,
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
    RABBITMQ_MNESIA_BASE: join(directory, 'mnesia'),
    RABBITMQ_LOG_BASE: join(directory, 'log'),
    RABBITMQ_LOGS: '-',
    RABBITMQ_PID_FILE: join(directory, 'pid'),
    RABBITMQ_ENABLED_PLUGINS_FILE: plugins,
    RABBITMQ_CONFIG_FILE: none,
    RABBITMQ_CONF_ENV_FILE: none,
  };
  const settings = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const args = [...settings, '/bin/sh', '-c', BOTH];
  await startDaemon({ command: 'env', args, directory, ready: /Server startup complete/, signal: 'SIGTERM' });
  return `amqp://guest:guest@127.0.0.1:${port}`;
}

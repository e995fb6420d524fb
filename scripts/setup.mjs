// npm run setup [-- --profile start|test]: installs and builds what is missing, and says so; exit 1 where it can't.
import { setup, SetupError } from './lib/setup.mjs';

const at = process.argv.indexOf('--profile');
const profile = at < 0 ? 'test' : process.argv[at + 1];
if (profile !== 'start' && profile !== 'test') {
  console.error('usage: npm run setup [-- --profile start|test]');
  process.exit(2);
}
try {
  await setup(profile, { quiet: process.argv.includes('--quiet') });
} catch (error) {
  if (error instanceof SetupError) console.error(error.message);
  process.exitCode = 1;
}

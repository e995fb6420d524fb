// Runs when somebody installs the package: builds the addon from its sources. (Prebuilt addons come with a later release.)
// In a clone it does nothing: there `npm start`, `npm test` and `npm run setup` build, once and with progress.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { installLine, missingPackages } from './lib/debian.mjs';
import { root } from './lib/files.mjs';
import { build, isBuilt } from './lib/native.mjs';
import { step } from './lib/progress.mjs';

if (existsSync(join(root, '.git'))) {
  console.log('everyonce: this is a clone; `npm run setup` builds the addon');
} else if (!isBuilt('everyonce', 'Release')) {
  const missing = missingPackages('start') ?? [];
  if (missing.length > 0) {
    console.error(`everyonce compiles its native core here, and these Debian packages are missing. Run:\n`);
    console.error(`  ${installLine(missing)}\n\nand install everyonce again.`);
    process.exit(1);
  }
  try {
    await step('everyonce: native addon', (onLine) => build('everyonce', 'Release', { onLine }));
  } catch {
    process.exit(1);
  }
}

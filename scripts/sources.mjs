// Lists the C++ sources below the given folders, one a line, for binding.gyp.
//   node scripts/sources.mjs src/core src/log      → every .cc file
import { cppSources } from './lib/files.mjs';

for (const file of cppSources(process.argv.slice(2))) console.log(file);

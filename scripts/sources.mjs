// Lists the C++ sources below the given folders, one a line, for binding.gyp.
//   node scripts/sources.mjs src/core src/log      → every .cc file
//   node scripts/sources.mjs --any test/native/x   → 1 if there is one, else 0
import { cppSources } from './lib/files.mjs';

const folders = process.argv.slice(2);
if (folders[0] === '--any') {
  console.log(cppSources(folders.slice(1)).length > 0 ? 1 : 0);
} else {
  for (const file of cppSources(folders)) console.log(file);
}

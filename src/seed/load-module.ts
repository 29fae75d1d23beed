import { EduschemaError } from '../errors.ts';
import { column, references } from './column.ts';
import { defineSeed, type Seed } from './define-seed.ts';
import { parameter } from './parameter.ts';
import { loadShippedSeed } from './shipped-seed.ts';
import { lookup, table } from './table.ts';
import { timeline } from './timeline.ts';

/**
 * What a seed imports from 'eduschema': from the eduschema that runs it, so that a project needs no copy of its own, and
 * never another version.
 */
const ownModule = { column, defineSeed, lookup, parameter, references, table, timeline, EduschemaError };

/**
 * Loads a seed in TypeScript or JavaScript. Throws `seed-invalid` when it cannot be compiled or loaded, or exports no
 * seed by default.
 */
export async function loadSeedModule(path: string, file: string): Promise<Seed> {
  const virtualModules = { eduschema: ownModule };
  const invalid = (message: string, hint: string, cause?: unknown) =>
    new EduschemaError('seed-invalid', `${file} ${message}`, { hint, cause, details: { file } });
  let seed: Partial<Seed> & { readonly when?: unknown };
  try {
    seed = (loadShippedSeed(path, virtualModules) ?? (await importSeed(path, virtualModules))) as Seed;
  } catch (cause) {
    const reason = (cause instanceof Error ? cause.message : String(cause)).replaceAll(path, file);
    throw invalid(`cannot be loaded: ${reason}`, 'fix the file; nothing was run', cause);
  }
  const isSeed = typeof seed === 'object' && seed !== null;
  const isTables = isSeed && 'tables' in seed && typeof seed.tables === 'function';
  const isCode = isSeed && 'run' in seed && typeof seed.run === 'function';
  if (isTables === isCode)
    throw invalid(
      'exports no seed',
      'write: export default defineSeed({ tables: () => [...] }), or with run(sql)',
    );
  if (seed.when !== undefined && (isTables || !['once', 'always'].includes(String(seed.when))))
    throw invalid(
      `says when: '${seed.when}'`,
      'a seed with run(sql) may say once or always; one of tables is recorded, and runs once',
    );
  return seed as Seed;
}

async function importSeed(path: string, virtualModules: Record<string, Record<string, unknown>>) {
  const { createJiti } = await import('jiti');
  return createJiti(path, {
    tsconfigPaths: true,
    moduleCache: false,
    fsCache: false,
    virtualModules,
  }).import(path, { default: true });
}

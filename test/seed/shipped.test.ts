import { createHash } from 'node:crypto';
import { appendFileSync, cpSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import * as eduschema from '../../src/index.ts';
import { loadShippedSeed } from '../../src/seed/shipped-seed.ts';
import { withFolder } from '../helpers/folder.ts';
import { clone, few, withSeeds } from './education.ts';

const built = join(clone, 'dist/lib/education-seed.json');

/** Whether `npm run build` was run since a file of the seed was edited. */
const isFresh =
  existsSync(built) &&
  Object.entries(JSON.parse(readFileSync(built, 'utf8')).files).every(
    ([name, checksum]) =>
      createHash('sha256')
        .update(readFileSync(join(clone, 'seeds', name)))
        .digest('hex') === checksum,
  );

describe('the seed that ships', () => {
  it.skipIf(!isFresh)('is taken compiled as long as no file of it is another', () =>
    withFolder({}, async (folder) => {
      const seeds = join(folder, 'seeds');
      const load = () => loadShippedSeed(join(seeds, 'education.ts'), { eduschema });
      expect(load()).toBeUndefined();
      cpSync(join(clone, 'seeds'), seeds, { recursive: true });
      expect(loadShippedSeed(join(seeds, 'people.ts'), {})).toBeUndefined();
      expect(load()).toMatchObject({ requires: '1.13.0' });
      appendFileSync(join(seeds, 'rhythm.json'), '\n');

      expect(load()).toBeUndefined();
    }),
  );

  it(
    'makes the same rows when it was edited, and so is compiled by the user',
    withSeeds(({ seed }) =>
      withFolder({}, async (folder) => {
        cpSync(join(clone, 'seeds'), join(folder, 'seeds'), { recursive: true });
        appendFileSync(join(folder, 'seeds/education/visits.ts'), '\n// Mine.\n');
        const manifest = async (line: string) =>
          (await seed(`${line} --json`))
            .json()
            .rows.map(({ table, rows, checksum }) => [table, rows, checksum]);
        const shipped = await manifest(few);
        await seed('--reset --yes');

        expect(await manifest(`${few} --seeds ${join(folder, 'seeds')}`)).toEqual(shipped);
      }),
    ),
    60_000,
  );
});

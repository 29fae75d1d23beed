import { describe, expect, it } from 'vitest';
import { type Database, withDatabase as open } from '../../../src/db/connect.ts';
import { type ConvertResult, convert } from '../../../src/partitions/convert/convert.ts';
import type { SplitSettings } from '../../../src/partitions/split/split.ts';
import { describeCatalogue } from '../../helpers/catalogue.ts';
import { type TestDatabase, withDatabase } from '../../helpers/database.ts';
import { makeLibrary } from './library.ts';

const request = { table: { schema: 'public', name: 'logs' }, by: 'at', method: 'split' } as const;

const splitLogs = (
  { target }: TestDatabase,
  settings: SplitSettings = {},
  more = {},
): Promise<ConvertResult> =>
  open(target, {}, (database: Database) => convert(database, { ...request, ...more }, settings));

describe('partitions convert --method split', () => {
  it(
    'puts the rows into months, with all that belongs to the table, and keeps the old one aside',
    withDatabase(async (test) => {
      const { sql } = test;
      await makeLibrary(sql, 3000);
      const before = await describeCatalogue(sql);
      const counted = await sql`SELECT id, downloads FROM materials ORDER BY id`;

      const result = await splitLogs(test);

      expect(await describeCatalogue(sql)).toEqual(before);
      expect(result).toMatchObject({});
      expect(await sql`SELECT id, downloads FROM materials ORDER BY id`).toEqual(counted);
    }),
  );
});

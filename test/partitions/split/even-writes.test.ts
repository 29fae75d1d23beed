import { expect, it } from 'vitest';
import { writeEvenly } from '../../../src/partitions/split/even-writes.ts';
import { withDatabase } from '../../helpers/database.ts';

it(
  'a session that copies has the disk written as it goes, unless the server says how',
  withDatabase(async ({ connect }) => {
    const [plain, told] = [connect({ max: 1 }), connect({ max: 1 })];
    await told`SET backend_flush_after = '64kB'`;

    await writeEvenly(plain);
    await writeEvenly(told);

    expect(await plain`SHOW backend_flush_after`).toEqual([{ backend_flush_after: '512kB' }]);
    expect(await told`SHOW backend_flush_after`).toEqual([{ backend_flush_after: '64kB' }]);
  }),
);

import { quoteLiteral, quoteName, showName } from '../../../db/identifiers.ts';
import type { Step } from '../../../db/plan.ts';
import { openTransactions } from '../../../db/wait-for-transactions.ts';
import { copyBlocks } from './copy-function.ts';
import type { FoundCopy } from './copy-state.ts';
import { type Copy, planCopyTables, planCopyTrigger } from './plan-copy.ts';
import { planDropReplaced, planEmptied, planReplaced } from './plan-finish.ts';

/** The whole copy as a plan that psql can run: what `carryOutCopy` does, with its loops in SQL. */
export function planCopy(copy: Copy, found?: FoundCopy | undefined): Step[] {
  const begin = found ? [] : [...planCopyTables(copy), planCopyTrigger(copy)];
  const finish =
    copy.facts.waiting.others > 0 ? [planReplaced(copy), planDropReplaced(copy)] : [planEmptied(copy)];
  return [...begin, copyStep(copy), waitStep, ...finish];
}

function copyStep(copy: Copy): Step {
  const blocksOf = `(pg_relation_size(${quoteLiteral(quoteName(copy.from))}) / current_setting('block_size')::int)::int`;
  const statements = copyBlocks(
    copy,
    `format('(%s,0)', copying.block)::tid`,
    `format('(%s,0)', copying.block + 64)::tid`,
  );
  return {
    title: `copy the rows of ${showName(copy.from)}, half a megabyte in a transaction`,
    transaction: false,
    statements: [
      {
        sql: [
          'DO $eduschema$',
          // The table may have columns of any name.
          '#variable_conflict use_column',
          '<<copying>>',
          `DECLARE blocks int := ${blocksOf}; block int := 0;`,
          'BEGIN',
          '  SET row_security = off;',
          '  WHILE block < blocks LOOP',
          ...statements.map(({ sql }) => `    ${sql};`),
          '    COMMIT;',
          '    block := block + 64;',
          '  END LOOP;',
          'END $eduschema$',
        ].join('\n'),
        why: 'each row is locked against changes while it is copied',
        locks: [`ROW SHARE on ${showName(copy.from)}`],
      },
    ],
  };
}

const waitStep: Step = {
  title: 'wait for the transactions that are older than the copy',
  transaction: false,
  statements: [
    {
      sql: [
        'DO $eduschema$',
        `DECLARE old text[] := ARRAY(SELECT id FROM (${openTransactions}) t);`,
        'BEGIN',
        `  WHILE EXISTS (SELECT FROM pg_locks WHERE locktype = 'virtualxid' AND virtualxid = ANY (old)) LOOP`,
        '    PERFORM pg_sleep(0.1);',
        '  END LOOP;',
        'END $eduschema$',
      ].join('\n'),
      why: 'they would find the rows neither in the copy nor in their old place',
    },
  ],
};

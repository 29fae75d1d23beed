import { quoteName } from '../db/identifiers.ts';
import { EduschemaError } from '../errors.ts';
import { splitSql } from '../sql/split.ts';
import { at, equal, listOf } from './row-sql.ts';
import type { Scope } from './scope.ts';
import { nameOf, type TableFacts } from './table-facts.ts';

/** How the rows of a cluster are put in order: the first one stays. */
export interface Order {
  /** As ORDER BY takes it, over the table as `t`. */
  readonly by: string;
  /** Joins that it needs, behind the table. */
  readonly joins: string;
  /** In words. */
  readonly shown: string;
}

/** The order that `--keep` asks for. Throws `usage` for more than one expression. */
export function orderOf(scope: Scope, keep = 'oldest'): Order {
  const root = scope.tables[0] as TableFacts;
  const key = nameOf(root) ?? [];
  const last = listOf('t', key);
  const created = root.columns.find(({ name, category }) => name === 'created_at' && category === 'D');
  const age = created ? [at('t', created.name)] : key.map((column) => at('t', column));
  const shownAge = created?.name ?? key.join(', ');
  switch (keep) {
    case 'oldest':
      return {
        by: [...age.map((one) => `${one} ASC NULLS LAST`), last].join(', '),
        joins: '',
        shown: shownAge,
      };
    case 'newest': {
      const backwards = key.map((column) => `${at('t', column)} DESC`);
      const by = [...age.map((one) => `${one} DESC NULLS LAST`), ...backwards].join(', ');
      return { by, joins: '', shown: `${shownAge} backwards` };
    }
    case 'most-referenced':
      return { ...byReferences(scope, last), shown: 'how much refers to it' };
    default:
      if (keep.trim() === '' || splitSql(`SELECT ORDER BY ${keep}`).statements.length !== 1)
        throw new EduschemaError('usage', `--keep is "${keep}", which is no expression`, {
          hint: 'write oldest, newest, most-referenced, or what ORDER BY takes: "file_size DESC"',
        });
      return { by: `${keep}\n, ${last}`, joins: '', shown: keep };
  }
}

/** With an index each row's children are counted; without one the child is counted once. */
function byReferences({ tables, references }: Scope, last: string): Pick<Order, 'by' | 'joins'> {
  const counts: string[] = [];
  const joins: string[] = [];
  for (const [index, { child, parent, columns, referred, indexed }] of references.entries()) {
    if (parent !== 0) continue;
    const name = quoteName((tables[child] as TableFacts).name);
    const parents = referred.map((column) => at('t', column));
    if (indexed) {
      counts.push(`(SELECT count(*) FROM ${name} c WHERE ${equal('c', columns, parents)})`);
      continue;
    }
    const alias = `r${index}`;
    joins.push(
      `LEFT JOIN (SELECT ${listOf('c', columns)}, count(*) AS eduschema_children FROM ${name} c GROUP BY ${listOf('c', columns)}) ${alias} ON ${equal(alias, columns, parents)}`,
    );
    counts.push(`coalesce(${alias}.eduschema_children, 0)`);
  }
  return { by: `${counts.length > 0 ? `${counts.join(' + ')} DESC, ` : ''}${last}`, joins: joins.join(' ') };
}

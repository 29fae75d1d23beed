import { type QualifiedName, quoteIdentifier, quoteLiteral, quoteName } from '../../db/identifiers.ts';
import type { PlannedStatement } from '../../db/plan.ts';
import type { Leaf, LeafColumn } from './leaf.ts';
import { planGrants } from './plan-grants.ts';

/** The table to be attached, and who makes it. */
export interface NewLeaf {
  readonly parent: QualifiedName;
  readonly name: QualifiedName;
  /** A condition that is the partition's bound. */
  readonly bound: string;
  /** Of the session. */
  readonly user: string;
  /** To whom default privileges give rights on what the user makes; null is everybody. */
  readonly defaultGrantees: readonly (string | null)[];
  /** Keys of the parent exclude overlaps: it gets them from ATTACH. */
  readonly excludes: boolean;
}

/** The name of the CHECK that saves ATTACH a scan. */
export const boundConstraint = 'eduschema_bound';

const inherited = ['DEFAULTS', 'CONSTRAINTS', 'GENERATED', 'INDEXES', 'STORAGE', 'COMPRESSION', 'STATISTICS'];

/**
 * Statements that make a table with the parent's columns, defaults, constraints, indexes and statistics, and with what
 * its sibling has of its own, but for row security. Without a sibling it is as the server makes it. Without `indexes`
 * they are to be made between the first statement and the others.
 */
export function planLeaf(
  target: NewLeaf,
  sibling: Leaf | undefined,
  { indexes = true }: { readonly indexes?: boolean } = {},
): PlannedStatement[] {
  const table = quoteName(target.name);
  const wanted = inherited.filter((what) => indexes || what !== 'INDEXES');
  const like = `LIKE ${quoteName(target.parent)} ${wanted.map((what) => `INCLUDING ${what}`).join(' ')}`;
  const check = `CONSTRAINT ${boundConstraint} CHECK (${target.bound})`;
  const create: PlannedStatement = {
    sql: `CREATE ${sibling?.unlogged ? 'UNLOGGED ' : ''}TABLE ${table} (${like}, ${check})${sibling ? placeOf(sibling) : ''}`,
    why: `make ${target.name.name}, which nobody sees yet; its CHECK saves ATTACH a scan`,
  };
  const made = target.excludes && indexes ? [create, dropExclusions(table)] : [create];
  if (!sibling) return made;
  const changes = [
    ...(sibling.owner === target.user ? [] : [`OWNER TO ${quoteIdentifier(sibling.owner)}`]),
    ...sibling.columns.flatMap(changesOf),
    ...(sibling.replicaIdentity === 'f' ? ['REPLICA IDENTITY FULL'] : []),
    ...(sibling.replicaIdentity === 'n' ? ['REPLICA IDENTITY NOTHING'] : []),
  ];
  const as = `as ${sibling.name.name}`;
  const statements = [
    ...(changes.length > 0 ? [`ALTER TABLE ${table} ${changes.join(', ')}`] : []),
    ...planGrants(table, sibling, target.defaultGrantees),
    ...(sibling.replicaIdentity === 'i' ? [replicaIndex(table, sibling.replicaColumns ?? [])] : []),
    ...sibling.columns.flatMap(({ name, comment }) =>
      comment === null
        ? []
        : [`COMMENT ON COLUMN ${table}.${quoteIdentifier(name)} IS ${quoteLiteral(comment)}`],
    ),
    ...sibling.publications.map(
      ({ name, columns, filter }) =>
        `ALTER PUBLICATION ${quoteIdentifier(name)} ADD TABLE ${table}${columns ? ` (${columns.map(quoteIdentifier).join(', ')})` : ''}${filter === null ? '' : ` WHERE (${filter})`}`,
    ),
  ];
  return [...made, ...statements.map((sql) => ({ sql, why: as }))];
}

/** Keys that exclude overlaps. The server chose their names. */
export function dropExclusions(table: string): PlannedStatement {
  const name = quoteLiteral(table);
  return {
    sql: `DO $eduschema$ DECLARE key name; BEGIN
  FOR key IN SELECT o.conname FROM pg_catalog.pg_constraint o JOIN pg_catalog.pg_index i ON i.indexrelid = o.conindid
             WHERE o.conrelid = ${name}::pg_catalog.regclass AND i.indrelid = o.conrelid AND i.indisexclusion LOOP
    EXECUTE pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I', ${name}, key);
  END LOOP; END $eduschema$`,
    why: 'ATTACH makes keys that exclude overlaps itself, also where there are some',
  };
}

function placeOf({ accessMethod, options, toastOptions, tablespace }: Leaf): string {
  const all = [...options, ...toastOptions.map((option) => `toast.${option}`)].map(optionOf);
  return [
    ...(accessMethod === null ? [] : [` USING ${quoteIdentifier(accessMethod)}`]),
    ...(all.length > 0 ? [` WITH (${all.join(', ')})`] : []),
    ...(tablespace === null ? [] : [` TABLESPACE ${quoteIdentifier(tablespace)}`]),
  ].join('');
}

/** `fillfactor=70` as SQL takes any of its kind. */
function optionOf(option: string): string {
  const at = option.indexOf('=');
  return `${option.slice(0, at)} = ${quoteLiteral(option.slice(at + 1))}`;
}

function changesOf({ name, statistics, options, storage, compression }: LeafColumn): string[] {
  const alter = `ALTER COLUMN ${quoteIdentifier(name)} SET`;
  return [
    ...(statistics === null ? [] : [`${alter} STATISTICS ${statistics}`]),
    ...(options.length > 0 ? [`${alter} (${options.map(optionOf).join(', ')})`] : []),
    ...(storage === null ? [] : [`${alter} STORAGE ${storage}`]),
    ...(compression === null ? [] : [`${alter} COMPRESSION ${compression}`]),
  ];
}

/** The server chose the index's name, so it is looked for by its columns. */
function replicaIndex(table: string, columns: readonly string[]): string {
  return `DO $eduschema$ BEGIN EXECUTE (
  SELECT format('ALTER TABLE %s REPLICA IDENTITY USING INDEX %I', i.indrelid::regclass, c.relname)
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
  WHERE i.indrelid = ${quoteLiteral(table)}::regclass AND i.indisunique AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
    AND (SELECT array_agg(a.attname::text ORDER BY a.attname) FROM pg_attribute a
         WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)) = ARRAY[${[...columns].sort().map(quoteLiteral).join(', ')}]
  LIMIT 1); END $eduschema$`;
}

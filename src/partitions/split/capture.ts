import { type QualifiedName, quoteIdentifier, quoteLiteral, quoteName } from '../../db/identifiers.ts';
import type { PlannedStatement } from '../../db/plan.ts';
import { withSuffix } from '../partition-name.ts';
import { columnList, type KeyColumn } from './key.ts';
import { ownComment } from './own-comment.ts';
import type { Pair } from './pair.ts';

/** The triggers that note changes, by their names. */
export const captureTriggers = {
  rows: 'eduschema_notes_changes',
  truncate: 'eduschema_notes_truncate',
} as const;

/** The statements that make the table of changes and the function that notes them. Nothing is noted yet. */
export function createCapture({ from, changes, key, owner }: Pair): PlannedStatement[] {
  const table = quoteName(changes);
  const note = `${quoteName(noteOf(changes))}()`;
  return [
    {
      // AS SELECT: the types, however they are called, are those of the table.
      sql: `CREATE TABLE ${table} AS SELECT ${columnList(key.map(({ name }) => name))} FROM ${quoteName(from)} WITH NO DATA`,
      why: 'keys of rows that change meanwhile; a row of nulls says that something could not be noted by key',
    },
    {
      sql: noteFunction(changes, key),
      why: 'notes changes; whoever writes needs no rights of his own for it',
    },
    {
      sql: `ALTER FUNCTION ${note} OWNER TO ${quoteIdentifier(owner)}`,
      why: "it acts as the table's owner, and as nobody more mighty",
    },
    { sql: `ALTER TABLE ${table} OWNER TO ${quoteIdentifier(owner)}`, why: 'as the table' },
    {
      sql: `COMMENT ON TABLE ${table} IS ${quoteLiteral(`${ownComment}changes of ${from.schema}.${from.name} while it is converted`)}`,
      why: 'a run that goes on knows it for its own',
    },
    { sql: revokeAll(table, note), why: 'nobody else has rights on them, whatever default privileges gave' },
  ];
}

/** The statements from which on changes of the first table are noted, also those of a replica's session. */
export function startCapture({ from, changes }: Pick<Pair, 'from' | 'changes'>): PlannedStatement[] {
  const table = quoteName(from);
  const shown = `${from.schema}.${from.name}`;
  const note = `${quoteName(noteOf(changes))}()`;
  const { rows, truncate } = captureTriggers;
  return [
    {
      sql: `CREATE TRIGGER ${rows} AFTER INSERT OR UPDATE OR DELETE ON ${table} FOR EACH ROW EXECUTE FUNCTION ${note}`,
      why: 'from here on changes are noted; waits until everybody who writes now is done',
      locks: [`SHARE ROW EXCLUSIVE on ${shown}`],
    },
    {
      sql: `CREATE TRIGGER ${truncate} AFTER TRUNCATE ON ${table} FOR EACH STATEMENT EXECUTE FUNCTION ${note}`,
      why: 'TRUNCATE as well',
      locks: [`SHARE ROW EXCLUSIVE on ${shown}`],
    },
    {
      sql: `ALTER TABLE ${table} ENABLE ALWAYS TRIGGER ${rows}, ENABLE ALWAYS TRIGGER ${truncate}`,
      why: 'whatever session_replication_role says',
      locks: [`SHARE ROW EXCLUSIVE on ${shown}`],
    },
  ];
}

/** The statements that end it on `table`. The changes noted so far stay. */
export function stopCapture(table: QualifiedName): PlannedStatement[] {
  return Object.values(captureTriggers).map((trigger) => ({
    sql: `DROP TRIGGER IF EXISTS ${trigger} ON ${quoteName(table)}`,
    why: 'nothing is noted any more',
    locks: [`ACCESS EXCLUSIVE on ${table.schema}.${table.name}`],
  }));
}

/** The statements that take away what `createCapture` made; the triggers must be gone. */
export function dropCapture(changes: QualifiedName): PlannedStatement[] {
  return [
    { sql: `DROP FUNCTION IF EXISTS ${quoteName(noteOf(changes))}()`, why: 'no trigger calls it any more' },
    { sql: `DROP TABLE IF EXISTS ${quoteName(changes)}`, why: 'what was noted in it is done' },
  ];
}

const noteOf = ({ schema, name }: QualifiedName): QualifiedName => ({
  schema,
  name: withSuffix(name, '_note'),
});

/** Whoever could write into the table of changes, or call the function, could make rows be forgotten. */
function revokeAll(table: string, note: string): string {
  return dollarQuoted(
    'DO ',
    `DECLARE right_of record;
BEGIN
  FOR right_of IN
    SELECT thing, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS grantee
    FROM (SELECT ${quoteLiteral(`TABLE ${table}`)} AS thing, relowner AS owner, relacl AS acl
          FROM pg_catalog.pg_class WHERE oid = ${quoteLiteral(table)}::regclass
          UNION ALL
          SELECT ${quoteLiteral(`FUNCTION ${note}`)}, proowner, coalesce(proacl, pg_catalog.acldefault('f', proowner))
          FROM pg_catalog.pg_proc WHERE oid = ${quoteLiteral(note)}::regprocedure) AS things
    CROSS JOIN LATERAL pg_catalog.aclexplode(acl) AS a
    WHERE a.grantee <> owner
  LOOP
    EXECUTE 'REVOKE ALL ON ' || right_of.thing || ' FROM ' || right_of.grantee;
  END LOOP;
END`,
  );
}

/**
 * The function must not make a statement of the application fail, whatever becomes of the table meanwhile. So it looks,
 * once a transaction, whether the place for notes is there and the columns are what they were; after that nobody else
 * can change either, as the transaction has locks on both. What it cannot note by key it notes as a row of nulls, for
 * which the copy begins anew. Refused: EXCEPTION around each INSERT, a subtransaction with a number of its own; more
 * than 64 of these in a transaction slow everybody down. LOCK takes none.
 */
function noteFunction(changes: QualifiedName, key: readonly KeyColumn[]): string {
  const names = key.map(({ name }) => name);
  const into = `INSERT INTO ${quoteName(changes)} (${columnList(names)}) VALUES`;
  const nothing = `(${key.map(() => 'NULL').join(', ')})`;
  const expected = key.map(({ name, typeOid }) => `(${quoteLiteral(name)}, ${typeOid}::oid)`).join(', ');
  return dollarQuoted(
    `CREATE FUNCTION ${quoteName(noteOf(changes))}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS `,
    `BEGIN
  IF current_setting('eduschema.seen_' || TG_RELID, true) IS DISTINCT FROM 'yes' THEN
    BEGIN
      LOCK TABLE ${quoteName(changes)} IN ROW EXCLUSIVE MODE;
    EXCEPTION WHEN undefined_table THEN
      RETURN NULL;
    END;
    IF (SELECT count(*) FROM pg_attribute
        WHERE attrelid = TG_RELID AND (attname, atttypid) IN (${expected})) < ${key.length} THEN
      ${into} ${nothing};
      RETURN NULL;
    END IF;
    PERFORM set_config('eduschema.seen_' || TG_RELID, 'yes', true);
  END IF;
  IF TG_OP = 'TRUNCATE' THEN
    ${into} ${nothing};
  ELSIF TG_OP = 'INSERT' THEN
    ${into} (${columnList(names, 'NEW')});
  ELSIF TG_OP = 'DELETE' THEN
    ${into} (${columnList(names, 'OLD')});
  ELSE
    ${into} (${columnList(names, 'OLD')}), (${columnList(names, 'NEW')});
  END IF;
  RETURN NULL;
END`,
  );
}

/** `before $note$ ... $note$`, with a tag that the text does not have. */
function dollarQuoted(before: string, text: string): string {
  let tag = '$note$';
  while (text.includes(tag)) tag = tag.replace(/\$$/, '_$');
  return `${before}${tag}\n${text}\n${tag}`;
}

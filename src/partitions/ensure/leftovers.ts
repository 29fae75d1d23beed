import type { Sql } from 'postgres';
import { askTogether, type Question } from '../../db/ask-together.ts';
import { type QualifiedName, quoteLiteral, quoteName, showName } from '../../db/identifiers.ts';
import type { Step } from '../../db/plan.ts';
import { type Marker, markerPattern, readMarker } from './marker.ts';
import { elsewhereConstraint } from './plan-attach.ts';

/** A table that an earlier run left: made and not attached, of a copy, or a default partition that was replaced. */
export interface Leftover {
  readonly name: QualifiedName;
  readonly marker: Marker;
}

/** Tables that say in their comment that eduschema made them, and that are no partitions, by name. */
export async function listLeftovers(sql: Sql): Promise<Leftover[]> {
  const [leftovers] = await askTogether(sql, [], [leftoversQuestion]);
  return leftovers;
}

/** Asks what `listLeftovers` does. */
export const leftoversQuestion: Question<Leftover[]> = {
  sql: `SELECT n.nspname AS schema, c.relname AS name, d.description AS comment
    FROM pg_description d JOIN pg_class c ON c.oid = d.objoid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE d.classoid = 'pg_class'::regclass AND d.objsubid = 0
      AND d.description LIKE ${quoteLiteral(markerPattern)} AND c.relkind = 'r' AND NOT c.relispartition ORDER BY 1, 2`,
  read: (rows: (QualifiedName & { comment: string })[]) =>
    rows.flatMap(({ comment, ...name }) => {
      const marker = readMarker(comment);
      return marker ? [{ name, marker }] : [];
    }),
};

/** The default partition whose CHECK an earlier run left: it refuses rows until their partitions are attached. */
export async function findLeftCheck(sql: Sql, name: QualifiedName): Promise<QualifiedName | undefined> {
  const [found] = await askTogether(sql, [], [leftCheckQuestion(name)]);
  return found;
}

/** Asks what `findLeftCheck` does. */
export function leftCheckQuestion({ schema, name }: QualifiedName): Question<QualifiedName | undefined> {
  return {
    sql: `SELECT n.nspname AS schema, c.relname AS name FROM pg_partitioned_table p
      JOIN pg_class t ON t.oid = p.partrelid JOIN pg_namespace s ON s.oid = t.relnamespace
      JOIN pg_constraint o ON o.conrelid = p.partdefid AND o.conname = '${elsewhereConstraint}'
      JOIN pg_class c ON c.oid = p.partdefid JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE s.nspname = ${quoteLiteral(schema)} AND t.relname = ${quoteLiteral(name)}`,
    read: ([row]: QualifiedName[]) => row,
  };
}

/** The step that takes such a CHECK away. */
export function planDropCheck(name: QualifiedName): Step {
  return {
    title: `take the CHECK of a run that ended early from ${showName(name)}`,
    transaction: true,
    statements: [
      {
        sql: `ALTER TABLE ${quoteName(name)} DROP CONSTRAINT IF EXISTS ${elsewhereConstraint}`,
        why: 'it refuses rows',
        locks: [`ACCESS EXCLUSIVE on ${showName(name)}`],
      },
    ],
  };
}

/**
 * The step that drops what an earlier run left. It must be empty, unless it was replaced: rows in it would not be ours,
 * or those of a copy whose trigger somebody took away.
 */
export function planDropLeftover({ name, marker }: Leftover): Step {
  const table = quoteName(name);
  const check = `IF EXISTS (SELECT FROM ${table}) THEN RAISE EXCEPTION '% has rows that eduschema cannot account for', ${quoteLiteral(showName(name))} USING HINT = 'if they are copies of rows in the default partition, drop it'; END IF;`;
  const guarded = `DO $eduschema$ BEGIN LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE; ${check} DROP TABLE ${table}; END $eduschema$`;
  return {
    title: `drop ${showName(name)}, which a run that ended early left`,
    transaction: true,
    statements: [
      marker.state === 'replaced'
        ? { sql: `DROP TABLE ${table}`, why: 'its rows are in another default partition' }
        : { sql: guarded, why: 'it was never attached, and is empty' },
    ],
  };
}

import { type QualifiedName, quoteIdentifier, quoteName } from '../../../db/identifiers.ts';
import { inRange } from '../bound-condition.ts';
import type { Copy } from './plan-copy.ts';

/**
 * The function of the copy's triggers. It runs with the rights of the table's owner, since whoever writes to the table
 * has none on the copy, and under a search_path that nobody else can put anything into.
 */
export function copyFunction({ facts, function: name, parts, rest }: Copy): string {
  const column = quoteIdentifier(facts.table.column);
  const all = [...parts.map((part) => part.name), rest];
  const byRange = (row: 'OLD' | 'NEW', work: (table: QualifiedName) => string) => [
    ...parts.map(
      (part, index) =>
        `    ${index === 0 ? 'IF' : 'ELSIF'} ${inRange(`${row}.${column}`, part)} THEN\n      ${work(part.name)}`,
    ),
    `    ELSE\n      ${work(rest)}`,
    '    END IF;',
  ];
  return [
    `CREATE OR REPLACE FUNCTION ${name} RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER`,
    'SET search_path = pg_catalog, pg_temp AS $eduschema$',
    'BEGIN',
    `  IF TG_OP = 'TRUNCATE' THEN`,
    ...all.map((table) => `    DELETE FROM ${quoteName(table)};`),
    '    RETURN NULL;',
    '  END IF;',
    `  IF TG_OP <> 'INSERT' THEN`,
    ...byRange('OLD', (table) => deleteFrom(table, facts.surroundings.key ?? [])),
    '  END IF;',
    `  IF TG_OP <> 'DELETE' THEN`,
    ...byRange('NEW', (table) => insertInto(table, facts.surroundings)),
    '  END IF;',
    '  RETURN NULL;',
    'END $eduschema$',
  ].join('\n');
}

function deleteFrom(table: QualifiedName, key: readonly string[]): string {
  const same = key.map(quoteIdentifier).map((name) => `t.${name} = OLD.${name}`);
  return `DELETE FROM ${quoteName(table)} t WHERE ${same.join(' AND ')};`;
}

/** A row that is there already would be one that was missed: what the table has now counts. */
function insertInto(
  table: QualifiedName,
  { key, columns }: Pick<Copy['facts']['surroundings'], 'key' | 'columns'>,
): string {
  const names = columns.map(quoteIdentifier);
  const conflict = (key ?? []).map(quoteIdentifier).join(', ');
  const changes = names.map((name) => `${name} = EXCLUDED.${name}`).join(', ');
  const values = names.map((name) => `NEW.${name}`).join(', ');
  return `INSERT INTO ${quoteName(table)} (${names.join(', ')}) OVERRIDING SYSTEM VALUE VALUES (${values})\n        ON CONFLICT (${conflict}) DO UPDATE SET ${changes};`;
}

/** Copies the rows of some blocks that are in no hand but ours. Rows that the triggers brought are there already. */
export function copyBlocks(
  { facts, from, parts, rest }: Copy,
  block: string,
  next: string,
): { readonly sql: string; readonly into: QualifiedName }[] {
  const names = facts.surroundings.columns.map(quoteIdentifier).join(', ');
  const column = quoteIdentifier(facts.table.column);
  const inside = parts.map((part) => ({ into: part.name, where: inRange(column, part) }));
  const others = {
    into: rest,
    where: `(${inside.map(({ where }) => `(${where})`).join(' OR ')}) IS NOT TRUE`,
  };
  return [...inside, others].map(({ into, where }) => ({
    into,
    sql: `INSERT INTO ${quoteName(into)} (${names}) OVERRIDING SYSTEM VALUE SELECT ${names} FROM ONLY ${quoteName(from)} WHERE ctid >= ${block} AND ctid < ${next} AND ${where} FOR SHARE ON CONFLICT DO NOTHING`,
  }));
}

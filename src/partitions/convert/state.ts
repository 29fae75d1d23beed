import type { Sql } from 'postgres';
import { type QualifiedName, quoteName } from '../../db/identifiers.ts';
import { readMark } from '../comment-mark.ts';
import type { TwinMark } from './memory.ts';
import { proofName, twinOf, workSuffix } from './names.ts';

/** How far a conversion is, as the catalogue shows it. */
export interface ConversionState {
  /** Undefined without one. `mark` undefined: a relation of that name which is not ours. */
  readonly twin: Twin | undefined;
  /** Indexes of the table that a conversion built or began to build. */
  readonly wide: readonly WideIndex[];
  readonly proof: Proof | undefined;
}

export interface WideIndex {
  readonly name: string;
  readonly valid: boolean;
  /** The definition from USING on. */
  readonly using: string;
}

export interface Twin {
  readonly mark: TwinMark | undefined;
  readonly partitions: readonly TwinPartition[];
  /** The names of its foreign keys, which it has since it was rehearsed. */
  readonly foreignKeys: readonly string[];
}

export interface TwinPartition {
  readonly name: string;
  /** `FOR VALUES FROM (...) TO (...)`, under UTC. */
  readonly bound: string;
}

/** The CHECK that says where the first partition ends. */
export interface Proof {
  /** The end, as PostgreSQL writes it under UTC; null when it says something else. */
  readonly end: string | null;
  readonly validated: boolean;
}

interface StateRow {
  readonly twinOid: number | null;
  readonly comment: string | null;
  readonly foreignKeys: readonly string[];
  readonly partitions: readonly TwinPartition[];
  readonly wide: readonly WideIndex[];
  readonly proof: string | null;
  readonly validated: boolean | null;
}

/** Asks how far the conversion of a table is. Call it under UTC. */
export async function findState(sql: Sql, table: QualifiedName): Promise<ConversionState> {
  const [row] = await sql.unsafe<[{ state: string }]>(
    `WITH t AS (SELECT to_regclass($1) AS oid, to_regclass($2) AS twin),
     proof AS (SELECT pg_get_constraintdef(o.oid) AS proof, o.convalidated AS validated
               FROM pg_constraint o, t WHERE o.conrelid = t.oid AND o.conname = '${proofName}')
     SELECT jsonb_build_object(
       'twinOid', t.twin::oid::int8, 'foreignKeys', (
          SELECT coalesce(jsonb_agg(k.conname ORDER BY k.conname), '[]') FROM pg_constraint k WHERE k.conrelid = t.twin AND k.contype = 'f'), 'comment', obj_description(t.twin::oid, 'pg_class'),
       'partitions', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', c.relname, 'bound', pg_get_expr(c.relpartbound, c.oid)) ORDER BY c.relname), '[]')
                      FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid WHERE h.inhparent = t.twin),
       'wide', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', i.relname, 'valid', x.indisvalid AND x.indisready,
                  'using', substr(pg_get_indexdef(i.oid), length(format('CREATE UNIQUE INDEX %I ON %I.%I ', i.relname, $3::text, $4::text)) + 1)) ORDER BY i.relname), '[]')
                FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = t.oid AND i.relname ~ '${workSuffix}$'),
       'proof', (SELECT proof FROM proof), 'validated', (SELECT validated FROM proof))::text AS state
     FROM t`,
    [quoteName(table), quoteName(twinOf<QualifiedName>(table)), table.schema, table.name],
  );
  const { twinOid, comment, foreignKeys, partitions, wide, proof, validated }: StateRow = JSON.parse(
    row.state,
  );
  return {
    twin:
      twinOid === null ? undefined : { mark: readMark<TwinMark>(comment, 'twin'), partitions, foreignKeys },
    wide,
    proof:
      proof === null
        ? undefined
        : { end: / < '([^']+)'::/.exec(proof)?.[1] ?? null, validated: validated === true },
  };
}

import { createHash } from 'node:crypto';
import type { Statement } from '../sql/split.ts';
import { readGap } from './large-file.ts';
import { divideIntoPieces, type Piece } from './pieces.ts';
import { placeholderAt } from './placeholders.ts';
import { describeUnit, isTransactional, type Prepared, type PreparedSql } from './prepare.ts';
import { migrationOf, type Unfinished } from './statement-journal.ts';

/** A migration in a plan's file, or a hook. */
export interface PlannedStep {
  readonly name: string;
  /** Null for a repeatable one, and for a hook. */
  readonly version: string | null;
  readonly description: string;
  readonly direction: 'up' | 'down';
  /** `code`: a TypeScript or JavaScript migration, whose statements nobody knows before it runs. */
  readonly kind: 'sql' | 'code';
  /** As the user calls it. */
  readonly file: string;
  /** Of the file and what it includes; of code, of the file or function alone; null for a hook in SQL. */
  readonly checksum: string | null;
  /** `own`: a transaction of its own, `shared`: one for the whole plan, `none`: outside of one. */
  readonly transaction: 'own' | 'shared' | 'none';
  /** Ordinals of statements that an earlier run carried out, of a migration outside a transaction. */
  readonly carriedOut: readonly number[];
  readonly statements: readonly PlannedStatement[] | null;
}

/** A statement in a plan's file. Later versions may add what locks it takes. */
export interface PlannedStatement {
  /** From 1. */
  readonly ordinal: number;
  /** SHA-256 of `sql`. */
  readonly hash: string;
  /** As it is sent: with the values of placeholders and of psql's variables. */
  readonly sql: string;
  /** The data behind a COPY. */
  readonly data?: { readonly bytes: number; readonly sha256: string };
  /** Outside a transaction: as divideIntoPieces says. */
  readonly runs?: Piece['kind'];
}

/** Describes steps for a plan's file. COPY data is read, and only its hash kept. */
export function describeSteps(
  steps: readonly Prepared[],
  unfinished: readonly Unfinished[],
  singleTransaction: boolean,
): PlannedStep[] {
  return steps.map((step) => describeStep(step, unfinished, singleTransaction));
}

function describeStep(
  step: Prepared,
  unfinished: readonly Unfinished[],
  singleTransaction: boolean,
): PlannedStep {
  const { unit, direction } = step;
  const begun = unfinished.find(
    (known) => known.migration === migrationOf(unit) && known.direction === direction,
  );
  return {
    ...describeUnit(unit),
    direction,
    kind: step.kind === 'sql' ? 'sql' : 'code',
    checksum: unit.type === 'hook' ? (unit.checksum ?? null) : unit.file.checksum,
    transaction: !isTransactional(step) ? 'none' : singleTransaction ? 'shared' : 'own',
    carriedOut: begun?.done ?? [],
    statements: step.kind === 'sql' ? describeStatements(step) : null,
  };
}

function describeStatements(step: PreparedSql): PlannedStatement[] {
  const {
    text,
    section: { statements },
  } = step;
  const pieces = isTransactional(step) ? [] : divideIntoPieces(text, statements);
  const kinds = pieces.flatMap(({ kind, from, to }) => Array.from({ length: to - from }, () => kind));
  return statements.map((statement, index) => {
    const sql = text.slice(statement.start, statement.end);
    const data = describeData(text, statement);
    const runs = kinds[index];
    return {
      ordinal: index + 1,
      hash: createHash('sha256').update(sql).digest('hex'),
      sql,
      ...(data ? { data } : {}),
      ...(runs ? { runs } : {}),
    };
  });
}

function describeData(text: string, { data }: Statement): PlannedStatement['data'] {
  if (!data) return undefined;
  const hash = createHash('sha256');
  let bytes = 0;
  for (const piece of 'path' in data ? readGap(data) : [Buffer.from(text.slice(data.start, data.end))]) {
    hash.update(piece);
    bytes += piece.length;
  }
  return { bytes, sha256: hash.digest('hex') };
}

/** The placeholders whose values stand in the statements of these steps, by name; sorted. */
export function listPlaceholders(steps: readonly Prepared[]): string[] {
  const names = steps.flatMap((step) => {
    const [first] = step.kind === 'sql' ? step.section.statements : [];
    const pieces = first?.origin?.filter(({ stands }) => stands) ?? [];
    return pieces.flatMap(({ source, from }) => placeholderAt(source.text, from)?.name ?? []);
  });
  return [...new Set(names)].sort();
}

import type { Database } from '../db/connect.ts';
import { checkIdentifier, type QualifiedName } from '../db/identifiers.ts';
import type { ColumnName } from '../db/parse-name.ts';
import type { WorkSettings } from '../db/work-settings.ts';
import { withWorker } from '../db/worker.ts';
import { EduschemaError } from '../errors.ts';
import { linkTags, type RefusedOwner } from './link-tags.ts';
import { makeTags, type TagCounts } from './make-tags.ts';
import { type Splitting, usualSeparators } from './pieces.ts';
import { proveTags, type TagProof } from './prove.ts';
import { countedPieces, meantTags, type SplitPlace, strayTexts } from './queries.ts';
import { listRefused, type RefusedText } from './refused.ts';
import { renameColumn } from './rename-column.ts';
import { findSource, findUsualSource, showColumn } from './source.ts';
import { findTarget } from './target.ts';

/** What to take apart, and where it goes. */
export interface SplitOptions {
  /** The column with the tags; without it `materials_old.tags_string`, else `materials.tags`. */
  readonly from?: ColumnName | undefined;
  /** The source's column that says whose tags they are; the primary key without it. */
  readonly id?: string | undefined;
  readonly tags: ColumnName;
  readonly links: QualifiedName;
  /** Those of `usualSeparators` without it; none for an array. */
  readonly separators?: readonly string[] | undefined;
  readonly quotes?: boolean | undefined;
  /** Texts of one transaction; 20,000 without it. */
  readonly batch?: number | undefined;
  /** Rename the column to this when all of it is in the tables. */
  readonly rename?: string | undefined;
}

/** A tag that the texts mean. */
export interface MeantTag {
  readonly name: string;
  /** How often it is in the texts. */
  readonly uses: number;
  /** As it is written there, the most frequent first. */
  readonly spellings: readonly string[];
  readonly isNew: boolean;
  readonly refused: string | null;
}

export interface SplitPreview {
  readonly from: string;
  readonly tags: readonly MeantTag[];
  readonly stray: readonly RefusedText[];
}

export interface SplitResult extends TagCounts {
  readonly from: string;
  /** Pairs of an owner and a tag that were added. */
  readonly added: number;
  readonly proof: TagProof;
  /** What could not go, with why: at most `refusedShown` of them. */
  readonly refused: readonly RefusedText[];
  readonly refusedCount: number;
  readonly renamed: string | null;
}

/** What `splitTags` gives back of what was refused; the rest is counted. */
export const refusedShown = 10_000;

/** Texts that are changed while they are read are read again, so often. */
const rounds = 3;

/** What a run would do: the tags, those with several spellings and those that cannot be made last. Reads only. */
export async function previewSplit(
  { sql }: Database,
  options: SplitOptions,
  schema: string,
): Promise<SplitPreview> {
  const place = await findPlace(sql, options, schema);
  const tags = await sql.unsafe<MeantTag[]>(
    `SELECT name, uses::float8 AS uses, to_json(spellings) AS spellings, tag IS NULL AND refused IS NULL AS "isNew", refused
     FROM (${meantTags(place, countedPieces(place))}) AS m 
     ORDER BY refused IS NOT NULL, cardinality(spellings) > 1, m.uses, name COLLATE "C" DESC`,
  );
  const stray = await sql.unsafe<RefusedText[]>(`${strayTexts(place)} ORDER BY 1 LIMIT ${refusedShown}`);
  return { from: showColumn(place.source), tags: [...tags], stray: [...stray] };
}

/**
 * Takes texts of tags apart into a table of tags and one that says who has which. Idempotent, in batches; what cannot
 * go is listed, and the rest goes on. At the end the texts are proved against the tables, both ways, in one snapshot;
 * then, when asked, the column is renamed. `onRefused` is given what was refused, all of it. Throws `proof-failed` when
 * the texts go on changing, or when the column is to be renamed and something was refused.
 */
export async function splitTags(
  database: Database,
  options: SplitOptions,
  schema: string,
  settings: WorkSettings,
  report?: string,
): Promise<SplitResult> {
  const place = await findPlace(database.sql, options, schema);
  const from = showColumn(place.source);
  return withWorker(database, `tags of ${from}`, settings, async (worker) => {
    let added = 0;
    for (let round = 1; ; round++) {
      const counts = await makeTags(worker, place);
      const linked = await linkTags(worker, place, settings, options.batch);
      added += linked.added;
      const proof = await proveTags(
        worker,
        place,
        linked.refused.map(({ id }) => id),
      );
      // Texts that came or changed since they were read.
      if (proof.missing > 0 && round < rounds) continue;
      if (proof.missing > 0) throw unproved(from, proof);
      const { refused, refusedCount } = await listRefused(worker, place, linked.refused, report);
      const renamed = options.rename === undefined ? null : await rename(options.rename, refusedCount);
      return { ...counts, from, added, proof, refused, refusedCount, renamed };
    }
    async function rename(name: string, refusedCount: number): Promise<string> {
      if (refusedCount > 0)
        throw new EduschemaError(
          'proof-failed',
          `${from} is not renamed: ${refusedCount} of its texts could not go`,
          {
            hint: 'run it without --rename to see which; mend them, and run it again',
          },
        );
      await renameColumn(worker, place, name);
      return name;
    }
  });
}

async function findPlace(sql: Database['sql'], options: SplitOptions, schema: string): Promise<SplitPlace> {
  const column = options.from ?? (await findUsualSource(sql, schema));
  if (!column)
    throw new EduschemaError(
      'table-missing',
      `there is no ${schema}.materials_old.tags_string, nor materials.tags`,
      {
        hint: 'name the column that holds the tags: --from table.column',
      },
    );
  if (options.rename !== undefined) checkIdentifier(options.rename, 'the new name of the column');
  const source = await findSource(sql, column, options.id);
  const target = await findTarget(sql, options.tags, options.links, source);
  const splitting: Splitting = {
    separators: options.separators ?? (source.isArray ? [] : usualSeparators),
    quotes: options.quotes ?? false,
  };
  return { source, target, splitting };
}

function unproved(from: string, { missing, examples }: TagProof): EduschemaError {
  return new EduschemaError(
    'proof-failed',
    `${missing} tags of ${from} are not in the tables: the texts are being changed`,
    {
      excerpt: examples.map((example) => `  ${example}`).join('\n'),
      hint: 'run the command again when the application writes the tables alone; what was added stays',
      details: { missing, examples },
    },
  );
}

export type { RefusedOwner, RefusedText };

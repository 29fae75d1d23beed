import { quoteIdentifier, quoteLiteral, quoteName } from '../db/identifiers.ts';
import { foldedText } from '../sql/folded-text.ts';
import { hasOpenQuote, piecesOf, type Splitting } from './pieces.ts';
import { idOf, type TagSource } from './source.ts';
import type { TagTarget } from './target.ts';

/** What a run works on. */
export interface SplitPlace {
  readonly source: TagSource;
  readonly target: TagTarget;
  readonly splitting: Splitting;
}

/** The worker's own table of each piece of text, with the key of the tag that it means. */
export const piecesTable = 'pg_temp.eduschema_pieces';
/** The worker's own table of the tags that the texts mean, with what became of each. */
export const tagsTable = 'pg_temp.eduschema_tags';

/** What a tag is called, as it is written: NFC, without blanks around it or in a row. */
const nameOf = (expression: string) => foldedText(expression, ['nfc', 'space']);

/** Equal for spellings of one tag. */
const keyOf = (expression: string) => foldedText(expression, ['nfkc', 'case', 'space']);

const textOf = ({ column }: TagSource) => `s.${quoteIdentifier(column)}`;

/** Whether there is somebody whose tags they can be; the table of texts may be the owners' own. */
function hasOwner({ source, target }: SplitPlace): string {
  const { owners, ownersOid, ownersKey } = target;
  if (ownersOid === source.oid && ownersKey === source.id) return 'true';
  return `EXISTS (SELECT FROM ${quoteName(owners)} AS o WHERE o.${quoteIdentifier(ownersKey)} = ${idOf(source)})`;
}

const isOpen = ({ source, splitting }: SplitPlace) =>
  splitting.quotes && splitting.separators.length > 0
    ? hasOpenQuote(textOf(source), source.isArray)
    : 'false';

/** The texts that can be taken apart: `id` and `text`. */
export function textRows(place: SplitPlace, range = 'true'): string {
  const { source } = place;
  return `SELECT ${idOf(source)} AS id, ${textOf(source)} AS text FROM ${quoteName(source.table)} AS s
    WHERE ${textOf(source)} IS NOT NULL AND ${idOf(source)} IS NOT NULL AND NOT ${isOpen(place)} AND ${hasOwner(place)} AND ${range}`;
}

/** A row for each piece of each text: `id` and `raw`. */
export function pieceRows(place: SplitPlace, range?: string): string {
  const { source, splitting } = place;
  return `SELECT r.id, piece.raw COLLATE "C" AS raw FROM (${textRows(place, range)}) AS r,
    unnest(${piecesOf('r.text', source.isArray, splitting)}) AS piece (raw) WHERE piece.raw IS NOT NULL`;
}

/** Each piece once, with how often it is there: `raw`, `uses`, `name`, `key`. Blank ones are left out. */
export function countedPieces(place: SplitPlace): string {
  return `SELECT c.raw, c.uses, f.name, f.key
    FROM (SELECT raw, count(*) AS uses FROM (${pieceRows(place)}) AS p GROUP BY raw) AS c,
      LATERAL (SELECT ${nameOf('c.raw')} AS name, ${keyOf('c.raw')} AS key OFFSET 0) AS f WHERE f.key <> ''`;
}

/** The tags that are there, one for each key: `id`, `name`, `key`. */
export function knownTags({ target: { tags, key, name } }: SplitPlace): string {
  const column = `t.${quoteIdentifier(name)}`;
  return `SELECT DISTINCT ON (key) id, name, key
    FROM (SELECT t.${quoteIdentifier(key)} AS id, ${column}::text AS name, ${keyOf(column)} AS key FROM ${quoteName(tags)} AS t) AS k
    ORDER BY key, id`;
}

/**
 * The tags that the pieces mean: `key`, `name` (of the tag that is there, else the spelling that is used most, of those
 * that fit), `uses`, `spellings`, `tag` (its id, null for a new one), `refused` (why it cannot be made).
 */
export function meantTags(place: SplitPlace, pieces: string): string {
  const { target } = place;
  const tooLong = (name: string) =>
    target.longest === null ? 'false' : `char_length(${name}) > ${target.longest}`;
  return `SELECT m.key, coalesce(k.name, m.spellings[1]) AS name, m.uses, m.spellings, k.id AS tag,
      CASE WHEN k.id IS NULL AND ${tooLong('m.spellings[1]')}
        THEN 'too long: ' || char_length(m.spellings[1]) || ' characters of ' || ${target.longest ?? 0} END AS refused
    FROM (SELECT key, sum(uses)::int8 AS uses, array_agg(name ORDER BY ${tooLong('name')}, uses DESC, name COLLATE "C") AS spellings
          FROM (SELECT key, name, sum(uses)::int8 AS uses FROM (${pieces}) AS p GROUP BY key, name) AS spelt GROUP BY key) AS m
    LEFT JOIN (${knownTags(place)}) AS k USING (key)`;
}

/** Texts that belong nowhere, or cannot be read: `id`, `text`, `reason`. */
export function strayTexts(place: SplitPlace): string {
  const { source, target } = place;
  const { owners, ownersKey } = target;
  const nobody = `not in ${owners.schema}.${owners.name}: no ${ownersKey} is ${source.id}`;
  return `SELECT ${idOf(source)}::text AS id, ${textOf(source)}::text AS text,
      CASE WHEN ${idOf(source)} IS NULL THEN ${quoteLiteral(`${source.id} is null`)}
           WHEN ${isOpen(place)} THEN 'a double quote without its pair' ELSE ${quoteLiteral(nobody)} END AS reason
    FROM ${quoteName(source.table)} AS s
    WHERE ${textOf(source)} IS NOT NULL AND (${idOf(source)} IS NULL OR ${isOpen(place)} OR NOT ${hasOwner(place)})`;
}

/** Adds what is missing of the tags of the owners in `range`. */
export function linkStatement(place: SplitPlace, range: string): string {
  const { links, ownerColumn, tagColumn } = place.target;
  return `INSERT INTO ${quoteName(links)} (${quoteIdentifier(ownerColumn)}, ${quoteIdentifier(tagColumn)})
    SELECT DISTINCT p.id, g.tag FROM (${pieceRows(place, range)}) AS p
    JOIN ${piecesTable} AS m USING (raw) JOIN ${tagsTable} AS g USING (key)
    WHERE g.tag IS NOT NULL AND g.refused IS NULL ORDER BY 1, 2 ON CONFLICT DO NOTHING`;
}

/** A condition on the source's id: above `from`, up to `to`; null is without a limit. */
export function rangeOf({ source }: SplitPlace, from: string | null, to: string | null): string {
  const value = (text: string) => `${quoteLiteral(text)}::${source.idType}`;
  const conditions = [
    ...(from === null ? [] : [`${idOf(source)} > ${value(from)}`]),
    ...(to === null ? [] : [`${idOf(source)} <= ${value(to)}`]),
  ];
  return conditions.length === 0 ? 'true' : conditions.join(' AND ');
}

/**
 * What the texts say against what the tables say, both read anew and compared by key: `missing` from the tables,
 * `more` in the tables for an owner that has a text, and how many are in both. Leaves out what was refused.
 */
export function comparison(place: SplitPlace, refusedIds: readonly string[]): string {
  const { source, target } = place;
  const { links, ownerColumn, tagColumn, tags, key, name } = target;
  const refused = `ARRAY[${refusedIds.map((id) => quoteLiteral(id)).join(', ')}]::${source.idType}[]`;
  const without = refusedIds.length === 0 ? 'true' : `${idOf(source)} <> ALL (${refused})`;
  return `WITH pieces AS (${pieceRows(place, without)}),
    raws AS MATERIALIZED (
      SELECT raw, ${keyOf('raw')} AS key FROM (SELECT DISTINCT raw FROM pieces) AS d),
    wanted AS (
      SELECT DISTINCT p.id, r.key FROM pieces AS p JOIN raws AS r USING (raw)
      WHERE r.key <> '' AND NOT EXISTS (SELECT FROM ${tagsTable} AS g WHERE g.key = r.key AND g.refused IS NOT NULL)),
    names AS MATERIALIZED (
      SELECT t.${quoteIdentifier(key)} AS tag, ${keyOf(`t.${quoteIdentifier(name)}`)} AS key FROM ${quoteName(tags)} AS t),
    had AS (
      SELECT DISTINCT l.${quoteIdentifier(ownerColumn)} AS id, n.key
      FROM ${quoteName(links)} AS l JOIN names AS n ON n.tag = l.${quoteIdentifier(tagColumn)}
      WHERE l.${quoteIdentifier(ownerColumn)} IN (SELECT id FROM (${textRows(place, without)}) AS r))
    SELECT count(*) FILTER (WHERE h.id IS NULL)::float8 AS missing, count(*) FILTER (WHERE w.id IS NULL)::float8 AS more,
      count(*) FILTER (WHERE w.id IS NOT NULL AND h.id IS NOT NULL)::float8 AS same,
      to_json((array_agg(w.id::text || ': ' || w.key) FILTER (WHERE h.id IS NULL))[1:5]) AS examples
    FROM wanted AS w FULL JOIN had AS h USING (id, key)`;
}

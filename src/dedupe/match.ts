import { EduschemaError } from '../errors.ts';
import { type Fold, foldedText, folds } from '../sql/folded-text.ts';
import { at } from './row-sql.ts';
import { columnOf, type TableFacts } from './table-facts.ts';

/** Reads `exact`, `normalized` or folds with commas between. Throws `usage` for anything else. */
export function parseMatch(text = 'exact'): readonly Fold[] {
  if (text === 'exact') return [];
  if (text === 'normalized') return folds;
  const chosen = text.split(',').map((word) => word.trim());
  const unknown = chosen.filter((word) => !folds.some((fold) => fold === word));
  if (unknown.length > 0)
    throw new EduschemaError('usage', `--match does not know ${unknown.map((w) => `"${w}"`).join(', ')}`, {
      hint: `write exact, normalized, or some of ${folds.join(', ')} with commas between`,
    });
  return folds.filter((fold) => chosen.includes(fold));
}

/** The columns of the key as SQL: equal for rows that are duplicates. */
export function keyParts(
  table: TableFacts,
  key: readonly string[],
  match: readonly Fold[],
  alias: string,
): string[] {
  return key.map((column) => {
    const isText = columnOf(table, column).category === 'S';
    return isText && match.length > 0 ? foldedText(at(alias, column), match) : at(alias, column);
  });
}

/**
 * SQL for an aggregate over the rows of a cluster: what it took to see them as the same, the least of the forms of Unicode
 * first, and case and space only where nothing else would have done. `exact` where nothing was needed.
 */
export function ruleOf(
  table: TableFacts,
  key: readonly string[],
  match: readonly Fold[],
  alias: string,
): string {
  const texts = key.filter((column) => columnOf(table, column).category === 'S');
  if (match.length === 0 || texts.length === 0) return `'exact'`;
  const isOne = (chosen: readonly Fold[]) =>
    texts
      .map((column) => foldedText(at(alias, column), chosen))
      .map((text) => `min(${text} COLLATE "C") = max(${text} COLLATE "C")`)
      .join(' AND ');
  const chosen = (wanted: readonly Fold[]) => wanted.filter((fold) => match.includes(fold));
  const forms = unicodeForms(match);
  const byForm = (answer: (form: readonly Fold[]) => string) =>
    `CASE ${forms.map((form) => `WHEN ${isOne([...form, ...chosen(['case', 'space'])])} THEN ${answer(form)}`).join(' ')} END`;
  const parts = [
    byForm((form) => (form.length === 0 ? 'NULL' : `'${form.join('+')}'`)),
    ...(match.includes('case')
      ? [`CASE WHEN NOT (${isOne(match.filter((fold) => fold !== 'case'))}) THEN 'case' END`]
      : []),
    // Wide blanks are blanks, and wide: one of both rules is enough.
    ...(match.includes('space')
      ? [
          byForm(
            (form) =>
              `CASE WHEN NOT (${isOne([...strongest(form, forms), ...chosen(['case'])])}) THEN 'space' END`,
          ),
        ]
      : []),
  ];
  return `CASE WHEN ${isOne([])} THEN 'exact' ELSE pg_catalog.array_to_string(ARRAY[${parts.join(', ')}], '+') END`;
}

/** The form itself, with nfc where that was chosen: it knows nothing of blanks. */
function strongest(form: readonly Fold[], forms: readonly (readonly Fold[])[]): readonly Fold[] {
  const knowsNfc = forms.some((other) => other.includes('nfc'));
  return form.includes('nfkc') || !knowsNfc ? form : [...new Set<Fold>(['nfc', ...form])];
}

/** Forms of Unicode from the weakest on, as far as they are chosen; nfkc has the others in it. */
function unicodeForms(match: readonly Fold[]): (readonly Fold[])[] {
  const has = (fold: Fold) => match.includes(fold) || match.includes('nfkc');
  const forms: (readonly Fold[])[] = [[], ['nfc'], ['width'], ['nfc', 'width'], ['nfkc']];
  return forms.filter((form) => form.every((fold) => (fold === 'nfkc' ? match.includes(fold) : has(fold))));
}

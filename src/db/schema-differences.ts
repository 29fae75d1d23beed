/** An object that two schemas do not have alike. */
export interface SchemaDifference {
  readonly change: 'new' | 'changed' | 'gone';
  /** Its kind and name, as in SchemaFingerprint. */
  readonly name: string;
}

const table = /^(?:table|view|materialized view|foreign table|type) (.+)$/;
const hanging =
  /^(?:column|constraint|trigger|policy|rule|(?:columns of|privileges on|comment on) (?:materialized |foreign )?[a-z]+|(?:comment on )?index .+ on) (.+)$/;

/**
 * How a schema differs from what it was `then`, by the objects of two fingerprints. What hangs on a table that is new
 * or gone is not named, nor is the order of columns where one is new or gone.
 */
export function listSchemaDifferences(
  then: ReadonlyMap<string, string>,
  now: ReadonlyMap<string, string>,
): SchemaDifference[] {
  const changed = [...now].flatMap(([name, hash]): SchemaDifference[] => {
    const before = then.get(name);
    return before === hash ? [] : [{ change: before === undefined ? 'new' : 'changed', name }];
  });
  const gone = [...then.keys()].filter((name) => !now.has(name));
  const all = [...changed, ...gone.map((name): SchemaDifference => ({ change: 'gone', name }))];
  const oneSided = all.filter(({ change }) => change !== 'changed').map(({ name }) => name);
  const tables = new Set(oneSided.map((name) => table.exec(name)?.[1] ?? ''));
  const widened = new Set(
    oneSided
      .filter((name) => name.startsWith('column '))
      .map((name) => parentOf(name.slice('column '.length))),
  );
  return all.filter(({ change, name }) => {
    const own = hanging.exec(name)?.[1];
    if (own === undefined) return true;
    if (name.startsWith('columns of ') && widened.has(own)) return false;
    return change === 'changed' || !(tables.has(own) || tables.has(parentOf(own)));
  });
}

const parentOf = (name: string) => name.replace(/\.(?:"(?:[^"]|"")*"|[^".]*)$/, '');

import { quoteIdentifier } from '../../db/identifiers.ts';

/** A trigger that somebody made, and that is not disabled. */
export interface Trigger {
  readonly name: string;
  /** `O` fires in ordinary sessions, `R` in those that replicate, `A` in all. */
  readonly mode: 'O' | 'R' | 'A';
}

/** Bits of pg_trigger.tgtype: https://doxygen.postgresql.org/pg__trigger_8h_source.html */
const conditions = {
  'a row is inserted': 'tgtype & 1 <> 0 AND tgtype & 4 <> 0',
  'rows are deleted': 'tgtype & 8 <> 0',
  'it is truncated': 'tgtype & 32 <> 0',
};

/** An SQL expression: the triggers of the relation with the oid `oid` that fire when this happens, as JSON. */
export function triggersOf(oid: string, when: keyof typeof conditions): string {
  return `coalesce((SELECT json_agg(json_build_object('name', tgname, 'mode', tgenabled) ORDER BY tgname) FROM pg_trigger
    WHERE tgrelid = ${oid} AND NOT tgisinternal AND tgenabled <> 'D' AND ${conditions[when]}), '[]')`;
}

/** Changes of ALTER TABLE that silence triggers. */
export function silence(triggers: readonly Trigger[]): string[] {
  return triggers.map(({ name }) => `DISABLE TRIGGER ${quoteIdentifier(name)}`);
}

const enabling = { O: 'ENABLE', R: 'ENABLE REPLICA', A: 'ENABLE ALWAYS' };

/** Changes of ALTER TABLE after which triggers fire as they did. */
export function wake(triggers: readonly Trigger[]): string[] {
  return triggers.map(({ name, mode }) => `${enabling[mode]} TRIGGER ${quoteIdentifier(name)}`);
}

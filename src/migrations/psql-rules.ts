import type { EduschemaError } from '../errors.ts';
import type { Variables } from '../sql/psql-command.ts';

/** The error for a psql command: `why` follows its name. */
export type Refuse = (why: string, hint?: string) => EduschemaError;

/** What psql itself obeys: a migration stops at the first error, in a transaction, whatever a file says. */
const obeyed: Readonly<Record<string, RegExp>> = {
  ON_ERROR_STOP: /^(on|1|true|yes)$/i,
  AUTOCOMMIT: /^(on|1|true|yes)$/i,
  ON_ERROR_ROLLBACK: /^(off|0|false|no)$/i,
  SINGLELINE: /^(off|0|false|no)$/i,
};

/** Does `\\set`. Throws for a variable that psql itself obeys and a migration cannot. */
export function setVariable(
  variables: Variables,
  [name, ...values]: readonly string[],
  refuse: Refuse,
): void {
  if (name === undefined) throw refuse(' without a name prints', 'leave it out');
  if (!/^[\w\u0080-\uffff]+$/.test(name)) throw refuse(` takes no name like ${name}`);
  const value = values.join('');
  if (obeyed[name] && !obeyed[name].test(value || 'on'))
    throw refuse(
      ` ${name} ${value} cannot be obeyed`,
      'a migration stops at the first error, and is a transaction',
    );
  variables.set(name, value);
}

const gives = 'eduschema runs SQL: write it as SQL, or leave it out';

/** What to write in the place of a psql command that is refused. */
export function hintFor(name: string): string {
  if (/^\\(c|connect)$/.test(name))
    return 'a migration runs in one database: leave it out (pg_dump writes it with --create)';
  if (/^\\copy$/i.test(name)) return 'write COPY ... FROM stdin; with the data below it, ended by a line \\.';
  if (/^\\g/.test(name)) return 'end the statement with a semicolon';
  if (name === '\\;') return 'write the semicolon alone';
  if (name === '\\.') return 'there is no COPY ... FROM stdin above it';
  return gives;
}

import { readFileSync, statSync } from 'node:fs';

/** What a password is looked up for. */
export interface Login {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
}

/**
 * Looks for passwords in the file at `path`, and returns the first that fits one of `logins`, in their order.
 * A file that others can read is not used, and `onWarning` hears of it, as libpq has it.
 * https://www.postgresql.org/docs/current/libpq-pgpass.html
 */
export function readPassword(
  path: string,
  logins: readonly Login[],
  onWarning: (text: string) => void,
): string | undefined {
  const file = statSync(path, { throwIfNoEntry: false });
  if (file === undefined) return undefined;
  if (!file.isFile()) {
    onWarning(`the password file ${path} is no plain file and was not used`);
    return undefined;
  }
  if (process.platform !== 'win32' && (file.mode & 0o077) !== 0) {
    onWarning(
      `the password file ${path} can be read by others and was not used; chmod 600 ${path} mends that`,
    );
    return undefined;
  }
  const text = readText(path, onWarning);
  return logins.map((login) => findPassword(text, login)).find((password) => password !== undefined);
}

function readText(path: string, onWarning: (text: string) => void): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    onWarning(`the password file ${path} cannot be read and was not used`);
    return '';
  }
}

/** The password of the first line that fits: `host:port:database:user:password`, each of the first four may be `*`. */
export function findPassword(text: string, { host, port, database, user }: Login): string | undefined {
  const wanted = [host.startsWith('/') ? 'localhost' : host, String(port), database, user];
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith('#')) continue;
    const fields = splitFields(line);
    if (fields.length < 5) continue;
    const fits = wanted.every(
      (value, index) =>
        fields[index] === '*' ||
        removeEscapes(fields[index] ?? '') === value ||
        isSocket(fields[index], host, index),
    );
    if (fits) return removeEscapes(fields.slice(4).join(':')) || undefined;
  }
  return undefined;
}

/** A socket's folder may be named itself. */
function isSocket(field: string | undefined, host: string, index: number): boolean {
  return index === 0 && host.startsWith('/') && removeEscapes(field ?? '') === host;
}

/** Splits at colons that no backslash precedes; escapes stay. */
function splitFields(line: string): string[] {
  return (
    line
      .match(/(?:^|:)((?:\\.|[^:\\]|\\$)*)/g)
      ?.map((field, index) => (index === 0 ? field : field.slice(1))) ?? []
  );
}

function removeEscapes(field: string): string {
  return field.replace(/\\(.)/g, '$1');
}

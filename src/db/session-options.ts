import { EduschemaError } from '../errors.ts';

/**
 * Reads libpq's `options`, the command line of a session (`-c name=value --name=value`), into settings.
 * A backslash keeps the space or backslash after it. Throws an EduschemaError `target-invalid` on other switches.
 * https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-OPTIONS
 */
export function parseSessionOptions(text: string): Record<string, string> {
  const settings: Record<string, string> = {};
  const words = [...text.matchAll(/(?:\\.|[^\s\\])+/gs)].map(([word]) => word.replace(/\\(.)/gs, '$1'));
  while (words.length > 0) {
    const word = words.shift() ?? '';
    const assignment = word === '-c' ? words.shift() : word.match(/^(?:-c|--)(.+)$/s)?.[1];
    const [, name, value] = assignment?.match(/^([^=]+)=(.*)$/s) ?? [];
    if (name === undefined || value === undefined) {
      throw new EduschemaError('target-invalid', `options has ${word}, which eduschema does not understand`, {
        hint: 'write settings as -c name=value',
      });
    }
    settings[name.replaceAll('-', '_')] = value;
  }
  return settings;
}

import { existsSync, readFileSync } from 'node:fs';
import { EduschemaError } from '../errors.ts';
import { type ConnectionParameters, collectParameters } from './connection-parameters.ts';

/**
 * Reads the service `name` from the first of `paths` that has it.
 * https://www.postgresql.org/docs/current/libpq-pgservice.html
 * Throws an EduschemaError `target-invalid` when none has it.
 */
export function readService(name: string, paths: readonly string[]): ConnectionParameters {
  for (const path of paths.filter((candidate) => existsSync(candidate))) {
    const entries = parseService(readFileSync(path, 'utf8'), name, path);
    if (entries) return collectParameters(entries, `the service ${name} in ${path}`);
  }
  throw new EduschemaError('target-invalid', `there is no service ${name} in ${paths.join(' or ')}`, {
    hint: 'check PGSERVICE and PGSERVICEFILE',
  });
}

/** The settings of one section of a service file; undefined when it has no such section. */
export function parseService(text: string, name: string, path: string): [string, string][] | undefined {
  let entries: [string, string][] | undefined;
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    if (line.startsWith('[')) {
      if (entries) return entries;
      if (line === `[${name}]`) entries = [];
    } else if (entries) {
      const equals = line.indexOf('=');
      const key = line.slice(0, equals);
      if (equals < 1 || key === 'service') {
        throw new EduschemaError('target-invalid', `line ${index + 1} of ${path} cannot be read`, {
          hint: 'a service has lines of the form name=value, and no service in it',
        });
      }
      entries.push([key, line.slice(equals + 1)]);
    }
  }
  return entries;
}

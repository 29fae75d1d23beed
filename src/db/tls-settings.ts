import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { EduschemaError } from '../errors.ts';
import type { ConnectionParameters } from './connection-parameters.ts';
import type { TlsSettings } from './target.ts';

const modes = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;

/**
 * Decides about TLS as libpq does, with the files of `~/.postgresql` where no others are named.
 * https://www.postgresql.org/docs/current/libpq-ssl.html
 * Throws an EduschemaError `target-invalid` when the server is to be verified and there is nothing to do it with.
 */
export function resolveTls(parameters: ConnectionParameters, homeFolder: string): TlsSettings {
  const { sslmode, sslrootcert } = parameters;
  const isSystem = sslrootcert === 'system';
  const mode = modes.find((known) => known === (sslmode ?? (isSystem ? 'verify-full' : 'prefer')));
  if (mode === undefined) {
    throw new EduschemaError('target-invalid', `sslmode ${sslmode} is not known`, {
      hint: `known are ${modes.join(', ')}`,
    });
  }
  if (isSystem && mode !== 'verify-full') {
    throw new EduschemaError('target-invalid', `sslrootcert=system does not go with sslmode ${mode}`, {
      hint: 'use sslmode=verify-full',
    });
  }
  const inHome = (name: string) => [join(homeFolder, '.postgresql', name)].find((path) => existsSync(path));
  const rootCertificate = sslrootcert ?? inHome('root.crt');
  if (rootCertificate === undefined && mode.startsWith('verify')) {
    throw new EduschemaError('target-invalid', `sslmode ${mode} needs a root certificate`, {
      hint: 'name its file with sslrootcert, or use sslrootcert=system for the authorities that the system trusts',
    });
  }
  return {
    mode,
    rootCertificate,
    certificate: parameters.sslcert ?? inHome('postgresql.crt'),
    key: parameters.sslkey ?? inHome('postgresql.key'),
  };
}

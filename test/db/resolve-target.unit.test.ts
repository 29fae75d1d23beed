import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { resolveTarget, type TargetSources } from '../../src/db/resolve-target.ts';
import { withFolder } from '../helpers/folder.ts';

const resolve = (sources: Partial<TargetSources>) =>
  resolveTarget({ env: {}, homeFolder: '/nowhere', userName: 'me', ...sources });

describe('which database', () => {
  const everywhere = {
    url: 'postgres://flag/',
    env: { DATABASE_URL: 'postgres://variable/', PGHOST: 'pghost' },
    configUrl: 'postgres://config/',
  };

  it.each([
    [everywhere, '--url', 'flag'],
    [{ ...everywhere, url: undefined }, 'DATABASE_URL', 'variable'],
    [{ ...everywhere, url: undefined, env: { PGHOST: 'pghost' } }, 'PGHOST', 'pghost'],
    [
      { ...everywhere, url: undefined, env: { DATABASE_URL: '', PGUSER: 'x' } },
      'url in the configuration',
      'config',
    ],
    [{ env: { PGDATABASE: 'd' } }, 'PGDATABASE', 'localhost'],
  ])('%# is said by the first that says something', (sources, origin, host) => {
    const target = resolve(sources);

    expect(target).toMatchObject({ origin, hosts: [{ host, port: 5432 }] });
  });

  it('is the embedded server where nobody says anything, but never in production', () => {
    expect(resolve({ env: { PGUSER: 'x', PGSSLMODE: 'require' } })).toBeUndefined();
    expect(() => resolve({ env: { NODE_ENV: 'production' } })).toThrow('NODE_ENV=production');
    expect(resolve({ env: { NODE_ENV: 'production', PGHOST: 'h' } })).toBeDefined();
  });

  it('is not the embedded server when --url is empty by mistake', () => {
    expect(() => resolve({ url: '' })).toThrow('--url is no URL');
  });
});

describe('a target', () => {
  it('has the defaults of libpq', () => {
    expect(resolve({ url: 'postgres://' })).toEqual({
      hosts: [{ host: 'localhost', port: 5432 }],
      database: 'me',
      user: 'me',
      password: undefined,
      tls: { mode: 'prefer', rootCertificate: undefined, certificate: undefined, key: undefined },
      connectTimeout: 10,
      parameters: {},
      sessionAttributes: 'any',
      origin: '--url',
    });
  });

  it('takes from the variables what its URL leaves open', () => {
    const env = {
      PGHOST: 'h',
      PGPORT: '6000',
      PGUSER: 'u',
      PGPASSWORD: 'p',
      PGDATABASE: 'd',
      PGAPPNAME: 'a',
      PGOPTIONS: '-c lock_timeout=1s --search-path=a\\ b',
      PGSSLMODE: 'disable',
      PGTARGETSESSIONATTRS: 'standby',
      PGCONNECT_TIMEOUT: '0',
    };

    expect(resolve({ url: 'postgres://other@/', env })).toMatchObject({
      hosts: [{ host: 'h', port: 6000 }],
      database: 'd',
      user: 'other',
      password: 'p',
      tls: { mode: 'disable' },
      connectTimeout: 86_400,
      parameters: { application_name: 'a', lock_timeout: '1s', search_path: 'a b' },
      sessionAttributes: 'standby',
    });
  });

  it('can have several hosts, with one port for all or one for each', () => {
    expect(resolve({ url: 'postgres://a:1,b,[::1]:3/d' })?.hosts).toEqual([
      { host: 'a', port: 1 },
      { host: 'b', port: 5432 },
      { host: '::1', port: 3 },
    ]);
    expect(resolve({ env: { PGHOST: 'a,b', PGPORT: '7' } })?.hosts).toEqual([
      { host: 'a', port: 7 },
      { host: 'b', port: 7 },
    ]);
    expect(resolve({ env: { PGHOST: 'a', PGHOSTADDR: '127.0.0.1' } })?.hosts).toEqual([
      { host: '127.0.0.1', port: 5432 },
    ]);
    expect(() => resolve({ env: { PGHOST: 'a,b,c', PGPORT: '1,2' } })).toThrow('as many hosts');
  });

  it.each([
    ['port=0', 'port that is no number'],
    ['port=65536', 'port that is no number'],
    ['sslmode=maybe', 'sslmode maybe is not known'],
    ['sslmode=verify-full', 'needs a root certificate'],
    ['sslmode=require&sslrootcert=system', 'does not go with'],
    ['connect_timeout=soon', 'connect_timeout soon'],
    ['target_session_attrs=best', 'target_session_attrs best'],
    ['options=-W', 'options has -W'],
    ['service=none', 'there is no service none'],
  ])('with %s is refused', (query, message) => {
    expect(() => resolve({ url: `postgres://h/d?${query}` })).toThrow(message);
  });

  it('verifies with the system when asked to', () => {
    expect(resolve({ url: 'postgres://h/?sslrootcert=system' })?.tls).toMatchObject({
      mode: 'verify-full',
      rootCertificate: 'system',
    });
  });

  it('finds its certificates in ~/.postgresql', () =>
    withFolder({ '.postgresql/root.crt': '', '.postgresql/postgresql.crt': '' }, (homeFolder) => {
      expect(resolve({ url: 'postgres://h/?sslmode=verify-ca', homeFolder })?.tls).toEqual({
        mode: 'verify-ca',
        rootCertificate: join(homeFolder, '.postgresql/root.crt'),
        certificate: join(homeFolder, '.postgresql/postgresql.crt'),
        key: undefined,
      });
    }));
});

describe('a service', () => {
  const file =
    '# ours\n[other]\nhost=wrong\n\n[mine]\nhost=h\nport=7\ndbname=d\nuser=u\n[last]\nhost=wrong\n';

  it('fills in what the URL leaves open, before the variables do', () =>
    withFolder({ '.pg_service.conf': file }, (homeFolder) => {
      const target = resolve({
        url: 'postgres://x@/?service=mine',
        env: { PGHOST: 'wrong', PGPASSWORD: 'p' },
        homeFolder,
      });

      expect(target).toMatchObject({
        hosts: [{ host: 'h', port: 7 }],
        database: 'd',
        user: 'x',
        password: 'p',
      });
    }));

  it('can be named by PGSERVICE, in another file or the system one', () =>
    withFolder({ 'file.conf': file, 'pg_service.conf': '[of-system]\nhost=s' }, (folder) => {
      expect(resolve({ env: { PGSERVICE: 'mine', PGSERVICEFILE: join(folder, 'file.conf') } })).toMatchObject(
        { database: 'd', origin: 'PGSERVICE' },
      );
      expect(resolve({ env: { PGSERVICE: 'of-system', PGSYSCONFDIR: folder } })?.hosts[0]?.host).toBe('s');
    }));

  it('is refused when a line cannot be read', () =>
    withFolder({ '.pg_service.conf': '[mine]\nhost' }, (homeFolder) => {
      expect(() => resolve({ env: { PGSERVICE: 'mine' }, homeFolder })).toThrow('line 2');
    }));
});

describe('a password', () => {
  const pgpass = [
    '# comment',
    'h:1:d:u:first',
    'h:*:d:u:sec\\:ond\\\\',
    '\\:\\:1:*:*:*:six',
    'localhost:*:*:*:local',
    '*:*:*:nobody:',
  ].join('\n');
  const lookUp = (homeFolder: string, url: string) => resolve({ url, homeFolder })?.password;

  it('is found in ~/.pgpass by the first line that fits', () =>
    withFolder({ '.pgpass': pgpass }, (homeFolder) => {
      chmodSync(join(homeFolder, '.pgpass'), 0o600);

      expect(lookUp(homeFolder, 'postgres://u@h:1/d')).toBe('first');
      expect(lookUp(homeFolder, 'postgres://u@h/d')).toBe('sec:ond\\');
      expect(lookUp(homeFolder, 'postgres://u@[::1]/d')).toBe('six');
      expect(lookUp(homeFolder, 'postgres://u@/d?host=/tmp')).toBe('local');
      expect(lookUp(homeFolder, 'postgres://u@other/d')).toBeUndefined();
      expect(lookUp(homeFolder, 'postgres://u:given@h:1/d')).toBe('given');
    }));

  it('is not taken from a file that others can read', () =>
    withFolder({ '.pgpass': pgpass }, (homeFolder) => {
      chmodSync(join(homeFolder, '.pgpass'), 0o644);
      const warnings: string[] = [];

      const target = resolve({
        url: 'postgres://u@h:1/d',
        homeFolder,
        onWarning: (text) => warnings.push(text),
      });

      expect(target?.password).toBeUndefined();
      expect(warnings).toEqual([expect.stringContaining('can be read by others')]);
    }));
});

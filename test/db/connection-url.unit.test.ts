import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseConnectionUrl } from '../../src/db/connection-url.ts';
import { EduschemaError } from '../../src/errors.ts';

const parse = (url: string) => parseConnectionUrl(url, '--url');

describe('a connection URL', () => {
  it.each([
    ['postgres://', {}],
    ['postgresql://localhost', { host: 'localhost' }],
    ['postgresql://localhost:5433', { host: 'localhost', port: '5433' }],
    ['postgresql://localhost/mydb', { host: 'localhost', dbname: 'mydb' }],
    ['postgresql://user@localhost', { user: 'user', host: 'localhost' }],
    ['postgresql://user:secret@localhost', { user: 'user', password: 'secret', host: 'localhost' }],
    [
      'postgresql://other@localhost/otherdb?connect_timeout=10&application_name=myapp',
      {
        user: 'other',
        host: 'localhost',
        dbname: 'otherdb',
        connect_timeout: '10',
        application_name: 'myapp',
      },
    ],
    [
      'postgresql://host1:123,host2:456/somedb?target_session_attrs=primary',
      { host: 'host1,host2', port: '123,456', dbname: 'somedb', target_session_attrs: 'primary' },
    ],
    [
      'postgresql://user@localhost:5433/mydb?options=-c%20synchronous_commit%3Doff',
      { user: 'user', host: 'localhost', port: '5433', dbname: 'mydb', options: '-c synchronous_commit=off' },
    ],
    ['postgresql:///mydb?host=localhost&port=5433', { dbname: 'mydb', host: 'localhost', port: '5433' }],
    ['postgresql://[2001:db8::1234]/database', { host: '2001:db8::1234', dbname: 'database' }],
    ['postgresql://[::1]:5433,b/db', { host: '::1,b', port: '5433,', dbname: 'db' }],
    ['postgresql:///dbname?host=/var/lib/postgresql', { dbname: 'dbname', host: '/var/lib/postgresql' }],
    ['postgresql://%2Fvar%2Flib%2Fpostgresql/dbname', { host: '/var/lib/postgresql', dbname: 'dbname' }],
    ['postgres://h/d?ssl=true&keepalives=1', { host: 'h', dbname: 'd', sslmode: 'require' }],
    ['postgres://%EA%B5%90:%25@h/%ED%95%99', { user: '교', password: '%', host: 'h', dbname: '학' }],
    ['  postgres://h/d\n', { host: 'h', dbname: 'd' }],
  ])('%s', (url, parameters) => {
    expect(parse(url)).toEqual(parameters);
  });

  it.each([
    ['', 'is no URL'],
    ['localhost:5432/db', 'is no URL'],
    ['mysql://localhost/db', 'has the scheme mysql'],
    ['postgres://localhost:54x2/db', 'no valid host and port'],
    ['postgres://::1/db', 'no valid host and port'],
    ['postgres://h/d?sslmod=require', 'has the parameter sslmod,'],
    ['postgres://h/d?channel_binding=require', 'has the parameter channel_binding,'],
    ['postgres://h/d?sslmode', 'without a value'],
    ['postgres://h/%zz', 'starts no valid escape'],
    ['postgres://h/%00', 'starts no valid escape'],
  ])('%s is refused', (url, message) => {
    expect(() => parse(url)).toThrow(message);
  });

  it('gives back whatever was encoded', () => {
    const text = fc.string({ minLength: 1, unit: 'grapheme' }).filter((value) => !value.includes('\0'));

    fc.assert(
      fc.property(text, text, text, (user, password, database) => {
        const [u, p, d] = [user, password, database].map(encodeURIComponent);
        expect(parse(`postgres://${u}:${p}@h/${d}`)).toEqual({ user, password, host: 'h', dbname: database });
      }),
    );
  });

  it('never shows a password, however badly it is encoded', () => {
    const piece = fc.constantFrom('SECRET', '@', '/', ':', '?', '&', '=', '%', '#', '[', ']', ',', '1');

    fc.assert(
      fc.property(fc.array(piece, { minLength: 1, maxLength: 8 }), (pieces) => {
        try {
          parse(`postgres://user:${pieces.join('')}@host:5432/database`);
        } catch (error) {
          expect(error).toBeInstanceOf(EduschemaError);
          expect(`${(error as EduschemaError).message} ${(error as EduschemaError).hint}`).not.toContain(
            'SECRET',
          );
        }
      }),
      { numRuns: 2000 },
    );
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EduschemaError } from '../../src/errors.ts';
import { redact, renderError, renderErrorJson } from '../../src/output/render-error.ts';

describe('redact', () => {
  it.each([
    ['postgres://u:secret@h/d', 'postgres://u:***@h/d'],
    ['at postgres://u:s3cr@et@h:1/d, sorry', 'at postgres://u:***@h:1/d, sorry'],
    ['host=h password=secret user=u', 'host=h password=*** user=u'],
    ["password='two words' user=u", 'password=*** user=u'],
    ['postgres://u@h/d', 'postgres://u@h/d'],
  ])('%s', (text, expected) => {
    expect(redact(text)).toBe(expected);
  });

  it('hides every password of a URL, whatever is in it', () => {
    const password = fc.stringMatching(/^[!-~]{8,20}$/).filter((text) => !/[/@]/.test(text.slice(0, 1)));
    fc.assert(
      fc.property(password, (secret) => {
        expect(redact(`cannot connect to postgres://me:${secret}@host/db`)).toBe(
          'cannot connect to postgres://me:***@host/db',
        );
      }),
    );
  });
});

describe('an error', () => {
  const error = new EduschemaError('connection-failed', 'no way to postgres://u:geheim@h/d', {
    hint: 'not with password=geheim',
    details: { target: 'postgres://u:geheim@h/d', list: ['password=geheim'] },
  });

  it('shows message and hint, and no password', () => {
    expect(renderError(error, false)).toBe('no way to postgres://u:***@h/d\nhint: not with password=***\n');
    expect(renderErrorJson(error)).not.toContain('geheim');
  });

  it('that is none of ours is a bug, with its stack', () => {
    expect(renderError(new TypeError('x is undefined'), false)).toMatch(
      /^this is a bug in eduschema: TypeError: x is undefined\n {4}at /,
    );
    expect(JSON.parse(renderErrorJson(new TypeError('x')))).toMatchObject({
      ok: false,
      error: { code: 'bug' },
    });
  });
});

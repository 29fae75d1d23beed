import { describe, expect, it } from 'vitest';
import { renderUrl } from '../../src/db/render-url.ts';
import { resolveTarget } from '../../src/db/resolve-target.ts';
import type { Target } from '../../src/db/target.ts';

const targetOf = (url: string) => resolveTarget({ url, env: {}, homeFolder: '/nonexistent' }) as Target;

describe('the URL of a test database', () => {
  it.each([
    'postgres://anna:p%40%2F%3A@db:6543/one',
    'postgres://anna@[::1]:5432,second:5433/one',
    'postgres://anna:secret@/one?host=/tmp/a%20b&port=6543',
    'postgres://anna@db/one?sslmode=verify-full&sslrootcert=/home/my%20keys/root+1.crt',
    'postgres://anna@db/one?options=-c%20search_path%3Dapp%2C%5C%20public%20-c%20work_mem%3D64MB',
  ])('leads where the server leads, with all that was said of it: %s', async (given) => {
    const target = targetOf(given);

    const url = await renderUrl(target, 'two "한글"');

    expect(targetOf(url)).toEqual({ ...target, database: 'two "한글"' });
    // Several hosts are libpq's.
    if (target.hosts.length === 1) expect(new URL(url).hostname).not.toBe('');
  });
});

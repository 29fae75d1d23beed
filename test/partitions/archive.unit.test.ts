import { appendFileSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createDigestStream } from '../../src/partitions/archive/data-digest.ts';
import { readGzip, writeGzip } from '../../src/partitions/archive/gzip-file.ts';
import {
  type Manifest,
  manifestFormat,
  parseManifest,
  renderManifest,
} from '../../src/partitions/archive/manifest.ts';
import { fileName, findArchiveFolder, placeOf } from '../../src/partitions/archive/place.ts';
import { murmur3 } from '../../src/partitions/archive/row-checksum.ts';
import { readMarks, writeMark } from '../../src/partitions/retain/marker.ts';
import { withFolder } from '../helpers/folder.ts';

/** The digest of rows, given in pieces that end anywhere. */
async function digestOf(rows: readonly string[], pieceLength = 1000) {
  const digest = createDigestStream();
  const data = Buffer.from(rows.map((row) => `${row}\n`).join(''));
  for (let at = 0; at < data.length; at += pieceLength)
    await digest.take(data.subarray(at, at + pieceLength));
  return digest.end();
}

const rowsOf = fc.array(
  fc.string({ maxLength: 40 }).map((text) => text.replaceAll('\n', '')),
  { maxLength: 30 },
);

describe('the checksum of rows', () => {
  it.each([
    ['', 0, 0],
    ['', 1, 0x514e28b7],
    ['hello', 0, 0x248bfa47],
    ['hello, world', 0, 0x149bbb7f],
    ['The quick brown fox jumps over the lazy dog', 0, 0x2e4ff723],
    ['aaaa', 0x9747b28c, 0x5a97808a],
  ])('is MurmurHash3 of %j with seed %i', (text, seed, hash) => {
    const data = Buffer.from(text);
    expect(murmur3(data, 0, data.length, seed)).toBe(hash);
  });

  it('does not depend on the order of the rows, nor on how they come in pieces', async () => {
    await fc.assert(
      fc.asyncProperty(rowsOf, fc.integer({ min: 1, max: 50 }), async (rows, pieceLength) => {
        const one = await digestOf(rows);
        const other = await digestOf([...rows].reverse(), pieceLength);
        expect([other.rows, other.bytes, other.checksum]).toEqual([one.rows, one.bytes, one.checksum]);
        expect(one.rows).toBe(rows.length);
      }),
    );
  });

  it('is another when a row is changed, left out, or comes twice', async () => {
    const { checksum } = await digestOf(['a\t1', 'b\t2', 'c\t3']);
    for (const rows of [
      ['a\t2', 'b\t1', 'c\t3'],
      ['a\t1', 'b\t2'],
      ['a\t1', 'b\t2', 'b\t2', 'c\t3'],
    ])
      expect((await digestOf(rows)).checksum).not.toBe(checksum);
  });
});

describe('a file of rows', () => {
  it('is read as one by gzip, however many members it has', () =>
    withFolder({}, async (folder) => {
      const path = join(folder, 'rows.gz');
      const rows = Array.from({ length: 60_000 }, (_, n) => `${n}\t${'교육 '.repeat(10)}${n}\n`).join('');
      const written = await writeGzip(path, async (take) => {
        for (let at = 0; at < rows.length; at += 70_001) await take(Buffer.from(rows.slice(at, at + 70_001)));
      });
      expect(gunzipSync(readFileSync(path)).toString()).toBe(rows);
      expect(await readGzip(path)).toEqual(written);
      expect(written.data.rows).toBe(60_000);
    }));

  it('of no rows is a gzip file as well', () =>
    withFolder({}, async (folder) => {
      const path = join(folder, 'rows.gz');
      const written = await writeGzip(path, async () => {});
      expect(gunzipSync(readFileSync(path))).toHaveLength(0);
      expect(await readGzip(path)).toEqual(written);
    }));

  it('with something behind its end is another file', () =>
    withFolder({}, async (folder) => {
      const path = join(folder, 'rows.gz');
      const written = await writeGzip(path, (take) => take(Buffer.from('1\n')));
      appendFileSync(path, gunzipSync(readFileSync(path)));
      const read = await readGzip(path).catch((error) => error);
      expect(read).not.toEqual(written);
    }));
});

const manifest: Manifest = {
  format: manifestFormat,
  tool: 'eduschema',
  archivedAt: '2026-11-24T00:00:00Z',
  database: 'library',
  server: 'PostgreSQL 18',
  table: { schema: 'public', name: 'logs_2024_01' },
  parent: { schema: 'public', name: 'logs', column: 'at', type: 'timestamptz' },
  bounds: { from: null, to: '2024-01-31 15:00:00+00' },
  definition: { columns: [], checks: [], keys: [], indexes: [], foreignKeys: [] },
  ddl: [],
  settings: {},
  copy: '',
  data: { rows: 1, bytes: 2, sha256: 'aa', checksum: 'bb' },
  file: { name: 'x.copy.gz', bytes: 3, sha256: 'cc' },
  byHand: [],
};

describe('a manifest', () => {
  it('is read as it was written', () => {
    expect(parseManifest(renderManifest(manifest), 'x')).toEqual(manifest);
  });

  it('of which one character is another is damaged, whichever it is', () => {
    const text = renderManifest(manifest);
    for (let at = 0; at < text.length; at++) {
      const changed = `${text.slice(0, at)}${text[at] === '1' ? '2' : '1'}${text.slice(at + 1)}`;
      expect(() => parseManifest(changed, 'x'), `at ${at}`).toThrow(
        expect.objectContaining({ code: 'archive-damaged' }),
      );
    }
  });

  it('of a newer format asks for a newer eduschema', () => {
    const text = renderManifest({ ...manifest, format: manifestFormat + 1 });
    expect(() => parseManifest(text, 'x')).toThrow(
      expect.objectContaining({ hint: 'use a newer eduschema' }),
    );
  });
});

describe('the place of an archive', () => {
  it('has a name that every file system takes, and two tables never have the same', () => {
    expect(fileName('다운로드_2024_01')).toBe('다운로드_2024_01');
    expect(fileName('../a/b:c%')).toBe('%2E.%2Fa%2Fb%3Ac%25');
    fc.assert(
      fc.property(fc.string(), fc.string(), (one, other) => {
        expect(fileName(one) === fileName(other)).toBe(one === other);
        expect(fileName(one)).not.toMatch(/[/\\]|^\.\.?$/);
      }),
    );
  });

  it('is not made where its root is not: a disk may be missing', () =>
    withFolder({}, async (folder) => {
      const place = placeOf(join(folder, 'not-mounted'), 'db', { schema: 'public', name: 't' });
      await expect(place).rejects.toMatchObject({ code: 'folder-missing' });
    }));

  it('is found by its folder, its manifest, its data, or a link to it', () =>
    withFolder({ 'a/manifest.json': '{}', 'a/t.copy.gz': '' }, async (folder) => {
      symlinkSync(join(folder, 'a'), join(folder, 'link'));
      for (const path of ['a', 'a/manifest.json', 'a/t.copy.gz', 'link'])
        expect(await findArchiveFolder(join(folder, path))).toBe(join(folder, 'a'));
      await expect(findArchiveFolder(join(folder, 'b'))).rejects.toMatchObject({ code: 'file-unreadable' });
    }));
});

describe('the mark of a retired table', () => {
  const retired = {
    state: 'retired' as const,
    parent: { schema: 'public', name: 'logs' },
    from: null,
    to: '2024-01-31 15:00:00+00',
    since: '2026-11-24T00:00:00Z',
  };

  it('stands below what people wrote, and leaves that alone', () => {
    const comment = writeMark('January.\nAsk Kim.', { retired });
    expect(readMarks(comment)).toEqual({ retired, altered: false, text: 'January.\nAsk Kim.' });
    expect(writeMark(readMarks(comment).text)).toBe('January.\nAsk Kim.');
    expect(writeMark('')).toBeNull();
  });

  it('that somebody changed is known for altered', () => {
    const comment = writeMark('', { retired }) as string;
    for (const changed of [
      comment.replace('2024-01', '2025-01'),
      comment.replace('}}', '},"x":1}'),
      comment.slice(0, -3),
    ])
      expect(readMarks(changed).altered, changed).toBe(true);
    expect(readMarks('a comment').altered).toBe(false);
    expect(readMarks(null)).toEqual({ altered: false, text: '' });
  });
});

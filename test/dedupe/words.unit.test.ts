import { describe, expect, it } from 'vitest';
import { indexName } from '../../src/dedupe/enforce.ts';
import { parseMatch } from '../../src/dedupe/match.ts';
import { likelyNames } from '../../src/dedupe/references.ts';
import { parseColumn } from '../../src/dedupe/scope.ts';
import { joinPairs } from '../../src/dedupe/similar.ts';
import { parseClusters } from '../../src/dedupe/source.ts';
import { createTally } from '../../src/dedupe/tally.ts';
import { foldedText } from '../../src/sql/folded-text.ts';

describe('the words of dedupe', () => {
  it('knows how a column that refers to a table is mostly called', () => {
    expect(likelyNames('materials')).toEqual(['materials_id', 'material_id']);
    expect(likelyNames('Categories')).toEqual(expect.arrayContaining(['categories_id', 'category_id']));
    expect(likelyNames('boxes')).toEqual(expect.arrayContaining(['box_id']));
    expect(likelyNames('class')).toEqual(['class_id']);
  });

  it('reads a column with its table, and quotes where there are any', () => {
    expect(parseColumn('logs.material_id', 'app')).toEqual({
      schema: 'app',
      name: 'logs',
      column: 'material_id',
    });
    expect(parseColumn('"my.logs"."a.b"', 'app')).toEqual({ schema: 'app', name: 'my.logs', column: 'a.b' });
    expect(() => parseColumn('logs', 'app')).toThrow('is no column');
  });

  it('reads folds in any order, and refuses others', () => {
    expect(parseMatch()).toEqual([]);
    expect(parseMatch('space, nfc')).toEqual(['nfc', 'space']);
    expect(parseMatch('normalized')).toEqual(['nfc', 'width', 'nfkc', 'case', 'space']);
    expect(() => parseMatch('nfd')).toThrow('"nfd"');
  });

  it('folds nothing that was not chosen', () => {
    expect(foldedText('x', [])).toBe('(x)::text COLLATE pg_catalog."default"');
    expect(foldedText('x', ['nfc', 'nfkc'])).not.toContain("'NFC'");
    expect(foldedText('x', ['width'])).toContain('ＡＢＣ');
  });

  it('cuts the name of an index in whole characters', () => {
    const name = indexName('가'.repeat(20), ['title']);

    expect(Buffer.byteLength(name)).toBeLessThanOrEqual(63);
    expect(name).toMatch(/^가+_no_duplicates$/);
    expect(indexName('materials', ['title', 'file_name'])).toBe('materials_title_file_name_no_duplicates');
  });

  it('reads clusters with and without the row that stays, and keys of several columns', () => {
    expect(parseClusters('[{"rows": [1, "2"], "keep": 2}, [3, 4]]', 1)).toEqual([
      { keep: ['2'], rows: [['1'], ['2']] },
      { keep: undefined, rows: [['3'], ['4']] },
    ]);
    expect(parseClusters('{"rows": [{"rows": [[1, 2], [3, 4]]}]}', 2)).toEqual([
      {
        keep: undefined,
        rows: [
          ['1', '2'],
          ['3', '4'],
        ],
      },
    ]);
  });

  it('takes no number for a key that JSON may have rounded: it would be another row', () => {
    expect(() => parseClusters('[[9007199254740993, 5]]', 1)).toThrow('may have been rounded');
    expect(parseClusters('[["9007199254740993", 5]]', 1)[0]?.rows).toEqual([['9007199254740993'], ['5']]);
  });

  it('joins pairs that have a row in common into one cluster', () => {
    const pair = (a: string, b: string, similarity: number) => ({
      a: [a],
      b: [b],
      valueA: a,
      valueB: b,
      similarity,
    });

    expect(
      joinPairs([pair('1', '2', 0.99), pair('5', '6', 0.95), pair('3', '4', 0.9), pair('2', '3', 0.8)]),
    ).toEqual([
      { rows: ['5', '6'], similarity: 0.95, values: ['5', '6'] },
      { rows: ['1', '2', '3', '4'], similarity: 0.8, values: ['1', '2', '3', '4'] },
    ]);
  });

  it('adds up batches', () => {
    const [total, batch] = [createTally(), createTally()];
    batch.removed = 2;
    batch.add(0, { before: 5, after: 4, gone: 1 });
    batch.addCollisions(1, { merged: 1, aside: 0 });
    batch.addSum(0, 'hits', '10', '10');
    total.addAll(batch);
    total.addAll(batch);

    expect(total.removed).toBe(4);
    expect(total.movements.get(0)).toEqual({ before: 10, after: 8, moved: 0, astray: 0, cut: 0, gone: 2 });
    expect(total.collisions.get(1)).toEqual({ merged: 2, aside: 0 });
    expect(total.sums.get('0.hits')).toEqual({ before: 20, after: 20 });
  });
});

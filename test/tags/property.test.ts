import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { usualSeparators } from '../../src/tags/pieces.ts';
import { withLibrary } from './library.ts';

/** More of them by hand: TAG_CASES=2000 npx vitest run test/tags/property.test.ts */
const cases = Number(process.env.TAG_CASES ?? 40);

const sign = fc.constantFrom(
  ...['a', 'A', 'ａ', 'é', 'e\u0301', '가', '\u1100\u1161', '①', '1', '㈜', '(주)', "'", '\\', '"', '%', '$'],
  ...[' ', '\u3000', '\u00a0', '\t', '\u200b', '\r'],
  ...[',', '，', '、', ';', '\n'],
);
const text = fc.option(fc.array(sign, { maxLength: 24 }).map((signs) => signs.join('')));

/** What a person would say that a piece of text means, written without a look at the SQL. */
function meaningOf(piece: string): string {
  return piece
    .normalize('NFKC')
    .replace(/[\u200b\u2060\ufeff]/g, '')
    .replace(/[\s\u00a0\u3000]+/g, ' ')
    .trim()
    .toLowerCase();
}

const separators = new RegExp(`[${usualSeparators.join('')}]`);

function meanings(given: string | null): string[] {
  const pieces = (given ?? '').split(separators).map(meaningOf);
  return [...new Set(pieces.filter((piece) => piece !== ''))].sort();
}

describe('tags split', () => {
  it(
    'comes to the tags that the texts mean, whatever is in them, at once or in two runs',
    withLibrary(async ({ sql, put, split, tagsOf }) => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(text, { minLength: 1, maxLength: 6 }),
          fc.nat(6),
          async (texts, firstRun) => {
            await sql`TRUNCATE materials, tags, material_tags, materials_old`;
            await put(...texts.slice(0, firstRun));
            await split({ batch: 2 });
            await put(...texts);
            const { proof, tags } = await split({ batch: 2 });

            const found = await tagsOf();
            const meant = texts.map(meanings);
            expect(texts.map((_, index) => (found[index + 1] ?? []).map(meaningOf).sort())).toEqual(meant);
            expect(tags).toBe(new Set(meant.flat()).size);
            expect(proof).toMatchObject({ missing: 0, more: 0, same: meant.flat().length });
          },
        ),
        { numRuns: cases, interruptAfterTimeLimit: 45_000 * Math.ceil(cases / 40) },
      );
    }),
    60_000 * Math.ceil(cases / 40),
  );
});

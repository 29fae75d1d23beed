import { column, references, type SeedContext, type Table, table } from 'eduschema';
import words from '../dirt.json' with { type: 'json' };
import { fullWidth } from './dirt.ts';
import { type Materials, tagNames } from './materials.ts';
import type { Context } from './people.ts';

/** How a text of tags is spoilt, beside the sign between them. */
const kinds = [
  'plain',
  'empty entries',
  'case',
  'spaces',
  'repeated',
  'full-width',
  'nfd',
  'too long',
  'empty',
  'null',
] as const;

/** Each fifth material was in the old table. */
const each = 5;

/** `materials_old`, whose tags are one text each, and `seeded_dirt`, which says what was made dirty and what would be right. */
export function createLegacy(context: Context, library: Materials): readonly Table[] {
  const { values, before } = context;
  if (values.dirty === 0) return [];
  const first = before('materials');
  const rows = Math.ceil(values.materials / each);
  const start = before('materials_old');
  const materialOf = (row: number) => first + (row - start) * each;
  const text = createTexts(context, library, materialOf);
  const { dirt } = library;
  const firstDirt = before('seeded_dirt');
  const isOld = (row: number) => row - firstDirt >= dirt.rows;
  const dirty = (row: number) => dirt.rowAt(row - firstDirt);
  const old = (row: number) => start + row - firstDirt - dirt.rows;
  return [
    table('materials_old', {
      rows,
      columns: {
        id: references(library.materials, materialOf),
        title: column.text((row) => library.titleOf(materialOf(row))),
        tags_string: column.text((row) => text(row).tags),
      },
    }),
    table('seeded_dirt', {
      rows: dirt.rows + rows,
      columns: {
        table_name: column.text((row) => (isOld(row) ? 'materials_old' : 'materials')),
        row_id: references(library.materials, (row) => (isOld(row) ? materialOf(old(row)) : dirty(row))),
        kind: column.text((row) => (isOld(row) ? text(old(row)).kind : dirt.kindOf(dirty(row)))),
        original_id: references(library.materials, (row) =>
          isOld(row) ? null : (dirt.originalOf(dirty(row), library.titleOf) ?? null),
        ),
        expected: column.text((row) => (isOld(row) ? arrayOf(text(old(row)).expected) : null)),
      },
    }),
  ];
}

interface OldTags {
  readonly tags: string | null;
  readonly kind: (typeof kinds)[number];
  /** The tags that the text means, as they are called in `tags`, or would be. */
  readonly expected: readonly string[];
}

function createTexts({ random }: SeedContext, library: Materials, materialOf: (row: number) => number) {
  const chance = random('materials_old');
  const separators = random('materials_old.separator').choice(words.separators);
  const legacy = random('materials_old.legacy').choice(words.legacyTags);
  return (row: number): OldTags => {
    const kind = kinds[chance.below(kinds.length, row)] ?? 'plain';
    const known = library.tagsOf(materialOf(row)).map((tag) => tagNames[tag] ?? '');
    const names = [...known, ...(chance.happens(0.3, row, 1) ? [legacy(row)] : [])];
    if (kind === 'null' || kind === 'empty') return { kind, tags: kind === 'null' ? null : '', expected: [] };
    const separator = separators(row);
    return { kind, tags: spoil(kind, names, separator), expected: names };
  };
}

function spoil(kind: OldTags['kind'], names: readonly string[], separator: string): string {
  switch (kind) {
    case 'empty entries':
      return ['', ...names.flatMap((name) => [name, ' ']), ''].join(separator);
    case 'case':
      return names
        .map((name, index) => (index % 2 === 0 ? name.toUpperCase() : name.toLowerCase()))
        .join(separator);
    case 'spaces':
      return names.map((name) => `  ${name} `).join(separator);
    case 'repeated':
      return [...names, ...names].join(separator);
    case 'full-width':
      return names.map(fullWidth).join(separator);
    case 'nfd':
      return names.map((name) => name.normalize('NFD')).join(separator);
    case 'too long':
      return [...names, words.tooLong].join(separator);
    default:
      return names.join(separator);
  }
}

const arrayOf = (names: readonly string[]) => `{${names.map((name) => `"${name}"`).join(',')}}`;

import {
  column,
  type Lookup,
  lookup,
  references,
  type SeedContext,
  type Table,
  table,
  timeline,
} from 'eduschema';
import files from '../files.json' with { type: 'json' };
import tagWords from '../tags.json' with { type: 'json' };
import { createRhythm, monthOf, openingOf, type Run, square, windowOf, yearOf } from './calendar.ts';
import { createDirt, type Dirt } from './dirt.ts';
import type { Context, People } from './people.ts';
import { categories, createDescriptions, createFiling, difficultyOf, topicOf } from './titles.ts';

const { common, ...ofCategories } = tagWords;

/** All tags once, in their order. */
export const tagNames = [...new Set([...Object.values(ofCategories).flat(), ...common])];

const tagIndex = new Map(tagNames.map((name, index) => [name, index]));
const tagsOfCategory = categories.map(({ name }) => ofCategories[name].map((tag) => tagIndex.get(tag) ?? 0));

/** How often each material of this run was viewed and downloaded. */
export interface Counts {
  readonly views: Uint32Array | Float64Array;
  readonly downloads: Uint32Array | Float64Array;
}

/** The materials, their tags, and what others must know of them. */
export interface Materials {
  readonly tables: readonly (Table | Lookup)[];
  readonly materials: Table;
  readonly dirt: Dirt;
  createdAt(row: number): number;
  /** Materials with lower numbers were all there when the logs of this run begin; 0 when nobody looked. */
  readonly firstRecent: number;
  titleOf(row: number): string;
  fileNameOf(row: number): string;
  tagsOf(row: number): readonly number[];
}

/** Describes the materials. `countsOf` is asked when they are written. */
export function createMaterials(context: Context, people: People, countsOf: () => Counts): Materials {
  const { random, values, before, asOf } = context;
  const first = before('materials');
  const dirt = createDirt(context, first);
  const createdAt = createTimes(context);
  const filing = createFiling(context);
  const describe = createDescriptions(context);
  const chance = random('materials');
  const type = random('materials.type').choice(files.types, ({ weight }) => weight);
  const topic = (row: number) => {
    const { category, place } = filing(row);
    return topicOf(category, place);
  };
  const cleanTitle = (row: number) =>
    chance.happens(0.25, row) ? `${yearOf(createdAt(row))}년 ${topic(row).title}` : topic(row).title;
  const cleanFile = (row: number) => {
    const code = chance.bits(row, 1).toString(16).padStart(8, '0');
    return `${code}-${row + 1}.${type(row).extension}`;
  };
  const original = (row: number) => dirt.originalOf(row, cleanTitle);
  const titleOf = (row: number) => {
    const copied = original(row);
    return copied === undefined ? cleanTitle(row) : dirt.spoil(row, cleanTitle(copied));
  };
  const fileNameOf = (row: number) => {
    const copied = original(row);
    return copied === undefined ? cleanFile(row) : dirt.spoilFile(row, cleanFile(copied));
  };
  const difficulty = (row: number) => difficultyOf(topic(row).form, chance.unit(row, 2));
  const sizeOf = (row: number) => {
    const [least = 0, most = 1] = type(row).megabytes;
    return Math.floor((least + (most - least) * square(chance.unit(row, 3))) * 1_000_000);
  };
  const isFeatured = (row: number) => chance.happens(0.02, row, 4);
  const counts = (kind: keyof Counts) => {
    let found: Counts | undefined;
    return (row: number) => {
      found ??= countsOf();
      return found[kind][row - first] ?? 0;
    };
  };

  const list = lookup('categories', {
    key: 'id',
    by: 'name',
    values: categories.map(({ name, color, icon }, index) => ({ name, color, icon, sort_order: index + 1 })),
  });
  const tags = lookup('tags', {
    key: 'id',
    by: 'name',
    match: 'lower(normalize(name, nfkc))',
    values: tagNames.map((name) => ({ name, color: colourOf(random('tags').bits(tagIndex.get(name) ?? 0)) })),
  });
  const materials = table('materials', {
    rows: values.materials,
    key: 'id',
    columns: {
      title: column.text(titleOf),
      description: column.text((row) =>
        chance.happens(0.06, row, 5) ? null : describe(row, topic(row).subject),
      ),
      category_id: references(list, (row) => filing(row).category),
      file_path: column.text((row) => `/uploads/${monthOf(createdAt(row))}/${fileNameOf(row)}`),
      file_name: column.text(fileNameOf),
      original_file_name: column.text(
        (row) => `${titleOf(row).trim().replace(/\s+/gu, '_')}.${type(row).extension}`,
      ),
      file_size: column.integer(sizeOf),
      mime_type: column.text((row) => type(row).mime),
      difficulty_level: column.integer(difficulty),
      estimated_time: column.integer((row) =>
        type(row).extension === 'mp4'
          ? Math.ceil(sizeOf(row) / 6_000_000) * 5
          : 5 * (2 + chance.below(19, row, 6)),
      ),
      uploaded_by: references(people.users, people.uploaderOf),
      is_featured: column.boolean(isFeatured),
      is_active: column.boolean((row) => !chance.happens(0.04, row, 7)),
      view_count: column.integer(counts('views')),
      download_count: column.integer(counts('downloads')),
      created_at: column.time(createdAt),
      updated_at: column.time((row) =>
        chance.happens(0.2, row, 8)
          ? createdAt(row) + Math.floor(chance.unit(row, 9) * (asOf - createdAt(row)))
          : createdAt(row),
      ),
    },
  });

  const tagsOf = createTags(context, (row) => ({
    category: filing(row).category,
    level: difficulty(row) <= 2 ? '초급' : difficulty(row) >= 4 ? '고급' : '중급',
    type: type(row).extension === 'mp4' ? '동영상' : type(row).extension === 'pdf' ? 'PDF' : undefined,
    year: String(yearOf(createdAt(row))),
    isFeatured: isFeatured(row),
  }));
  const materialTags = table('material_tags', {
    rows: values.materials,
    repeat: (row) => tagsOf(row).length,
    columns: {
      material_id: references(materials, (row) => row),
      tag_id: references(tags, (row, nth) => tagsOf(row)[nth] ?? 0),
    },
  });
  return {
    tables: [list, tags, materials, materialTags],
    materials,
    dirt,
    createdAt,
    firstRecent: first > 0 ? 0 : firstAfter(createdAt, first, values.materials, windowOf(context)),
    titleOf,
    fileNameOf,
    tagsOf,
  };
}

/** When materials were uploaded: at work, and more each year. Those of earlier runs have the times that they were given then. */
function createTimes(context: Context): (row: number) => number {
  const { random, earlier, before, values } = context;
  const runs = [
    ...earlier.map((run) => ({ run: run as Run, ...run.rowsOf('materials') })),
    { run: context as Run, first: before('materials'), rows: values.materials },
  ].map(({ run, first, rows }) => {
    const [from, to] = [openingOf(run), run.asOf];
    const weight = createRhythm(context, from);
    return {
      first,
      end: first + rows,
      from,
      at: timeline(random('materials.created_at'), { from, to, rows, first, weight }),
    };
  });
  // Somebody opened the library with the first one.
  return (row) => {
    const run = runs.find(({ first, end }) => row >= first && row < end);
    return run === undefined ? 0 : row === run.first ? run.from : run.at(row);
  };
}

/** The first of `rows` rows that came at `time` or later. */
function firstAfter(at: (row: number) => number, first: number, rows: number, time: number): number {
  let [low, high] = [first, first + rows];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (at(middle) < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

interface Labels {
  readonly category: number;
  readonly level: string;
  readonly type: string | undefined;
  readonly year: string;
  readonly isFeatured: boolean;
}

/** The tags of a material, as indexes of tagNames in ascending order. */
function createTags(
  { random }: SeedContext,
  labelsOf: (row: number) => Labels,
): (row: number) => readonly number[] {
  const chance = random('material_tags');
  let last = -1;
  let found: readonly number[] = [];
  return (row) => {
    if (row === last) return found;
    const { category, level, type, year, isFeatured } = labelsOf(row);
    const own = tagsOfCategory[category] ?? [];
    const start = chance.below(own.length, row);
    const chosen = Array.from(
      { length: 1 + chance.below(3, row, 1) },
      (_, nth) => own[(start + nth) % own.length] ?? 0,
    );
    const labels = [
      chance.happens(0.5, row, 2) ? level : undefined,
      chance.happens(0.6, row, 3) ? type : undefined,
      chance.happens(0.5, row, 4) ? year : undefined,
      isFeatured ? '추천' : undefined,
    ].flatMap((name) => (name === undefined ? [] : (tagIndex.get(name) ?? [])));
    last = row;
    found = [...new Set([...chosen, ...labels])].sort((a, b) => a - b);
    return found;
  };
}

const colourOf = (bits: number) => `#${(bits & 0xffffff).toString(16).padStart(6, '0').toUpperCase()}`;

import type { SeedContext } from 'eduschema';

/** How a duplicate differs from its original: nothing but that. */
export const kinds = ['exact', 'case', 'spaces', 'nfd', 'full-width', 'mixed'] as const;

export type Kind = (typeof kinds)[number];

/** The rows that are made dirty, each a duplicate of a clean one before it. */
export interface Dirt {
  /** How many rows of this run are dirty. */
  readonly rows: number;
  /** The number of the nth of them. */
  rowAt(nth: number): number;
  kindOf(row: number): Kind;
  /** The clean row that a dirty one is a duplicate of; undefined for a clean row. */
  originalOf(row: number, titleOf: (row: number) => string): number | undefined;
  spoil(row: number, title: string): string;
  spoilFile(row: number, name: string): string;
}

/** Rows at even distances are dirty, a share of all, never two in a row. */
export function createDirt(context: SeedContext<'materials' | 'dirty'>, first: number): Dirt {
  const { random, values } = context;
  const { dirty } = values;
  const chance = random('materials.dirt');
  const kindOf = (row: number): Kind => kinds[chance.below(kinds.length, row)] ?? 'exact';
  const isDirty = (row: number) => {
    const place = row - first;
    return (
      place >= 0 && place < values.materials && Math.floor((place + 1) * dirty) > Math.floor(place * dirty)
    );
  };
  return {
    rows: Math.floor(values.materials * dirty),
    rowAt(nth) {
      let row = first + Math.max(0, Math.floor((nth + 1) / dirty) - 2);
      while (Math.floor((row - first + 1) * dirty) <= nth) row++;
      return row;
    },
    kindOf,
    originalOf(row, titleOf) {
      if (!isDirty(row)) return undefined;
      const chosen = first + chance.below(row - first, row, 1);
      const clean = (candidate: number) => (isDirty(candidate) ? candidate - 1 : candidate);
      // Upper and lower case are seen in letters alone; another one nearby has some.
      if (kindOf(row) === 'case')
        for (let step = 0; step < 100 && chosen - step >= first; step++)
          if (/[A-Za-z]/.test(titleOf(clean(chosen - step)))) return clean(chosen - step);
      return clean(chosen);
    },
    spoil(row, title) {
      const bits = chance.bits(row, 2);
      switch (kindOf(row)) {
        case 'exact':
          return title;
        case 'case':
          return bits % 2 === 0 ? title.toUpperCase() : title.toLowerCase();
        case 'spaces':
          return spaced(title, bits);
        case 'nfd':
          return title.normalize('NFD');
        case 'full-width':
          return fullWidth(title);
        case 'mixed':
          return spaced(fullWidth(title.toUpperCase()), bits).normalize('NFD');
      }
    },
    spoilFile: (row, name) => (['case', 'mixed'].includes(kindOf(row)) ? name.toUpperCase() : name),
  };
}

function spaced(title: string, bits: number): string {
  switch (bits % 4) {
    case 0:
      return title.replaceAll(' ', '  ');
    case 1:
      return ` ${title}`;
    case 2:
      return `${title} `;
    default:
      return title.replace(' ', '   ').replaceAll('\u3000', '\u3000 ');
  }
}

/** Letters, digits and blanks as wide as Hangul, as Korean input methods can write them. */
export function fullWidth(text: string): string {
  return text
    .replace(/[!-~]/g, (sign) => String.fromCharCode(sign.charCodeAt(0) + 0xfee0))
    .replaceAll(' ', '\u3000');
}

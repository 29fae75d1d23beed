import {
  encodeText,
  type Output,
  type Write,
  writeBytes,
  writeHex,
  writeInteger,
  writeNull,
  writeText,
} from './output.ts';
import { createTimeWriter, writeDate } from './output-time.ts';
import type { Random } from './random.ts';
import type { Lookup, Table } from './table.ts';

/** Makes the values of a column. Bound to its place when the rows are written. */
export interface Column {
  bind(place: Place): Write;
  /** Of a column of times: the time of a row, in milliseconds since 1970. Rows find their partition by it. */
  readonly timeOf?: ((place: Place) => ValueOf<number | null>) | undefined;
  /** Of a column of references: whom it refers to. */
  readonly refersTo?: Table | Lookup | undefined;
}

/** Where a column is: what it draws from, and whom it can refer to. */
export interface Place {
  readonly random: Random;
  /** A place inside this one, with chances of its own. */
  part(name: string): Place;
  /** Writes the key of a row of another table. */
  keyOf(target: Table | Lookup): (out: Output, row: number) => void;
  /** How many rows another table has by now, those of earlier runs included. */
  sizeOf(target: Table | Lookup): number;
}

/** The value for a row; `nth` counts from 0 where a table has several rows for one number. */
export type ValueOf<T> = (row: number, nth: number) => T;

type Scalar = string | number | boolean | null;

/** Texts: one for all rows, or what the function says. */
function text(value: string | ValueOf<string | null>): Column {
  if (typeof value === 'string') return constant(encodeText(value));
  return {
    bind: () => (out, row, nth) => {
      const found = value(row, nth);
      if (found === null) writeNull(out);
      else writeText(out, found);
    },
  };
}

/** Whole numbers: from `from` to `to`, both included, or what the function says. */
function integer(from: number | ValueOf<number | null>, to?: number): Column {
  if (typeof from === 'function')
    return {
      bind: () => (out, row, nth) => {
        const value = from(row, nth);
        if (value === null) return writeNull(out);
        if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is no whole number`);
        writeInteger(out, value);
      },
    };
  const width = (to ?? from) - from + 1;
  return {
    bind:
      ({ random }) =>
      (out, row, nth) =>
        writeInteger(out, from + random.below(width, row, nth)),
  };
}

/** 32 bits as eight hexadecimal digits: of chance, or what the function says. For identifiers that look like ones. */
function hex(bitsOf?: ValueOf<number>): Column {
  return {
    bind({ random }) {
      const find = bitsOf ?? random.bits;
      return (out, row, nth) => writeHex(out, find(row, nth));
    },
  };
}

/** True with this probability, or as the function says. */
function boolean(value: number | ValueOf<boolean | null>): Column {
  const [yes, no] = [encodeText('t'), encodeText('f')];
  return {
    bind:
      ({ random }) =>
      (out, row, nth) => {
        const found = typeof value === 'number' ? random.happens(value, row, nth) : value(row, nth);
        if (found === null) writeNull(out);
        else writeBytes(out, found ? yes : no);
      },
  };
}

/** Times with their zone, in milliseconds since 1970: between two, or what the function says. */
function time(from: number | ValueOf<number | null>, to?: number): Column {
  const timeOf = ({ random }: Place): ValueOf<number | null> =>
    typeof from === 'function'
      ? from
      : (row, nth) => from + Math.floor(random.unit(row, nth) * ((to ?? from) - from));
  return {
    timeOf,
    bind(place) {
      const find = timeOf(place);
      const write = createTimeWriter();
      return (out, row, nth) => {
        const found = find(row, nth);
        if (found === null) return writeNull(out);
        if (!(Math.abs(found) < 8.64e15)) throw new RangeError(`${found} is no time`);
        write(out, found);
      };
    },
  };
}

/** Days, each as a time in it: between two, or what the function says. */
function date(from: number | ValueOf<number | null>, to?: number): Column {
  const { timeOf } = time(from, to);
  return {
    timeOf,
    bind(place) {
      const find = timeOf?.(place);
      return (out, row, nth) => {
        const found = find?.(row, nth) ?? null;
        if (found === null) writeNull(out);
        else writeDate(out, Math.floor(found / 86_400_000));
      };
    },
  };
}

/** One of some values, by its weight when there are weights. */
function oneOf(values: readonly Scalar[], weights?: readonly number[]): Column {
  const encoded = values.map((value) => encodeValue(value));
  const entries = encoded.map((bytes, index) => ({ bytes, weight: weights?.[index] ?? 1 }));
  return {
    bind({ random }) {
      const choose = random.choice(entries, weights && (({ weight }) => weight));
      return (out, row, nth) => writeBytes(out, choose(row, nth).bytes);
    },
  };
}

/** Texts and columns one behind the other, as one value. */
function join(...parts: readonly (string | Column)[]): Column {
  const columns = parts.map((part) => (typeof part === 'string' ? constant(encodeText(part)) : part));
  return {
    bind(place) {
      const writes = columns.map((part, index) => part.bind(place.part(String(index))));
      return (out, row, nth) => {
        for (const write of writes) write(out, row, nth);
      };
    },
  };
}

/** Nothing (NULL) in this share of the rows, else what the column says. */
function nullable(share: number, filled: Column): Column {
  return {
    bind(place) {
      const write = filled.bind(place.part('filled'));
      return (out, row, nth) =>
        place.random.happens(share, row, nth) ? writeNull(out) : write(out, row, nth);
    },
  };
}

/** Version 4 UUIDs. */
function uuid(): Column {
  const groups = [8, 4, 4, 4, 12];
  return {
    bind: ({ random }) => {
      const hex: Output = { bytes: Buffer.allocUnsafe(32), at: 0 };
      return (out, row, nth) => {
        hex.at = 0;
        for (let part = 0; part < 4; part++) writeHex(hex, random.bits(row, nth * 4 + part));
        hex.bytes[12] = 52;
        hex.bytes[16] = '89ab'.charCodeAt(random.bits(row, nth * 4 + 4) & 3);
        let from = 0;
        for (const [index, length] of groups.entries()) {
          if (index > 0) writeText(out, '-');
          writeBytes(out, hex.bytes.subarray(from, from + length));
          from += length;
        }
      };
    },
  };
}

/** Values that were encoded before by `encode`: the quickest way for long texts that come again and again. */
function encoded(value: ValueOf<Buffer>): Column {
  return { bind: () => (out, row, nth) => writeBytes(out, value(row, nth)) };
}

function constant(bytes: Buffer): Column {
  return { bind: () => (out) => writeBytes(out, bytes) };
}

function encodeValue(value: Scalar): Buffer {
  if (value === null) return Buffer.from('\\N');
  return encodeText(typeof value === 'boolean' ? (value ? 't' : 'f') : String(value));
}

/** Makers of columns. */
export const column = {
  text,
  integer,
  hex,
  boolean,
  time,
  date,
  oneOf,
  join,
  nullable,
  uuid,
  encoded,
  encode: encodeValue,
} as const;

/**
 * The key of a row of another table: of any, all equally often, or of the one whose number the function says. For a
 * list, the number is the place of the entry.
 */
export function references(target: Table | Lookup, pick?: ValueOf<number | null>): Column {
  const made: Column = {
    refersTo: target,
    bind(place) {
      const write = place.keyOf(target);
      const size = place.sizeOf(target);
      return (out, row, nth) => {
        const found = pick ? pick(row, nth) : place.random.below(size, row, nth);
        if (found === null) writeNull(out);
        else write(out, found);
      };
    },
  };
  targets.set(made, target);
  return made;
}

/** What `references` has made: a column of somebody's own may say that it refers, and write anything. */
const targets = new WeakMap<Column, Table | Lookup>();

/** Whom a column refers to, when its values can be nothing but keys of that. */
export function targetOf(column: Column | undefined): Table | Lookup | undefined {
  return column && targets.get(column);
}

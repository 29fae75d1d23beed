import { type Output, reserveBytes, writeDigits, writeInteger } from './output.ts';

const dayMs = 86_400_000;

/**
 * Writes dates: `2026-11-24` of the day that begins so many days after 1970-01-01.
 * After Howard Hinnant's civil_from_days, https://howardhinnant.github.io/date_algorithms.html
 */
export function writeDate(out: Output, day: number): void {
  const shifted = day + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const monthFromMarch = Math.floor((5 * dayOfYear + 2) / 153);
  const month = monthFromMarch + (monthFromMarch < 10 ? 3 : -9);
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  if (year > 9999) writeInteger(out, year);
  else writeDigits(out, year, 4);
  writeByte(out, 45);
  writeDigits(out, month, 2);
  writeByte(out, 45);
  writeDigits(out, dayOfYear - Math.floor((153 * monthFromMarch + 2) / 5) + 1, 2);
}

function writeByte(out: Output, byte: number): void {
  reserveBytes(out, 1);
  out.bytes[out.at++] = byte;
}

/** The longest day of writeDate. */
const longestDate = 24;

/**
 * A function that writes times, in milliseconds since 1970, as PostgreSQL does under UTC: `2026-11-24 00:30:12.25+00`.
 * It keeps the day that it wrote last, as times mostly come in order.
 */
export function createTimeWriter(): (out: Output, time: number) => void {
  const date: Output = { bytes: Buffer.allocUnsafe(longestDate), at: 0 };
  let written = Number.NaN;
  return (out, time) => {
    const day = Math.floor(time / dayMs);
    if (day !== written) {
      date.at = 0;
      writeDate(date, day);
      written = day;
    }
    reserveBytes(out, longestDate + 18);
    const { bytes } = out;
    let { at } = out;
    for (let i = 0; i < date.at; i++) bytes[at++] = date.bytes[i] as number;
    const rest = Math.floor(time - day * dayMs);
    const seconds = (rest / 1000) | 0;
    const minutes = (seconds / 60) | 0;
    const milliseconds = rest - seconds * 1000;
    bytes[at++] = 32;
    at = writeTwo(bytes, at, (minutes / 60) | 0);
    bytes[at++] = 58;
    at = writeTwo(bytes, at, minutes % 60);
    bytes[at++] = 58;
    at = writeTwo(bytes, at, seconds % 60);
    if (milliseconds > 0) {
      bytes[at++] = 46;
      bytes[at++] = 48 + ((milliseconds / 100) | 0);
      // Without zeros at the end, as PostgreSQL writes fractions.
      if (milliseconds % 100 > 0) bytes[at++] = 48 + (((milliseconds / 10) | 0) % 10);
      if (milliseconds % 10 > 0) bytes[at++] = 48 + (milliseconds % 10);
    }
    bytes[at++] = 43;
    bytes[at++] = 48;
    bytes[at++] = 48;
    out.at = at;
  };
}

function writeTwo(bytes: Buffer, at: number, value: number): number {
  bytes[at] = 48 + ((value / 10) | 0);
  bytes[at + 1] = 48 + (value % 10);
  return at + 2;
}

import type { Bound } from './catalogue.ts';

const written =
  /^(\d{4,6})-(\d\d)-(\d\d)(?: (\d\d):(\d\d):(\d\d(?:\.\d+)?))?([+-]\d\d)?(?::(\d\d))?(?::(\d\d))?( BC)?$/;

/**
 * A time as PostgreSQL writes it with DateStyle ISO, in milliseconds since 1970, to be compared: `infinity` lies after
 * all others. Without an offset it is taken for UTC. Throws for what is no such text, which would be a bug.
 */
export function instantOf(text: string): number {
  if (text === 'infinity') return Number.POSITIVE_INFINITY;
  if (text === '-infinity') return Number.NEGATIVE_INFINITY;
  const [whole, year, month, day, hour = '0', minute = '0', second = '0', ...zone] = written.exec(text) ?? [];
  const [offset = '+00', minutes = '0', seconds = '0', bc] = zone;
  if (whole === undefined) throw new Error(`no time as PostgreSQL writes it: ${text}`);
  const at = new Date(0);
  at.setUTCFullYear(bc ? 1 - Number(year) : Number(year), Number(month) - 1, Number(day));
  // Before zones there was local time, which is off by seconds too: +08:27:52 in Seoul until 1908.
  const east = (Math.abs(Number(offset)) * 60 + Number(minutes)) * 60 + Number(seconds);
  const clock = (Number(hour) * 60 + Number(minute)) * 60 + Number(second);
  return at.getTime() + (clock - (offset.startsWith('-') ? -east : east)) * 1000;
}

/** Where a partition begins; what begins with MINVALUE lies before all. */
export function beginOf(from: Bound | null): number {
  return from ? instantOf(from.value) : Number.NEGATIVE_INFINITY;
}

/** Where a partition ends; what ends with MAXVALUE reaches beyond all. */
export function endOf(to: Bound | null): number {
  return to ? instantOf(to.value) : Number.POSITIVE_INFINITY;
}

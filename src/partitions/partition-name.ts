import { createHash } from 'node:crypto';
import { type Day, periodName, type Unit } from './period.ts';

const longestIdentifier = 63;

/**
 * The name of a partition: the table's, and its period's, `download_logs_2026_12`. A table's name that is too long is
 * cut between characters, by bytes as PostgreSQL counts, and its hash keeps it apart from others that begin alike.
 */
export function partitionName(table: string, start: Day, unit: Unit): string {
  return withSuffix(table, `_${periodName(start, unit)}`);
}

/** `name` followed by `suffix`, within 63 bytes. */
export function withSuffix(name: string, suffix: string): string {
  if (Buffer.byteLength(name + suffix) <= longestIdentifier) return name + suffix;
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 6);
  const room = longestIdentifier - Buffer.byteLength(`_${hash}${suffix}`);
  let cut = '';
  for (const character of name) {
    if (Buffer.byteLength(cut + character) > room) break;
    cut += character;
  }
  return `${cut}_${hash}${suffix}`;
}

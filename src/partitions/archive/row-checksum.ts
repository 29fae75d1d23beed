/** The checksum of rows in any order. */
export interface RowChecksum {
  /** Takes whole rows as COPY writes them, each with the line feed at its end. */
  add(rows: Buffer): void;
  /** How many rows there were. */
  readonly rows: number;
  /** 16 hexadecimal digits. */
  readonly value: string;
}

const lineFeed = 10;

/**
 * Of each row, without its line feed, MurmurHash3 (x86, 32 bits) with the seeds 0 and 1; each of the two is summed up
 * modulo 2^32, and the sums are written as hexadecimal digits, one behind the other. Rows that come twice count twice.
 */
export function createRowChecksum(): RowChecksum {
  let rows = 0;
  let first = 0;
  let second = 0;
  return {
    add(data) {
      for (let start = 0; start < data.length; ) {
        const found = data.indexOf(lineFeed, start);
        const end = found < 0 ? data.length : found;
        first = (first + murmur3(data, start, end, 0)) | 0;
        second = (second + murmur3(data, start, end, 1)) | 0;
        rows++;
        start = end + 1;
      }
    },
    get rows() {
      return rows;
    },
    get value() {
      return `${hex(first)}${hex(second)}`;
    },
  };
}

const hex = (value: number) => (value >>> 0).toString(16).padStart(8, '0');

/** MurmurHash3 by Austin Appleby, x86, 32 bits: https://github.com/aappleby/smhasher/wiki/MurmurHash3 */
export function murmur3(data: Buffer, start: number, end: number, seed: number): number {
  let hash = seed;
  const blocks = start + ((end - start) & ~3);
  for (let at = start; at < blocks; at += 4) {
    const word =
      (data[at] as number) |
      ((data[at + 1] as number) << 8) |
      ((data[at + 2] as number) << 16) |
      ((data[at + 3] as number) << 24);
    hash ^= scramble(word);
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  let tail = 0;
  for (let at = end - 1; at >= blocks; at--) tail = (tail << 8) | (data[at] as number);
  if (blocks < end) hash ^= scramble(tail);
  hash ^= end - start;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function scramble(word: number): number {
  const mixed = Math.imul(word, 0xcc9e2d51);
  return Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593);
}

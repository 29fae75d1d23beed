import { createHash } from 'node:crypto';
import { createRowChecksum } from './row-checksum.ts';

/** What the rows of a table come to, written by COPY: two with the same digest hold the same rows. */
export interface DataDigest {
  readonly rows: number;
  readonly bytes: number;
  /** Of all bytes, as they came: the order counts. */
  readonly sha256: string;
  /** Of the rows in any order, see `createRowChecksum`. */
  readonly checksum: string;
}

/** Follows COPY data in pieces that end anywhere. */
export interface DigestStream {
  /** Hands on what is whole: blocks of rows, of about `blockBytes`. */
  take(piece: Buffer): Promise<void>;
  /** Hands on the rest, and says what it all came to. */
  end(): Promise<DataDigest>;
}

const blockBytes = 1024 * 1024;
const lineFeed = 10;

/** A digest of what it is given; `onBlock` is given the same in blocks of whole rows, and may keep them. */
export function createDigestStream(onBlock: (rows: Buffer) => void | Promise<void> = () => {}): DigestStream {
  const sha256 = createHash('sha256');
  const checksum = createRowChecksum();
  let bytes = 0;
  let pieces: Buffer[] = [];
  let held = 0;

  async function pass(block: Buffer): Promise<void> {
    if (block.length === 0) return;
    sha256.update(block);
    checksum.add(block);
    bytes += block.length;
    await onBlock(block);
  }

  return {
    async take(piece) {
      pieces.push(piece);
      held += piece.length;
      if (held < blockBytes) return;
      const all = Buffer.concat(pieces, held);
      const end = all.lastIndexOf(lineFeed) + 1;
      const rest = all.subarray(end);
      pieces = rest.length > 0 ? [rest] : [];
      held = rest.length;
      await pass(all.subarray(0, end));
    },
    async end() {
      await pass(Buffer.concat(pieces, held));
      pieces = [];
      return { rows: checksum.rows, bytes, sha256: sha256.digest('hex'), checksum: checksum.value };
    },
  };
}

/** Whether both hold the same rows, in whatever order. */
export function holdsSameRows(
  one: Pick<DataDigest, 'rows' | 'bytes' | 'checksum'>,
  other: Pick<DataDigest, 'rows' | 'bytes' | 'checksum'>,
): boolean {
  return one.rows === other.rows && one.bytes === other.bytes && one.checksum === other.checksum;
}

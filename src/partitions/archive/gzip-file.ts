import { createHash } from 'node:crypto';
import { createReadStream, promises } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { createGunzip, gzip } from 'node:zlib';
import { createDigestStream, type DataDigest } from './data-digest.ts';

/** What a compressed file comes to. */
export interface FileDigest {
  readonly bytes: number;
  readonly sha256: string;
}

/** Both sides of a file: what is in it, and itself. */
export interface GzipDigest {
  readonly data: DataDigest;
  readonly file: FileDigest;
}

const compress = promisify(gzip);

/**
 * Writes a new file `path` with what `produce` gives, compressed, and has it on the disk when it returns. The file is
 * of many gzip members, as several blocks are compressed at a time; gzip, zlib and every tool read that as one.
 */
export async function writeGzip(
  path: string,
  produce: (take: (piece: Buffer) => Promise<void>) => Promise<void>,
): Promise<GzipDigest> {
  const file = await promises.open(path, 'wx', 0o600);
  try {
    const sha256 = createHash('sha256');
    const waiting: Promise<Buffer>[] = [];
    let bytes = 0;
    const writeNext = async () => {
      const block = await (waiting.shift() as Promise<Buffer>);
      sha256.update(block);
      bytes += block.length;
      await file.writeFile(block);
    };
    const digest = createDigestStream(async (block) => {
      const compressed = compress(block);
      // Heard when its turn comes.
      compressed.catch(() => {});
      waiting.push(compressed);
      if (waiting.length > availableParallelism()) await writeNext();
    });
    await produce(digest.take);
    const data = await digest.end();
    // A file without a member is no gzip file.
    if (data.bytes === 0) waiting.push(compress(Buffer.alloc(0)));
    while (waiting.length > 0) await writeNext();
    await file.sync();
    return { data, file: { bytes, sha256: sha256.digest('hex') } };
  } finally {
    await file.close();
  }
}

/** Reads a compressed file to its end; `onBlock` is given its data in blocks of whole rows. */
export async function readGzip(
  path: string,
  onBlock?: (rows: Buffer) => void | Promise<void>,
): Promise<GzipDigest> {
  const sha256 = createHash('sha256');
  const digest = createDigestStream(onBlock);
  let bytes = 0;
  await pipeline(
    createReadStream(path, { highWaterMark: 256 * 1024 }),
    async function* (source: AsyncIterable<Buffer>) {
      for await (const piece of source) {
        sha256.update(piece);
        bytes += piece.length;
        yield piece;
      }
    },
    createGunzip({ chunkSize: 256 * 1024 }),
    new Writable({
      highWaterMark: 1024 * 1024,
      write(piece: Buffer, _, done) {
        digest.take(piece).then(() => done(), done);
      },
    }),
  );
  const data = await digest.end();
  return { data, file: { bytes, sha256: sha256.digest('hex') } };
}

/** The digest of a file as it lies on the disk. */
export async function digestFile(path: string): Promise<FileDigest> {
  const sha256 = createHash('sha256');
  let bytes = 0;
  for await (const piece of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
    sha256.update(piece as Buffer);
    bytes += (piece as Buffer).length;
  }
  return { bytes, sha256: sha256.digest('hex') };
}

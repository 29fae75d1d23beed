import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';

/** Kept beside each checksum, so that the way to compute it can change without a false alarm. */
export const checksumAlgorithm = 'sha256-lf';

const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf]);

/**
 * SHA-256 in hex of a file's text without byte order mark and with LF line ends: git on Windows may add both,
 * and neither is an edit.
 */
export function checksumOf(content: Buffer): string {
  const text = content.subarray(0, 3).equals(byteOrderMark) ? content.subarray(3) : content;
  const hash = createHash('sha256');
  if (!text.includes('\r\n')) return hash.update(text).digest('hex');
  return hash.update(text.toString('latin1').replaceAll('\r\n', '\n'), 'latin1').digest('hex');
}

/** The text of a file without its byte order mark. Undefined when it is not UTF-8. */
export function decodeText(content: Buffer): string | undefined {
  if (!isUtf8(content)) return undefined;
  return content.subarray(0, 3).equals(byteOrderMark) ? content.toString('utf8', 3) : content.toString('utf8');
}

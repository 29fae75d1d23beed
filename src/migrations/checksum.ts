import { isUtf8 } from 'node:buffer';
import * as crypto from 'node:crypto';

/** Kept beside each checksum, so that the way to compute it can change without a false alarm. */
export const checksumAlgorithm = 'sha256-lf';

const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf]);

/**
 * SHA-256 in hex of a file's text without byte order mark and with LF line ends: git on Windows may add both,
 * and neither is an edit.
 */
export function checksumOf(content: Buffer): string {
  const text = content.subarray(0, 3).equals(byteOrderMark) ? content.subarray(3) : content;
  return sha256(text.includes('\r\n') ? Buffer.from(text.toString('latin1').replaceAll('\r\n', '\n'), 'latin1') : text);
}

/** `crypto.hash`, since Node 20.12, is twice as fast for small files as a hash object. */
function sha256(content: Buffer): string {
  return crypto.hash ? crypto.hash('sha256', content, 'hex') : crypto.createHash('sha256').update(content).digest('hex');
}

/** The text of a file without its byte order mark. Undefined when it is not UTF-8. */
export function decodeText(content: Buffer): string | undefined {
  if (!isUtf8(content)) return undefined;
  return content.subarray(0, 3).equals(byteOrderMark) ? content.toString('utf8', 3) : content.toString('utf8');
}

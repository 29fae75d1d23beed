import * as crypto from 'node:crypto';

/** Kept beside each checksum, so that the way to compute it can change without a false alarm. */
export const checksumAlgorithm = 'sha256-lf';

/**
 * SHA-256 in hex of a text without byte order mark and with LF line ends: git on Windows may add both, and neither
 * is an edit.
 */
export function checksumOf(text: string): string {
  const bare = withoutByteOrderMark(text);
  return sha256(bare.includes('\r\n') ? bare.replaceAll('\r\n', '\n') : bare);
}

/**
 * The checksum of a file that includes others: SHA-256 of its own checksum and of theirs, in the order in which they
 * are included, one a line. Without any it is the file's own.
 */
export function checksumWithIncluded(own: string, included: readonly string[]): string {
  return included.length === 0 ? own : sha256([own, ...included].join('\n'));
}

/** The text without the mark that Windows editors put first. */
export function withoutByteOrderMark(text: string): string {
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
}

/** `crypto.hash`, since Node 20.12, is twice as fast for small files as a hash object. */
function sha256(text: string): string {
  return crypto.hash
    ? crypto.hash('sha256', text, 'hex')
    : crypto.createHash('sha256').update(text).digest('hex');
}

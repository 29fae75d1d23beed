/** Rows in the text format of COPY, in a buffer that is used again and again. */
export interface Output {
  bytes: Buffer;
  /** Where the next byte goes. */
  at: number;
}

/** Writes the value of a column for a row; `nth` counts the rows of one parent, where a table has several. */
export type Write = (out: Output, row: number, nth: number) => void;

/** A new output, with room for so many bytes at first. */
export function createOutput(size: number): Output {
  return { bytes: Buffer.allocUnsafe(size), at: 0 };
}

/** Makes room for so many more bytes. */
export function reserveBytes(out: Output, length: number): void {
  if (out.at + length <= out.bytes.length) return;
  const larger = Buffer.allocUnsafe(Math.max(out.bytes.length * 2, out.at + length));
  out.bytes.copy(larger, 0, 0, out.at);
  out.bytes = larger;
}

/** Copies bytes that are encoded already. */
export function writeBytes(out: Output, source: Buffer): void {
  const { length } = source;
  reserveBytes(out, length);
  const { bytes, at } = out;
  // For a few bytes the loop is quicker than a call into the engine.
  if (length < 24) for (let i = 0; i < length; i++) bytes[at + i] = source[i] as number;
  else source.copy(bytes, at);
  out.at += length;
}

/** The value NULL: `\N`. */
export function writeNull(out: Output): void {
  reserveBytes(out, 2);
  out.bytes[out.at++] = 92;
  out.bytes[out.at++] = 78;
}

/** A whole number that JavaScript can hold exactly. */
export function writeInteger(out: Output, value: number): void {
  reserveBytes(out, 17);
  const { bytes } = out;
  if (value < 0) bytes[out.at++] = 45;
  let rest = Math.abs(value);
  const end = out.at + digitsOf(rest);
  let at = end;
  for (; rest > 2_147_483_647; rest = Math.floor(rest / 10)) bytes[--at] = 48 + (rest % 10);
  for (let small = rest | 0; at > out.at; small = (small / 10) | 0) bytes[--at] = 48 + (small % 10);
  out.at = end;
}

function digitsOf(value: number): number {
  let digits = 1;
  for (let limit = 10; value >= limit; limit *= 10) digits++;
  return digits;
}

/** A whole number of exactly so many digits, with zeros before it; higher digits are left out. */
export function writeDigits(out: Output, value: number, digits: number): void {
  reserveBytes(out, digits);
  for (let at = out.at + digits - 1, rest = value; at >= out.at; at--, rest = Math.floor(rest / 10))
    out.bytes[at] = 48 + (rest % 10);
  out.at += digits;
}

/** 32 bits as eight hexadecimal digits. */
export function writeHex(out: Output, bits: number): void {
  reserveBytes(out, 8);
  for (let shift = 28; shift >= 0; shift -= 4) {
    const digit = (bits >>> shift) & 15;
    out.bytes[out.at++] = digit + (digit < 10 ? 48 : 87);
  }
}

/** What stands behind a backslash for the characters that COPY does not take as they are. */
const escapes: Readonly<Record<number, number>> = {
  8: 98,
  9: 116,
  10: 110,
  11: 118,
  12: 102,
  13: 114,
  92: 92,
};

/** A text in UTF-8, escaped for COPY. Throws for a character that PostgreSQL cannot store. */
export function writeText(out: Output, text: string): void {
  reserveBytes(out, text.length * 3);
  const { bytes } = out;
  let { at } = out;
  for (let i = 0; i < text.length; i++) {
    let code = text.charCodeAt(i);
    if (code >= 0x80) {
      if (code >= 0x800) {
        if (code >= 0xd800 && code <= 0xdfff) {
          code = text.codePointAt(i) as number;
          if (code <= 0xdfff) throw new RangeError('a text with half a character (a lone surrogate)');
          i++;
          bytes[at++] = 0xf0 | (code >> 18);
          bytes[at++] = 0x80 | ((code >> 12) & 63);
        } else bytes[at++] = 0xe0 | (code >> 12);
        bytes[at++] = 0x80 | ((code >> 6) & 63);
      } else bytes[at++] = 0xc0 | (code >> 6);
      bytes[at++] = 0x80 | (code & 63);
    } else if (code > 13 && code !== 92) bytes[at++] = code;
    else if (code === 0) throw new RangeError('a text with a zero byte, which PostgreSQL does not store');
    else if (escapes[code] === undefined) bytes[at++] = code;
    else {
      bytes[at++] = 92;
      bytes[at++] = escapes[code] as number;
    }
  }
  out.at = at;
}

/** A text as it goes to COPY, encoded once for many rows. */
export function encodeText(text: string): Buffer {
  const out = createOutput(text.length * 3 + 1);
  writeText(out, text);
  return out.bytes.subarray(0, out.at);
}

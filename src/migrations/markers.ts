/** What begins a section, as a comment line of its own: `-- migrate:up transaction:false`. */
export const markerPattern = /^--\s*migrate:(?<direction>[^\s:]+)(?<options>(?:\s.*)?)$/;

/** Whether a comment line is a marker. */
export function isMarker(commentLine: string): boolean {
  return commentLine.includes('migrate:') && markerPattern.test(commentLine.trimEnd());
}

/** What a migration's file name says. */
export interface ParsedName {
  readonly version: string;
  readonly description: string;
}

/** The length of `schema_versions.version` in the guide. */
export const longestVersion = 20;

const versionPattern = /^\d+(?:\.\d+)*$/;
const namePattern = /^(?<version>\d+(?:\.\d+)*)_(?<description>.+)$/;

/** Reads `1.4.0_search` (a file name without its extension). Undefined when it is not of that form. */
export function parseName(name: string): ParsedName | undefined {
  const groups = namePattern.exec(name)?.groups;
  if (!groups?.version || !groups.description) return undefined;
  return { version: groups.version, description: groups.description.replaceAll('_', ' ').trim() };
}

/** True for dotted numbers or a timestamp: `1.4.0`, `20261122093000`. */
export function isVersion(text: string): boolean {
  return versionPattern.test(text);
}

/**
 * The version in a form in which equal ones are equal text, and text order is their order: `1.0`, `1.00` and
 * `1.0.0` are one version, as nobody would mean two by them, and `1.9` comes before `1.10`.
 */
export function canonicalVersion(version: string): string {
  if (!version.includes('.')) return version.padStart(longestVersion, '0');
  return version
    .replace(/(?:\.0+)+$/, '')
    .split('.')
    .map((number) => number.padStart(longestVersion, '0'))
    .join('.');
}

/** Orders versions number by number: negative when `a` comes first. `1.9.0` comes before `1.10.0`. */
export function compareVersions(a: string, b: string): number {
  return compareText(canonicalVersion(a), canonicalVersion(b));
}

/** Orders canonical versions. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

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
 * The version in a form in which equal ones are equal text: `1.0`, `1.00` and `1.0.0` are one version,
 * as nobody would mean two by them.
 */
export function canonicalVersion(version: string): string {
  const numbers = version.split('.').map((number) => number.replace(/^0+(?=\d)/, ''));
  while (numbers.length > 1 && numbers.at(-1) === '0') numbers.pop();
  return numbers.join('.');
}

/** Orders versions number by number: negative when `a` comes first. `1.9.0` comes before `1.10.0`. */
export function compareVersions(a: string, b: string): number {
  const left = canonicalVersion(a).split('.');
  const right = canonicalVersion(b).split('.');
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const order = compareNumbers(left[i] ?? '0', right[i] ?? '0');
    if (order !== 0) return order;
  }
  return 0;
}

/** Digits without leading zeros, of any length: the longer one is the larger number. */
function compareNumbers(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : a > b ? 1 : 0;
}

import type { CommonOptions } from '../../options.ts';

/** Options of `eduschema seed`. */
export interface SeedCommandOptions extends CommonOptions {
  readonly seed?: number;
  readonly asOf?: string;
  readonly set?: Readonly<Record<string, string>>;
  readonly materials?: string;
  readonly downloads?: string;
  readonly views?: string;
  readonly days?: string;
  readonly dirty?: string;
  readonly append?: boolean;
  readonly reset?: boolean;
  readonly dryRun?: boolean;
}

/** Parameters of the education seed that have an option of their own. */
const shortcuts = ['materials', 'downloads', 'views', 'days', 'dirty'] as const;

/** The values of parameters that the options hold. */
export function givenBy(options: SeedCommandOptions): Record<string, string> {
  const own = shortcuts.flatMap((name) =>
    options[name] === undefined ? [] : [[name, options[name]] as const],
  );
  return { ...options.set, ...Object.fromEntries(own) };
}

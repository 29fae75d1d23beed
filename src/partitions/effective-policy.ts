import type { PartitionsConfig } from '../config.ts';
import { type QualifiedName, showName } from '../db/identifiers.ts';
import { parseName } from '../db/parse-name.ts';
import type { BoundedPartition, PartitionedTable } from './catalogue.ts';
import { inferUnit } from './infer-unit.ts';
import { parseSpan, type Span, showSpan, type Unit } from './period.ts';
import { checkPolicy, defaultAhead, defaultZone, type Policy, readPolicy } from './policy.ts';

/** What may say how a table is partitioned, beside the table's own comment. */
export interface PolicySources {
  readonly flags?: Partial<Policy> | undefined;
  readonly config?: PartitionsConfig | undefined;
  /** Where a table is that the configuration names without a schema; `public` without it. */
  readonly schema?: string | undefined;
}

/** Who said it. `partitions`: nobody, it is how long the table's partitions are. */
export type Origin = 'flag' | 'configuration' | 'comment' | 'partitions' | 'default';

/** The policy that counts for a table. */
export interface EffectivePolicy {
  readonly zone: string;
  /** Undefined when nobody said it and the partitions are of no length that has a name. */
  readonly unit: Unit | undefined;
  readonly ahead: Span;
  readonly keep: Span | undefined;
  readonly archive: string | undefined;
  readonly grace: Span | undefined;
  readonly origins: Readonly<Partial<Record<keyof Policy, Origin>>>;
}

/**
 * The policy of a table: a flag beats the configuration's entry for the table, that the table's comment, that the
 * configuration's defaults, those our own. Throws `config-invalid` or `usage` for values that mean nothing.
 */
export function findPolicy(
  table: PartitionedTable,
  sources: PolicySources,
  partitions: readonly BoundedPartition[] = [],
): EffectivePolicy {
  const { tables = {}, ...defaults } = sources.config ?? {};
  const entry = Object.entries(tables).find(([name]) => isSame(parseName(name, sources.schema), table.name));
  const shown = `partitions.tables["${entry?.[0]}"] in the configuration`;
  const layers: readonly (readonly [Origin, Partial<Policy>])[] = [
    ['flag', sources.flags ?? {}],
    ['configuration', checkPolicy({ ...entry?.[1] }, shown)],
    ['comment', readPolicy(table.comment, showName(table.name))],
    ['configuration', checkPolicy({ ...defaults }, 'partitions in the configuration')],
  ];
  const origins: Partial<Record<keyof Policy, Origin>> = {};
  function choose<K extends keyof Policy>(name: K): Policy[K] | undefined {
    const [origin, policy] = layers.find(([, values]) => values[name] !== undefined) ?? ['default', {}];
    origins[name] = origin as Origin;
    return (policy as Partial<Policy>)[name];
  }
  const spanOf = (name: 'ahead' | 'keep' | 'grace') => {
    const text = choose(name);
    return text === undefined ? undefined : parseSpan(text, name);
  };
  return {
    zone: choose('zone') ?? defaultZone,
    unit: choose('unit') ?? unitOf(partitions, origins),
    ahead: spanOf('ahead') ?? defaultAhead,
    keep: spanOf('keep'),
    archive: choose('archive'),
    grace: spanOf('grace'),
    origins,
  };
}

/** The same with spans as text, as it is written and shown. */
export function textOf(policy: EffectivePolicy): Partial<Policy> {
  const { zone, unit, ahead, keep, archive, grace } = policy;
  return {
    zone,
    ...(unit ? { unit } : {}),
    ahead: showSpan(ahead),
    ...(keep ? { keep: showSpan(keep) } : {}),
    ...(archive === undefined ? {} : { archive }),
    ...(grace ? { grace: showSpan(grace) } : {}),
  };
}

function unitOf(
  partitions: readonly BoundedPartition[],
  origins: Partial<Record<keyof Policy, Origin>>,
): Unit | undefined {
  if (partitions.every(({ isDefault }) => isDefault)) return 'month';
  origins.unit = 'partitions';
  return inferUnit(partitions);
}

const isSame = (one: QualifiedName, other: QualifiedName) =>
  one.schema === other.schema && one.name === other.name;

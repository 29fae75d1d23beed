import { showName } from '../../db/identifiers.ts';
import type { PartitionedTable } from '../catalogue.ts';
import { instantOf } from '../instant.ts';
import type { DefaultPartition, Waiting } from './default-partition.ts';
import type { Leaf } from './leaf.ts';
import type { NewPartition } from './names.ts';
import type { Surroundings } from './surroundings.ts';

/** Everything that counts for how the missing partitions of a table are made. */
export interface EnsureFacts {
  readonly table: PartitionedTable;
  /** In the order of time. */
  readonly parts: readonly NewPartition[];
  /** The newest plain partition, else the default one; undefined when there is none to go by. */
  readonly sibling: Leaf | undefined;
  readonly surroundings: Surroundings;
  readonly fallback: DefaultPartition | undefined;
  /** What the default partition has of its own. */
  readonly fallbackLeaf: Leaf | undefined;
  /** Rows in the default partition, by part. */
  readonly waiting: Waiting;
  /** The server's clock, in milliseconds since 1970. */
  readonly now: number;
}

/** What becomes of each missing partition. */
export interface Decision {
  /** Rows wait for these: they are moved in the transaction that attaches, or copied before it. */
  readonly moved: readonly NewPartition[];
  readonly how: 'together' | 'copy';
  /** No rows wait for these. */
  readonly quiet: readonly NewPartition[];
  /** How ATTACH knows that none do: there are none at all, it looks, or a CHECK says so. */
  readonly proof: 'empty' | 'scan' | 'check';
  readonly refused: readonly Refusal[];
}

/** What is not done, as people would wait for too long. */
export interface Refusal {
  readonly parts: readonly NewPartition[];
  readonly why: string;
  readonly hint: string;
}

/** How much may be done while everybody waits. */
export interface Limits {
  /** Rows to move. */
  readonly rows: number;
  /** Bytes to scan. */
  readonly bytes: number;
}

/** What takes about a tenth of a second. */
export const defaultLimits: Limits = { rows: 5000, bytes: 64 * 1024 * 1024 };

/** What is taken upon oneself. */
export interface Allowance {
  /** It may take what it takes. */
  readonly allowLongLock?: boolean | undefined;
  readonly limits?: Limits | undefined;
}

/** Decides by how much there is to move and to scan while others wait. */
export function decide(facts: EnsureFacts, allowance: Allowance): Decision {
  const { limits = defaultLimits, allowLongLock = false } = allowance;
  const { parts, fallback, waiting } = facts;
  if (!fallback) return { moved: [], how: 'together', quiet: parts, proof: 'empty', refused: [] };
  const crowded = parts.filter((_, index) => (waiting.ranges[index] ?? 0) > 0);
  const rows = waiting.ranges.reduce((sum, count) => sum + count, 0);
  const few = rows <= limits.rows && fallback.heapBytes <= limits.bytes;
  const impossible = whyNotAtAll(facts);
  const uncopied = whyNotCopied(facts, limits);
  const how = few || uncopied !== undefined ? 'together' : 'copy';
  const tooLong = how === 'together' && !few && !allowLongLock;
  const refusal = impossible ?? (tooLong ? refuseMove(facts, crowded, rows, uncopied ?? '') : undefined);
  const moved = refusal ? [] : crowded;
  const isEmptied = moved.length > 0 && how === 'copy';
  const quiet = decideQuiet(facts, crowded, isEmptied ? 0 : fallback.heapBytes, {
    limits,
    allowLongLock,
  });
  const refused = [
    ...(refusal && crowded.length > 0 ? [{ ...refusal, parts: crowded }] : []),
    ...quiet.refused,
  ];
  return { ...quiet, moved, how, refused };
}

function decideQuiet(
  { parts, fallback, now }: EnsureFacts,
  crowded: readonly NewPartition[],
  heapBytes: number,
  { limits, allowLongLock }: { readonly limits: Limits; readonly allowLongLock: boolean },
): Pick<Decision, 'quiet' | 'proof' | 'refused'> {
  const quiet = parts.filter((part) => !crowded.includes(part));
  if (heapBytes === 0) return { quiet, proof: 'empty', refused: [] };
  if (heapBytes <= limits.bytes || allowLongLock) return { quiet, proof: 'scan', refused: [] };
  // While the CHECK is validated it refuses the rows that it excludes, so none may be on their way.
  const future = quiet.filter(({ from }) => instantOf(from) > now);
  const present = quiet.filter((part) => !future.includes(part));
  const name = showName((fallback as DefaultPartition).name);
  const why = `to attach them, the default partition ${name} (${megabytes(heapBytes)}) would be scanned under a lock that stops all readers`;
  const hint = `make it smaller (VACUUM ${name}, or move its rows), or say --allow-long-lock at a quiet hour`;
  return {
    quiet: future,
    proof: 'check',
    refused: present.length > 0 ? [{ parts: present, why, hint }] : [],
  };
}

function whyNotAtAll({ fallback, surroundings }: EnsureFacts): Omit<Refusal, 'parts'> | undefined {
  if (!fallback?.isPlain)
    return {
      why: 'rows wait in a default partition that is partitioned itself or foreign',
      hint: 'move them by hand',
    };
  if (surroundings.referencedBy.length > 0 && !surroundings.mayReplicate)
    return {
      why: `rows wait that ${surroundings.referencedBy.join(', ')} may refer to, and they cannot be moved without setting session_replication_role`,
      hint: `run it as a superuser, or from 15 on: GRANT SET ON PARAMETER session_replication_role TO ${surroundings.user}`,
    };
  return undefined;
}

/** Why the rows cannot be copied before a short transaction attaches them; undefined when they can. */
function whyNotCopied(
  { surroundings, waiting, fallback, fallbackLeaf }: EnsureFacts,
  limits: Limits,
): string | undefined {
  if (surroundings.key === null) return 'without a primary key they cannot be copied beforehand';
  if (surroundings.referencedBy.length > 0)
    return 'rows that foreign keys refer to cannot be copied beforehand';
  if (surroundings.excludes)
    return 'keys that exclude overlaps would be made for the copy while readers wait';
  if (surroundings.publishesAll) return 'a publication of all tables would publish a copy made beforehand';
  if (waiting.others > limits.rows) return `${waiting.others} rows of other times lie among them`;
  const own = [...(fallbackLeaf?.extras ?? []), ...(fallback?.namedBy ?? []).map((view) => `view ${view}`)];
  if (waiting.others > 0 && own.length > 0)
    return `${waiting.others} rows of other times lie among them, and ${own.join(', ')} could not follow`;
  return undefined;
}

function refuseMove(
  { fallback }: EnsureFacts,
  parts: readonly NewPartition[],
  rows: number,
  why: string,
): Omit<Refusal, 'parts'> {
  const name = showName((fallback as DefaultPartition).name);
  return {
    why: `${rows} rows wait for ${parts.length === 1 ? 'it' : 'them'} in ${name} (${megabytes((fallback as DefaultPartition).heapBytes)}), and to move them at once would stop all readers for long; ${why}`,
    hint: 'say --allow-long-lock at a quiet hour, or move or delete the rows that are in the way',
  };
}

const megabytes = (bytes: number) => `${Math.ceil(bytes / 1024 / 1024)} MB`;

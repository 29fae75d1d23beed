import type { Sql } from 'postgres';
import type { LockKey } from '../db/advisory-lock.ts';
import type { QualifiedName } from '../db/identifiers.ts';
import type { FailedMigration } from './failure.ts';
import type { Lease } from './lease.ts';
import { isTransactional, nameOfUnit, type Prepared } from './prepare.ts';
import type { SessionSettings } from './session-sql.ts';
import type { TurnProof } from './turn-proof.ts';

/** How migrations are run. */
export interface RunSettings extends SessionSettings {
  /** Held in the session of the migrations, even when their client was killed and the server works on. */
  readonly guard: LockKey;
  /** Behind a pooler: nothing holds in a session then, beyond a transaction. */
  readonly lease: Lease | undefined;
  /** What shows, in a session of the server's, that the turn is ours. */
  readonly proof: TurnProof;
  readonly signal: AbortSignal | undefined;
  readonly log: (message: string) => void;
  /** The session that holds the turn: it writes the journal of statements. */
  readonly keeper: Sql;
  readonly journal: QualifiedName;
  /** What the user said of statements in doubt, by ordinal. */
  readonly said: Said;
  /** Runs what may take long, in the session of the migrations, while another session looks at it. */
  readonly watched: (work: () => Promise<void>) => Promise<void>;
  /** Makes an attempt again and again until it gets its locks. */
  readonly withLocks: (attempt: (lockTimeout: string) => Promise<void>) => Promise<void>;
  /** Told what was found out about an earlier run that ended in the middle. */
  readonly onResume: (message: string) => void;
  /** Throws when another runner may have taken over. */
  readonly confirmTurn: () => Promise<void>;
}

/** What the user said of statements in doubt: ordinals, from 1. */
export interface Said {
  readonly markDone: readonly number[];
  readonly redo: readonly number[];
}

/** A migration, what records it, and what to say when it fails. */
export interface Run {
  readonly prepared: Prepared;
  /** The SQL that records it; `durationMs` is SQL. */
  readonly record: (durationMs: string) => string;
  /**
   * Whether its commit waits for the disk. Of many in a row only the last one needs to: the log is written in order,
   * so that its commit makes all before it durable, and a crash in between loses a migration whole, with its record.
   */
  readonly durable: boolean;
  /** The command to run again after a failure. */
  readonly command: string;
  /** The sentence on the state of the database after a failure in a transaction. */
  readonly outcome: () => string;
}

/** `migration 1.4.0_search`, `rollback of 1.4.0_search`. */
export function titleOf({ unit, direction }: Prepared): string {
  if (direction === 'down') return `rollback of ${nameOfUnit(unit)}`;
  return unit.type === 'versioned' ? `migration ${nameOfUnit(unit)}` : nameOfUnit(unit);
}

/** Which hook it is, if it is one. */
export function hookOf({ unit }: Prepared): 'before' | 'after' | undefined {
  return unit.type === 'hook' ? unit.when : undefined;
}

/** A migration for the error that says how it failed; `instead` replaces the sentence on the state of the database. */
export function describe(prepared: Prepared, { command, outcome }: Run, instead?: string): FailedMigration {
  const text = prepared.kind === 'sql' ? prepared.text : '';
  return {
    title: titleOf(prepared),
    file: prepared.unit.file.file,
    text,
    outcome: instead === undefined ? outcome : () => instead,
    command,
    outside: !isTransactional(prepared),
    hook: hookOf(prepared),
  };
}

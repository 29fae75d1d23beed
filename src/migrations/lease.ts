import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { Sql } from 'postgres';
import { type QualifiedName, quoteLiteral, quoteName } from '../db/identifiers.ts';
import { isAbandoned, leaseTable, workerNameOf } from './lease-table.ts';
import { failUnless } from './turn-proof.ts';

/** The turn of a runner behind a pooler: a row that it must renew, as it has no session that could hold a lock. */
export interface Lease {
  /** `application_name` of the session that runs migrations: it shows that this runner is at work. */
  readonly workerName: string;
  /** SQL that fails when the lease is no longer ours. Locks nothing. */
  readonly check: string;
  /**
   * SQL for the end of a transaction: fails when the lease is no longer ours, and otherwise keeps it so until COMMIT.
   * Renewing waits for it, so COMMIT must follow at once.
   */
  readonly fence: string;
  /** Whether a renewal has found it gone. */
  isLost(): boolean;
  /** Renews it, now and from time to time, until `release`. */
  keep(): void;
  /** Whether it is ours, by the server's word. */
  isOurs(): Promise<boolean>;
  release(): Promise<void>;
}

/** Takes the lease when nobody has it, or who has it let it expire; undefined when somebody has it. The table must exist. */
export async function takeLease(
  sql: Sql,
  journal: QualifiedName,
  seconds: number,
): Promise<Lease | undefined> {
  const table = quoteName(leaseTable(journal));
  const token = randomBytes(16).toString('hex');
  const times = `clock_timestamp(), clock_timestamp(), clock_timestamp() + interval '${seconds} s'`;
  const taken = await sql.unsafe(`
    INSERT INTO ${table} AS l (token, application, host, process, taken_at, beats_at, expires_at)
    VALUES ('${token}', 'eduschema', ${quoteLiteral(hostname())}, ${process.pid}, ${times})
    ON CONFLICT (one) DO UPDATE SET token = EXCLUDED.token, application = EXCLUDED.application,
      "user" = EXCLUDED."user", host = EXCLUDED.host, process = EXCLUDED.process, taken_at = EXCLUDED.taken_at,
      beats_at = EXCLUDED.beats_at, expires_at = EXCLUDED.expires_at
    WHERE ${isAbandoned}
    RETURNING token`);
  if (taken.length === 0) return undefined;
  const renew = `UPDATE ${table} SET beats_at = pg_catalog.clock_timestamp(),
    expires_at = pg_catalog.clock_timestamp() + interval '${seconds} s' WHERE token = '${token}' RETURNING token`;
  const held = `SELECT token FROM ${table} WHERE token = '${token}'`;
  let lost = false;
  let timer: NodeJS.Timeout | undefined;
  let underWay = false;
  const beat = async () => {
    if (underWay) return;
    underWay = true;
    // A broken connection is seen elsewhere.
    const renewed = await sql.unsafe(renew).catch(() => undefined);
    underWay = false;
    if (renewed?.length === 0) lost = true;
  };
  return {
    workerName: workerNameOf(token),
    check: failUnless(held),
    fence: failUnless(renew),
    isLost: () => lost,
    keep() {
      void beat();
      timer = setInterval(() => void beat(), (seconds * 1000) / 6);
    },
    async isOurs() {
      lost ||= (await sql.unsafe(renew)).length === 0;
      return !lost;
    },
    async release() {
      clearInterval(timer);
      // The connection may be gone; the lease then expires.
      await sql.unsafe(`DELETE FROM ${table} WHERE token = '${token}'`).catch(() => {});
    },
  };
}

/** The SQL that ends a transaction of a runner whose turn a lease holds. */
export function fenceOf({ lease }: { readonly lease: Lease | undefined }): string[] {
  return lease ? [lease.fence] : [];
}

import { setTimeout as sleep } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import type { TestDatabase } from '../../helpers/database.ts';

/** An application that goes on writing to `logs`, and the same to `control`, whatever happens to `logs`. */
export interface Writer {
  readonly errors: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
  stop(): Promise<void>;
}

const firstReader = 1000;

/** Makes `control`, a copy of `logs` that nobody but the writer touches, and begins to write to both. */
export async function startWriter({ sql, connect }: TestDatabase, sessions = 2, restMs = 4): Promise<Writer> {
  await sql.unsafe(`CREATE TABLE control (LIKE logs INCLUDING GENERATED); ALTER TABLE control ADD PRIMARY KEY (id);
    INSERT INTO control (id, material_id, reader_id, at, agent, pages) SELECT id, material_id, reader_id, at, agent, pages FROM logs;
    INSERT INTO readers SELECT i, 'guest' FROM generate_series(${firstReader}, ${firstReader + 2000}) i ON CONFLICT DO NOTHING`);
  const [{ last }] = await sql<[{ last: number }]>`SELECT coalesce(max(id), 0)::int AS last FROM logs`;
  const errors: string[] = [];
  const counts: Record<string, number> = {};
  let [over, nextId, nextReader] = [false, last + 1, firstReader];
  const pick = () => 1 + Math.floor(Math.random() * nextId);
  const time = () => `now() - ${Math.floor(Math.random() * 100 * 1440)} * interval '1 minute'`;
  const onBoth = (statement: (table: string) => string) => `${statement('logs')}; ${statement('control')}`;
  const insert = (reader: number) => {
    const id = nextId++;
    const at = `'${new Date(Date.now() - Math.random() * 100 * 86_400_000).toISOString()}'`;
    return onBoth(
      (table) =>
        `INSERT INTO ${table} (id, material_id, reader_id, at, agent, pages) VALUES (${id}, ${1 + (id % 20)}, ${reader}, ${at}, 'writer', ${id % 40})`,
    );
  };
  const acts: Readonly<Record<string, () => string>> = {
    insert: () => insert(1 + (nextId % 50)),
    update: () => {
      const id = pick();
      return onBoth(
        (table) =>
          `UPDATE ${table} SET pages = ${id % 77}, agent = 'again' WHERE id BETWEEN ${id} AND ${id + 5}`,
      );
    },
    move: () => {
      const [id, at] = [pick(), time()];
      return onBoth((table) => `UPDATE ${table} SET at = date_trunc('minute', ${at}) WHERE id = ${id}`);
    },
    delete: () => {
      const id = pick();
      return onBoth((table) => `DELETE FROM ${table} WHERE id = ${id}`);
    },
    rollBack: () => `${insert(1)}; ROLLBACK`,
    // Whoever is referenced may go as soon as nothing references it any more, wherever rows lag behind.
    leave: () => {
      const reader = nextReader++;
      return `${insert(reader)}; COMMIT; BEGIN; ${onBoth((table) => `DELETE FROM ${table} WHERE reader_id = ${reader}`)}; DELETE FROM readers WHERE id = ${reader}`;
    },
  };
  const names = Object.keys(acts);
  async function run() {
    const session = connect({ max: 1, prepare: false });
    while (!over) {
      const name = names[Math.floor(Math.random() * names.length)] as string;
      const text = acts[name]?.() ?? '';
      // Rows are locked in the order of the statement: deadlocks of two writers are their own.
      for (let tries = 0; ; tries++) {
        const error: { code?: string; message: string } | undefined = await session
          .unsafe(`BEGIN; ${text}; COMMIT`)
          .then(
            () => undefined,
            (cause) => cause,
          );
        if (!error) break;
        await session.unsafe('ROLLBACK').catch(() => {});
        if (error.code === '40P01' && tries < 5 && name !== 'leave') continue;
        if (!over) errors.push(`${name}: ${error.message}`);
        break;
      }
      counts[name] = (counts[name] ?? 0) + 1;
      await sleep(restMs);
    }
  }
  const running = Array.from({ length: sessions }, run);
  const stop = async () => {
    over = true;
    await Promise.all(running);
  };
  onTestFinished(() => {
    over = true;
  });
  return { errors, counts, stop };
}

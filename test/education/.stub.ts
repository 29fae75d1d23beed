import { readFileSync, readdirSync } from 'node:fs';
import postgres from 'postgres';
const cmp = (a: string, b: string) => a.localeCompare(b, 'en', { numeric: true });
const load = (d: string) => readdirSync(d).filter((f) => f.endsWith('.sql')).map((f) => {
  const t = readFileSync(`${d}/${f}`, 'utf8'); const [, up, down] = t.split(/^-- migrate:(?:up|down).*$/m);
  return { f, v: f.split('_')[0]!, up: up!, down: down!, req: /requires:(\S+)/.exec(t)?.[1] };
});
let D = 'migrations';
const vs = () => load(D).sort((a, b) => cmp(a.v, b.v));
const rs = () => load(D + '/repeatable').sort((a, b) => (a.f < b.f ? -1 : 1));
async function open(url: string) {
  const sql = postgres(url, { max: 1, onnotice: (n) => (globalThis as any).onNotice?.(n) });
  return sql;
}
export async function migrate({ url, to, schema, directory, onProgress }: any) {
  (globalThis as any).onNotice = (n: any) => onProgress?.({ type: 'notice', severity: n.severity, message: n.message });
  const sql = await open(url);
  D = directory; if (schema) await sql`select set_config('search_path', ${'"' + schema + '"'}, false)`;
  const run = (t: string, f: string) => sql.begin((x) => x.unsafe(t)).catch((e) => { e.message = `${f}: ${e.message}`; throw e; });
  try {
    await sql`create table if not exists public.schema_versions(version text primary key)`;
    const done = new Set((await sql`select version from public.schema_versions`).map((r) => r.version));
    for (const m of vs()) if (!done.has(m.v) && (!to || cmp(m.v, to) <= 0)) { await run(m.up, m.f); done.add(m.v); await sql`insert into public.schema_versions values (${m.v})`; }
    for (const r of rs()) if (!done.has(r.f) && done.has(r.req!)) { await run(r.up, r.f); await sql`insert into public.schema_versions values (${r.f})`; }
  } finally { await sql.end(); }
}
export async function rollback({ url, to, steps, all, directory }: any) {
  D = directory;
  const sql = await open(url);
  try {
    const done = new Set((await sql`select version from public.schema_versions`).map((r) => r.version));
    if (to === '0') all = true;
    let list = vs().filter((m) => done.has(m.v)).reverse();
    list = all ? list : to ? list.filter((m) => cmp(m.v, to) > 0) : list.slice(0, steps ?? 1);
    for (const m of list) {
      for (const r of rs().reverse()) if (done.has(r.f) && r.req === m.v) { await sql.begin((x) => x.unsafe(r.down)); await sql`delete from public.schema_versions where version = ${r.f}`; }
      await sql.begin((x) => x.unsafe(m.down)).catch((e) => { e.message = `${m.f}: ${e.message}`; throw e; }); await sql`delete from public.schema_versions where version = ${m.v}`;
    }
  } finally { await sql.end(); }
}

import { column, references, type Table, table, timeline } from 'eduschema';
import rhythm from '../rhythm.json' with { type: 'json' };
import userAgents from '../user-agents.json' with { type: 'json' };
import visitors from '../visitors.json' with { type: 'json' };
import { createRhythm, hour, square, windowOf } from './calendar.ts';
import type { Counts, Materials } from './materials.ts';
import type { Context } from './people.ts';

/** Who came when, and for which material. One object, filled anew for each row: there are many. */
interface Visit {
  row: number;
  at: number;
  material: number;
  visitor: number;
}

/** The logs of downloads and of views. */
export interface Visits {
  readonly tables: readonly Table[];
  /** Counts what the logs of this run hold for each of its materials; stops when the signal comes. */
  count(signal: AbortSignal | undefined): Promise<Counts>;
}

/** Describes the logs. The same people come for both, some often, and look for some materials far more than for others. */
export function createVisits(context: Context, library: Materials): Visits {
  const { values, before } = context;
  const firstMaterial = before('materials');
  const people = createVisitors(context);
  const downloads = createVisit(context, library, 'download_logs', values.downloads, people.count, 0);
  const views = createVisit(context, library, 'view_logs', values.views, people.count, draws);
  const chance = context.random('view_logs.view_duration');
  return {
    tables: [
      table('download_logs', {
        rows: values.downloads,
        key: 'id',
        direct: true,
        order: (row) => downloads(row).material,
        columns: {
          material_id: references(library.materials, (row) => downloads(row).material),
          user_ip: column.encoded((row) => people.addressOf(downloads(row).visitor)),
          user_agent: column.encoded((row) => people.agentOf(downloads(row).visitor)),
          download_at: column.time((row) => downloads(row).at),
          referer_url: column.oneOf(
            visitors.referers.map(({ value }) => value),
            visitors.referers.map(({ weight }) => weight),
          ),
          session_id: sessions(context, downloads),
        },
      }),
      table('view_logs', {
        rows: values.views,
        key: 'id',
        direct: true,
        order: (row) => views(row).material,
        columns: {
          material_id: references(library.materials, (row) => views(row).material),
          user_ip: column.encoded((row) => people.addressOf(views(row).visitor)),
          user_agent: column.encoded((row) => people.agentOf(views(row).visitor)),
          viewed_at: column.time((row) => views(row).at),
          session_id: sessions(context, views),
          view_duration: column.integer((row) => {
            const patience = chance.unit(row);
            return 3 + Math.floor(patience * square(patience) * 900);
          }),
        },
      }),
    ],
    async count(signal) {
      const counts = {
        downloads: countersFor(values.materials, values.downloads),
        views: countersFor(values.materials, values.views),
      };
      for (const [visit, kind, first, rows] of [
        [downloads, 'downloads', before('download_logs'), values.downloads],
        [views, 'views', before('view_logs'), values.views],
      ] as const)
        for (let row = first; row < first + rows; row++) {
          const place = visit(row).material - firstMaterial;
          if (place >= 0) counts[kind][place] = (counts[kind][place] ?? 0) + 1;
          // Whoever presses Ctrl-C is heard.
          if (row % 500_000 === 499_999) await new Promise((heard) => setImmediate(heard));
          if (signal?.aborted) return counts;
        }
      return counts;
    },
  };
}

/** Counts from 0 on. One material may have all the rows, and 32 bits do not count all that can be asked for. */
function countersFor(materials: number, rows: number): Uint32Array | Float64Array {
  return rows < 2 ** 32 ? new Uint32Array(materials) : new Float64Array(materials);
}

/** A material that is not there yet is drawn again, so many times at most. */
const draws = 4;

/** The visits of a log, by row. Logs draw from the same popularity, each from `firstDraw` on. */
function createVisit(
  context: Context,
  { materials, createdAt, firstRecent }: Materials,
  log: 'download_logs' | 'view_logs',
  rows: number,
  people: number,
  firstDraw: number,
): (row: number) => Visit {
  const { random, asOf, before } = context;
  const from = windowOf(context);
  const first = before(log);
  const arrival = timeline(random(`${log}.time`), {
    from,
    to: asOf,
    rows,
    first,
    weight: createRhythm(context, from),
  });
  const total = before(materials.name) + materials.rows;
  const material =
    total > 0 ? random('materials.popular').popular(total, rhythm.popularityExponent) : () => 0;
  const visitor = random(`${log}.visitor`).popular(people, 0.6);
  const chance = random(`${log}.late`);
  const visit: Visit = { row: -1, at: 0, material: 0, visitor: 0 };
  return (row) => {
    if (row === visit.row) return visit;
    let at = arrival(row);
    // Some are told of a day or two later than the others.
    if (chance.happens(rhythm.late, row))
      at = Math.max(from, at - Math.floor(chance.unit(row, 1) * 36 * hour));
    let chosen = material(row, firstDraw);
    // The first material of all is the oldest.
    for (let nth = 1; chosen >= firstRecent && createdAt(chosen) > at; nth++)
      chosen = nth < draws ? material(row, firstDraw + nth) : 0;
    visit.row = row;
    visit.at = at;
    visit.material = chosen;
    visit.visitor = visitor(row);
    return visit;
  };
}

/** Addresses of offices and, for those at home, of the blocks that are reserved for documentation. */
function createVisitors({ random, values }: Context) {
  const count = Math.min(20_000, 20 + values.users * 2);
  const chance = random('visitors');
  const networks = random('visitors.network').choice(
    [...visitors.offices, ...visitors.outside],
    ({ weight }) => weight,
  );
  const agents = random('visitors.agent').choice(
    userAgents.map(({ value, weight }) => ({ bytes: column.encode(value), weight })),
    ({ weight }) => weight,
  );
  const address = (visitor: number) => {
    const { network } = networks(visitor);
    const [a, b] = [chance.bits(visitor), chance.bits(visitor, 1)];
    if (network.includes(':')) return `${network}:${hex(1 + (a % 0xfffe))}::${hex(1 + (b % 0xfffe))}`;
    return network.split('.').length === 3
      ? `${network}.${(a % 254) + 1}`
      : `${network}.${a % 8}.${(b % 254) + 1}`;
  };
  const addresses = Array.from({ length: count }, (_, visitor) => column.encode(address(visitor)));
  return {
    count,
    addressOf: (visitor: number) => addresses[visitor] as Buffer,
    agentOf: (visitor: number) => agents(visitor).bytes,
  };
}

/** A visitor's session lasts for an hour of the clock. */
function sessions({ random }: Context, visit: (row: number) => Visit) {
  return column.join(
    ...['sessions.high', 'sessions.low'].map((name) => {
      const chance = random(name);
      return column.hex((row) => {
        const { visitor, at } = visit(row);
        return chance.bits(visitor, Math.floor(at / hour));
      });
    }),
  );
}

const hex = (bits: number) => bits.toString(16);

import { defineSeed, EduschemaError, parameter } from 'eduschema';
import { windowOf } from './education/calendar.ts';
import { countForOlder, dropLegacyTables, makeLegacyTables, makePartitions } from './education/database.ts';
import { createLegacy } from './education/legacy.ts';
import { type Counts, createMaterials } from './education/materials.ts';
import { type Context, createPeople } from './education/people.ts';
import { createVisits, type Visits } from './education/visits.ts';
import rhythm from './rhythm.json' with { type: 'json' };

/** The logs of a context, and how often its materials are in them once that was counted. */
const prepared = new WeakMap<Context, { visits: Visits; counts?: Counts }>();

/** A library of education materials with the people who use it, as in docs/education-schema.md. */
export default defineSeed({
  requires: '1.13.0',
  parameters: {
    materials: parameter.count(10_000, 2 ** 31),
    downloads: parameter.count(50_000),
    views: parameter.count(({ downloads = 0 }) => downloads * rhythm.viewsPerDownload),
    users: parameter.count(({ materials = 0 }) => Math.ceil(materials / 40)),
    days: parameter.whole(90, 1, 3650),
    dirty: parameter.share(0, 0.5),
  },

  tables(context) {
    const { values, before } = context;
    if (values.downloads + values.views > 0 && before('materials') + values.materials === 0)
      throw new EduschemaError(
        'usage',
        `${values.downloads} downloads and ${values.views} views need a material, and there is none`,
        { hint: 'give --materials a number above 0, or --downloads and --views 0' },
      );
    const people = createPeople(context);
    const facts: { visits?: Visits; counts?: Counts } = {};
    const materials = createMaterials(context, people, () => {
      if (!facts.counts) throw new Error('visits are counted in prepare()');
      return facts.counts;
    });
    const visits = createVisits(context, materials);
    facts.visits = visits;
    prepared.set(context, facts as { visits: Visits });
    return [...people.tables, ...materials.tables, ...createLegacy(context, materials), ...visits.tables];
  },

  async prepare(sql, context) {
    const facts = prepared.get(context);
    // Materials are written with their counts, so that these are right from the first moment.
    if (facts) facts.counts ??= await facts.visits.count(context.signal);
    await makePartitions(sql, windowOf(context), context.asOf - 1);
    if (context.values.dirty > 0) await makeLegacyTables(sql);
  },

  async finish(sql, context, { keysOf }) {
    if (context.before('materials') > 0) await countForOlder(sql, keysOf);
    await sql`SELECT refresh_popular_materials()`;
  },

  triggered: ['audit_log'],

  undo: dropLegacyTables,
});

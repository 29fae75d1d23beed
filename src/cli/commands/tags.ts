import { resolve } from 'node:path';
import type { Command } from 'commander';
import { parseColumnName, parseName } from '../../db/parse-name.ts';
import { countOf, showDuration } from '../../output/duration.ts';
import type { Column, Report } from '../../output/report.ts';
import type { MeantTag, SplitOptions, SplitPreview, SplitResult } from '../../tags/split.ts';
import { confirm } from '../confirm.ts';
import { watchMigrations } from '../migration-report.ts';
import { addWorkOptions, type CommonOptions, parseCount } from '../options.ts';
import type { DatabaseContext, Runner } from '../run.ts';

interface Options extends CommonOptions {
  readonly from?: string;
  readonly id?: string;
  readonly tags?: string;
  readonly links?: string;
  readonly separator?: readonly string[];
  readonly quotes?: boolean;
  readonly batch?: number;
  readonly rename?: string;
  readonly report?: string;
  readonly dryRun?: boolean;
}

/** `eduschema tags split` */
export function tagsCommand(program: Command, runner: Runner): void {
  const noun = program.command('tags').description('tags that are texts, into tables of their own');
  const split = noun
    .command('split')
    .description('takes texts of tags apart into a table of tags and one that says who has which')
    .option(
      '--from <table.column>',
      'where the tags are (default: materials_old.tags_string, materials.tags)',
    )
    .option('--id <column>', 'of that table: whose tags they are (default: its primary key)')
    .option('--tags <table.column>', 'the table of tags and its column of names (default: tags.name)')
    .option('--links <table>', 'the table that says who has which (default: material_tags)')
    .option(
      '--separator <sign>',
      'what stands between tags, as often as needed (default: , ， 、 ; and new lines)',
      collectSeparator,
    )
    .option('--quotes', 'a separator between double quotes belongs to the tag')
    .option('--batch <texts>', 'texts of one transaction (default: 20000)', parseCount)
    .option('--rename <column>', 'at the end, rename the column with the texts; asks first')
    .option('--report <file>', 'write what could not go into a CSV file')
    .option('-n, --dry-run', 'show the tags, what would be joined and what could not go')
    .option('-y, --yes', 'do not ask')
    .action(
      runner.database(
        () => import('../../tags/split.ts'),
        async ({ previewSplit, splitTags }, context: DatabaseContext<Options>) => {
          const { database, options, settings, world } = context;
          const schema = settings.migrations.schema ?? 'public';
          const wishes = wishesOf(options, schema);
          if (options.dryRun) return reportPreview(await previewSplit(database, wishes, schema));
          if (wishes.rename !== undefined)
            await confirm(
              context,
              `This renames the column with the texts to ${wishes.rename}: whoever still uses it fails.`,
            );
          const file = options.report === undefined ? undefined : resolve(world.cwd, options.report);
          const started = performance.now();
          const result = await splitTags(database, wishes, schema, watchMigrations(context), file);
          return reportSplit(result, Math.round(performance.now() - started), options.report);
        },
      ),
    );
  addWorkOptions(split);
}

function wishesOf(options: Options, schema: string): SplitOptions {
  return {
    from: options.from === undefined ? undefined : parseColumnName(options.from, schema),
    id: options.id,
    tags: parseColumnName(options.tags ?? 'tags.name', schema),
    links: parseName(options.links ?? 'material_tags', schema),
    separators: options.separator,
    quotes: options.quotes,
    batch: options.batch,
    rename: options.rename,
  };
}

/** A separator as it is typed: `\n` and `\t` stand for a new line and a tab. */
function collectSeparator(text: string, before: readonly string[] = []): readonly string[] {
  const sign = text.replace(/\\n/g, '\n').replace(/\\t/g, '\t');
  return sign === '' ? before : [...before, sign];
}

const tagColumns: readonly Column[] = [
  { key: 'name', title: 'tag' },
  { key: 'uses', title: 'uses', align: 'right', show: (uses: number) => uses.toLocaleString('en') },
  {
    key: 'refused',
    title: 'state',
    show: (refused: string | null, { isNew }: MeantTag) => refused ?? (isNew ? 'new' : 'there'),
    colour: (refused: string | null) => (refused === null ? undefined : 'red'),
  },
  {
    key: 'spellings',
    title: 'also written',
    show: (spellings: readonly string[], { name }: MeantTag) =>
      spellings
        .filter((spelling) => spelling !== name)
        .slice(0, 6)
        .join(' | '),
  },
];

function reportPreview({ from, tags, stray }: SplitPreview): Report {
  const fresh = tags.filter(({ isNew }) => isNew).length;
  const refused = tags.filter((tag) => tag.refused !== null);
  const joined = tags.filter(({ spellings }) => spellings.length > 1).length;
  return {
    columns: tagColumns,
    rows: tags,
    shown: 40,
    summary: { from, tags: tags.length, new: fresh, joined, refused: refused.length, stray },
    message: [
      `${countOf(tags.length, 'tag')} in ${from}: ${fresh} new, ${joined} written in several ways, ${refused.length} that cannot be made`,
      ...showStray(stray.map(({ id, reason }) => ({ id, text: null, reason }))),
    ].join('\n'),
    failing: refused.length > 0 || stray.length > 0,
  };
}

function showStray(stray: SplitResult['refused']): readonly string[] {
  if (stray.length === 0) return [];
  const ids = stray.slice(0, 5).map(({ id, reason }) => `  ${id ?? 'null'}: ${reason}`);
  return [`${countOf(stray.length, 'text')} that cannot go:`, ...ids, ...(stray.length > 5 ? ['  ...'] : [])];
}

const refusedColumns: readonly Column[] = [
  { key: 'id', title: 'id' },
  { key: 'text', title: 'text', show: (text: string | null) => shorten(text ?? '') },
  { key: 'reason', title: 'could not go: why' },
];

const shorten = (text: string) => (text.length > 40 ? `${text.slice(0, 39)}…` : text);

function reportSplit(result: SplitResult, durationMs: number, file: string | undefined): Report {
  const { from, tags, made, added, proof, refused, refusedCount, renamed } = result;
  const count = (value: number) => value.toLocaleString('en');
  return {
    columns: refusedColumns,
    rows: refused,
    shown: 20,
    summary: { from, tags, made, added, proof, refused: refusedCount, renamed, durationMs },
    message: [
      `${count(made)} of ${count(tags)} tags are new, and ${count(added)} links to them, in ${showDuration(durationMs)}`,
      `proved: ${count(proof.same)} links are in ${from} and in the tables, none in ${from} alone${proof.more > 0 ? `, ${count(proof.more)} in the tables alone (they were there before, and stay)` : ''}`,
      ...(renamed === null ? [] : [`${from} is called ${renamed} now`]),
      ...(refusedCount === 0
        ? []
        : [`${count(refusedCount)} could not go${file ? `: ${file}` : '; --report <file> writes them all'}`]),
    ].join('\n'),
    failing: refusedCount > 0,
  };
}

import type { Command } from 'commander';
import { describeHolder } from '../../db/advisory-lock.ts';
import type { Broken, LockState, Worker } from '../../migrations/lock.ts';
import type { Column, Report } from '../../output/report.ts';
import { confirm } from '../confirm.ts';
import { addDatabaseOptions, type CommonOptions } from '../options.ts';
import type { DatabaseContext, Runner } from '../run.ts';

type Context = DatabaseContext<CommonOptions>;

const load = () => import('../../migrations/lock.ts');

/** `eduschema lock`, `eduschema lock break` */
export function lockCommand(program: Command, runner: Runner): void {
  const lock = program
    .command('lock')
    .description('who is running migrations, and what runs now')
    .action(
      runner.database(load, async ({ findLockState }, { database, settings }: Context) =>
        reportState(await findLockState(database, settings.migrations)),
      ),
    );
  const breaking = lock
    .command('break')
    .description('end what a runner left that is gone; one that is at work is left alone')
    .option('-y, --yes', 'do not ask')
    .action(
      runner.database(load, async ({ breakLock }, context: Context) => {
        const { database, settings } = context;
        return reportBroken(
          await breakLock(database, settings.migrations, (worker) =>
            confirm(
              context,
              `Its runner is gone, and this works on: ${describeWorker(worker)}. This ends it.`,
            ),
          ),
        );
      }),
    );
  for (const command of [lock, breaking])
    addDatabaseOptions(command).option(
      '--journal <table>',
      'table that records what is applied (default: public.schema_versions)',
    );
}

const columns: readonly Column[] = [
  { key: 'what', title: 'what' },
  { key: 'pid', title: 'pid', align: 'right' },
  { key: 'user', title: 'user' },
  { key: 'application', title: 'application' },
  { key: 'host', title: 'host' },
  { key: 'since', title: 'since' },
  { key: 'state', title: 'state' },
  { key: 'query', title: 'runs' },
];

function reportState(state: LockState): Report {
  return { columns, rows: rowsOf(state), summary: { state: state.state }, message: messageOf(state) };
}

/** A lease has the process of its runner, whose host is not the server's; the others are sessions. */
function rowsOf({ runner, worker, lease }: LockState) {
  const session = {
    process: null,
    state: null,
    query: null,
    querySeconds: null,
    beatSeconds: null,
    expiresAt: null,
  };
  const rows: Record<string, unknown>[] = [];
  if (runner) rows.push({ what: 'runner', ...session, ...runner });
  if (lease) {
    const { pid, ...holder } = lease.holder;
    const state = lease.expired ? 'expired' : `heard of ${holder.beatSeconds} s ago`;
    rows.push({
      what: 'lease',
      ...session,
      ...holder,
      pid: null,
      process: pid,
      state,
      expiresAt: lease.expiresAt,
    });
  }
  if (worker) {
    const { backendStart: _, ...seen } = worker;
    rows.push({ what: 'worker', ...session, ...seen });
  }
  return rows;
}

function messageOf({ state, runner, worker, lease }: LockState): string {
  switch (state) {
    case 'free':
      return 'nobody is at work';
    case 'held': {
      const holder = runner ?? lease?.holder;
      const doing = worker ? `; it ${doingOf(worker)}` : '';
      return `at work: ${holder ? describeHolder(holder) : 'a runner'}${doing}`;
    }
    case 'orphaned':
      return `the runner is gone, and its session works on: ${worker ? describeWorker(worker) : ''}\nwait for it, or end it: eduschema lock break`;
    case 'expired':
      return `the runner is gone: ${lease ? describeHolder(lease.holder) : ''}; the next one takes over`;
  }
}

function doingOf({ state, query, querySeconds }: Worker): string {
  if (query === null) return 'runs what this user may not see';
  const seconds = querySeconds === null ? '' : ` for ${querySeconds} s`;
  return state === 'active'
    ? `has been running${seconds}: ${query}`
    : `is ${state ?? 'unseen'}${seconds}, after: ${query}`;
}

function describeWorker(worker: Worker): string {
  return `${describeHolder(worker)}, which ${doingOf(worker)}`;
}

function reportBroken({ what, state }: Broken): Report {
  const messages = {
    nothing: 'nobody is at work: there is nothing to break',
    worker: `ended ${state.worker ? describeHolder(state.worker) : 'the session'}; what it had not committed is rolled back`,
    lease: `removed the lease of ${state.lease ? describeHolder(state.lease.holder) : 'a runner'}`,
  };
  return {
    columns,
    rows: what === 'nothing' ? [] : rowsOf(state),
    summary: { broken: what },
    message: messages[what],
  };
}

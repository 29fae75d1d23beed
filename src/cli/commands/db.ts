import { join } from 'node:path';
import type { Command } from 'commander';
import type { EmbeddedOptions } from '../../db/embedded/ensure-server.ts';
import type { EmbeddedStatus } from '../../db/embedded/server.ts';
import { EduschemaError } from '../../errors.ts';
import type { Column, Report } from '../../output/report.ts';
import { confirm } from '../confirm.ts';
import { addCommonOptions, type CommonOptions } from '../options.ts';
import type { LocalContext, LocalTask, Runner } from '../run.ts';

/** `eduschema db` */
export function dbCommand(program: Command, runner: Runner): void {
  const db = program.command('db').description('the embedded PostgreSQL of this project');
  const add = (name: string, description: string, task: LocalTask<CommonOptions>) =>
    addCommonOptions(db.command(name).description(description).action(runner.local(task)));

  add('start', 'start it, and keep it running between commands', start);
  add('stop', 'stop it; one that a command uses stops with that command', stop);
  add('status', 'whether it runs, where, and with which data', status);
  add('url', 'print its URL, with the password; it must have been started', url);
  add('reset', 'stop it and remove it with all its data', reset).option('-y, --yes', 'do not ask');
}

type Context = LocalContext<CommonOptions>;

const columns: readonly Column[] = [
  { key: 'state', title: 'state', colour: (state: string) => (state === 'running' ? 'green' : 'gray') },
  { key: 'version', title: 'PostgreSQL' },
  { key: 'port', title: 'port', align: 'right' },
  { key: 'pid', title: 'pid', align: 'right' },
  { key: 'data', title: 'data' },
];

function embeddedOptions({ world, progress }: Context): EmbeddedOptions {
  return { folder: join(world.cwd, '.eduschema'), onProgress: (text) => progress.work(text) };
}

async function start(context: Context): Promise<Report> {
  const { startEmbedded } = await import('../../db/embedded/server.ts');
  const { version, port, pid, dataFolder } = await startEmbedded(embeddedOptions(context));
  return {
    rows: [{ state: 'running', version, port, pid, data: dataFolder }],
    summary: {},
    message: `PostgreSQL ${version} runs on 127.0.0.1:${port} until eduschema db stop\nits URL: eduschema db url`,
  };
}

async function stop(context: Context): Promise<Report> {
  const { stopEmbedded } = await import('../../db/embedded/server.ts');
  const { running, usedBy } = await stopEmbedded(embeddedOptions(context));
  const message = !running
    ? 'no embedded server was running'
    : usedBy.length > 0
      ? `process ${usedBy.join(', ')} still uses the server: it stops when that ends`
      : `stopped PostgreSQL ${running.version} on 127.0.0.1:${running.port}`;
  return { rows: [], summary: { stopped: running !== undefined && usedBy.length === 0, usedBy }, message };
}

async function status(context: Context): Promise<Report> {
  const { findEmbeddedStatus } = await import('../../db/embedded/server.ts');
  const found = await findEmbeddedStatus(embeddedOptions(context));
  return {
    columns,
    rows: [describe(found)],
    summary: { kept: found.running?.kept ?? false, usedBy: found.usedBy },
  };
}

function describe({ running, dataFolder, dataVersion }: EmbeddedStatus) {
  return {
    state: running ? 'running' : dataFolder ? 'stopped' : 'not set up',
    version: running?.version ?? dataVersion ?? null,
    port: running?.port ?? null,
    pid: running?.pid ?? null,
    data: dataFolder ?? null,
  };
}

async function url(context: Context): Promise<Report> {
  const { findEmbeddedStatus, renderServerUrl } = await import('../../db/embedded/server.ts');
  const { running } = await findEmbeddedStatus(embeddedOptions(context));
  if (!running) {
    throw new EduschemaError('connection-failed', 'the embedded server is not running, so it has no URL', {
      hint: 'eduschema db start starts it and keeps it',
    });
  }
  const address = renderServerUrl(running);
  return { rows: [{ url: address }], summary: {}, text: `${address}\n` };
}

async function reset(context: Context): Promise<Report> {
  const { findEmbeddedStatus, resetEmbedded } = await import('../../db/embedded/server.ts');
  const options = embeddedOptions(context);
  const { dataFolder } = await findEmbeddedStatus(options);
  if (dataFolder === undefined)
    return { rows: [], summary: { removed: null }, message: 'there is no embedded database' };
  await confirm(
    context,
    `This removes the embedded database of this project with all its data (${dataFolder}).`,
  );
  await resetEmbedded(options);
  return {
    rows: [],
    summary: { removed: dataFolder },
    message: `removed ${dataFolder}\nnext: eduschema migrate sets up a new one`,
  };
}

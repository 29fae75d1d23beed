import type { Database } from '../db/connect.ts';
import { EduschemaError } from '../errors.ts';
import type { CommonOptions } from './options.ts';
import type { LocalContext } from './run.ts';

/**
 * Asks before something goes: returns on yes, throws on no, when interrupted, and where nobody can answer without --yes.
 * The context's database stays open meanwhile.
 */
export async function confirm(
  {
    options,
    world,
    progress,
    signal,
    database,
  }: LocalContext<CommonOptions> & { readonly database?: Database },
  question: string,
): Promise<void> {
  if (options.yes) return;
  if (!world.ask || options.json) {
    throw new EduschemaError('confirmation-needed', `${question} Nobody is here to answer`, {
      hint: 'add --yes to go on without asking',
    });
  }
  progress.rest();
  // A person may think for longer than the server lets a session be idle.
  if (database && !database.pooled) await database.sql`SELECT set_config('idle_session_timeout', '0', false)`;
  const answer = await world.ask(`${question} Type yes to go on: `, signal).catch((error) => {
    if (!signal.aborted) throw error;
    throw new EduschemaError('interrupted', 'interrupted: nothing was changed', { cause: error });
  });
  if (!/^y(es)?$/i.test(answer.trim()))
    throw new EduschemaError('confirmation-needed', 'not confirmed: nothing was changed');
}

import { EduschemaError } from '../errors.ts';
import type { CommonOptions } from './options.ts';
import type { LocalContext } from './run.ts';

/** Asks before something goes: returns on yes, throws on no, and where nobody can answer without --yes. */
export async function confirm(
  { options, world, progress }: LocalContext<CommonOptions>,
  question: string,
): Promise<void> {
  if (options.yes) return;
  if (!world.ask || options.json) {
    throw new EduschemaError('confirmation-needed', `${question} Nobody is here to answer`, {
      hint: 'add --yes to go on without asking',
    });
  }
  progress.rest();
  const answer = await world.ask(`${question} Type yes to go on: `);
  if (!/^y(es)?$/i.test(answer.trim()))
    throw new EduschemaError('confirmation-needed', 'not confirmed: nothing was changed');
}

import { EduschemaError } from '../../errors.ts';

/** The SQLSTATE behind an error of a step; empty for any other. */
export function sqlstateOf(error: unknown): string {
  return error instanceof EduschemaError ? String(error.details?.sqlstate ?? '') : '';
}

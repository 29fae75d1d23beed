import { isConnectionLost, isServerError } from '../db/explain-error.ts';
import { EduschemaError } from '../errors.ts';

/** Runs a function of a seed. What it throws, but for what the server says, is `seed-invalid`, with the file's name. */
export function byAuthor<T>(file: string, what: string, use: () => T): T {
  const explained = (error: unknown) => {
    if (error instanceof EduschemaError || isServerError(error) || isConnectionLost(error)) return error;
    return new EduschemaError(
      'seed-invalid',
      `${what} of ${file} failed: ${error instanceof Error ? error.message : String(error)}`,
      { hint: 'fix the file and run eduschema seed again; nothing of it was kept', cause: error },
    );
  };
  try {
    const result = use();
    if (!(result instanceof Promise)) return result;
    return result.catch((error) => {
      throw explained(error);
    }) as T;
  } catch (error) {
    throw explained(error);
  }
}

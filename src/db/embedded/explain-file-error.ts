import { EduschemaError } from '../../errors.ts';

/** Turns an error of the file system into words that name `folder`; anything else comes back as it was. */
export function explainFileError(error: unknown, failure: string, folder: string): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  if (error instanceof EduschemaError || code === undefined) return error;
  const failed = (reason: string, hint: string) =>
    new EduschemaError('embedded-failed', `${failure}: ${reason}`, {
      hint: `${hint}, or name a server with --url`,
      cause: error,
    });
  const { syscall, path } = error as NodeJS.ErrnoException;
  if (syscall?.startsWith('spawn')) {
    return new EduschemaError('embedded-unavailable', `${failure}: ${path} does not run here (${code})`, {
      hint: 'the binaries need glibc (so not Alpine) and a folder that is not mounted noexec; or name a server with --url',
      cause: error,
    });
  }
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return failed('the disk is full', 'free some space (a new server needs about 50 MB)');
    case 'EROFS':
    case 'EACCES':
    case 'EPERM':
      return failed(
        `${path ?? folder} cannot be written or read by this user`,
        `make ${folder} yours, or run eduschema as the user who ran it first`,
      );
    case 'EEXIST':
    case 'ENOTDIR':
      return failed(`${folder} is no folder`, 'rename the file that is there');
    default:
      return error;
  }
}

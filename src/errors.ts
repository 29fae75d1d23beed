/**
 * The one error of eduschema. `code` is stable and appears in JSON; `message` says what happened to which
 * thing; `hint` says what to type or change; `details` are further facts for JSON (file, line, SQLSTATE ...);
 * `excerpt` is text to show between message and hint, line by line.
 * Anything else that is thrown is a bug in eduschema.
 */
export class EduschemaError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly details: Readonly<Record<string, unknown>> | undefined;
  readonly excerpt: string | undefined;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'EduschemaError';
    this.code = code;
    this.hint = options.hint;
    this.details = options.details;
    this.excerpt = options.excerpt;
  }
}

/** What an EduschemaError can carry beside its code and message. */
export interface ErrorOptions {
  readonly hint?: string | undefined;
  readonly cause?: unknown;
  readonly details?: Readonly<Record<string, unknown>> | undefined;
  readonly excerpt?: string | undefined;
}

/** Every code that `--json` can print under `error.code`. A code is never renamed. */
export type ErrorCode =
  | 'usage'
  | 'config-invalid'
  | 'confirmation-needed'
  | 'interrupted'
  | 'target-invalid'
  | 'connection-failed'
  | 'authentication-failed'
  | 'database-missing'
  | 'permission-denied'
  | 'server-unsupported'
  | 'server-read-only'
  | 'database-error'
  | 'embedded-unavailable'
  | 'embedded-failed'
  | 'lock-held'
  | 'pooler-unsuitable'
  | 'folder-missing'
  | 'file-unreadable'
  | 'file-exists'
  | 'file-unwritable'
  | 'version-invalid'
  | 'version-duplicate'
  | 'version-unknown'
  | 'version-out-of-order'
  | 'migration-invalid'
  | 'migration-edited'
  | 'migration-missing'
  | 'migration-irreversible'
  | 'migration-failed'
  | 'hook-failed'
  | 'statement-unclear'
  | 'statement-edited'
  | 'index-invalid'
  | 'journal-invalid'
  | 'plan-invalid'
  | 'plan-differs'
  | 'table-missing'
  | 'table-unsuitable'
  | 'partition-missing'
  | 'schema-behind'
  | 'seed-invalid'
  | 'seed-differs'
  | 'seed-failed'
  | 'long-lock-needed'
  | 'archive-failed'
  | 'archive-damaged'
  | 'archive-differs'
  | 'partition-occupied'
  | 'rows-orphaned'
  | 'table-changed'
  | 'transaction-open'
  | 'proof-failed'
  | 'reference-undeclared'
  | 'clusters-invalid'
  | 'extension-missing'
  | 'duplicates-left'
  | 'run-missing';

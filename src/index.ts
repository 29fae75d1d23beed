export {
  baseline,
  type ConnectionOptions,
  type MigrationOptions,
  migrate,
  newMigration,
  rollback,
  status,
  verify,
} from './api.ts';
export {
  type Config,
  defineConfig,
  type Hook,
  type HookContext,
  type HookFunction,
  type HookMigration,
  type Hooks,
} from './config.ts';
export type { HostAndPort, Target, TlsSettings } from './db/target.ts';
export { EduschemaError, type ErrorCode } from './errors.ts';
export type { BaselineResult } from './migrations/baseline.ts';
export type { MigrateResult } from './migrations/carry-out.ts';
export type { HookDone, MigrationDone } from './migrations/execute.ts';
export type { MadePlan } from './migrations/make-plan.ts';
export type { MigrationContext, MigrationFunction, MigrationSql } from './migrations/module.ts';
export type { MigrationEvent } from './migrations/settings.ts';
export type { StatusResult, StatusRow } from './migrations/status.ts';
export type { VerifyRow } from './migrations/verify.ts';

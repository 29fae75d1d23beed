export {
  baseline,
  type ConnectionOptions,
  foreseeSeed,
  type MigrationOptions,
  migrate,
  newMigration,
  rollback,
  type SeedingOptions,
  seed,
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
export { type Column, column, type Place, references, type ValueOf } from './seed/column.ts';
export {
  type CodeSeed,
  defineSeed,
  type EarlierRun,
  type SeedContext,
  type SeedLoaded,
  type SeedSql,
  type TableSeed,
} from './seed/define-seed.ts';
export type { ForeseenRow } from './seed/foresee.ts';
export { type Parameter, parameter } from './seed/parameter.ts';
export type { Random } from './seed/random.ts';
export type { SeedResult, SeedRow } from './seed/seed.ts';
export { type Lookup, lookup, type Table, table } from './seed/table.ts';
export { type TimelineOptions, timeline } from './seed/timeline.ts';

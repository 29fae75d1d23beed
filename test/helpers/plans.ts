import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { EduschemaError } from '../../src/errors.ts';
import type { MigrateOptions } from '../../src/migrations/migrate.ts';
import type { Difference } from '../../src/migrations/plan-differences.ts';
import type { PlanDocument } from '../../src/migrations/plan-document.ts';
import type { MigrationSettings } from '../../src/migrations/settings.ts';
import type { Project } from './project.ts';

type Settings = Partial<MigrationSettings>;

/** A value for the placeholder `note`. */
export const withNote: Settings = { placeholders: { note: 'secret' } };

/** A file of the project's folder. */
export const fileOf = ({ folder }: Project, name = 'plan.json') => ({
  path: join(folder, name),
  shown: name,
});

/** Plans what is pending, into `plan.json`. */
export async function makePlan(
  project: Project,
  options: MigrateOptions = {},
  settings: Settings = withNote,
) {
  const { plan } = await project.migrate({ ...options, plan: fileOf(project) }, settings);
  if (!plan) throw new Error('no plan was made');
  return plan;
}

/** Applies the first migration, and plans the others. */
export async function planRest(
  project: Project,
  options: MigrateOptions = {},
  settings: Settings = withNote,
) {
  await project.migrate({ steps: 1 }, settings);
  return makePlan(project, options, settings);
}

/** The plan that was made. */
export const readPlan = (project: Project) =>
  JSON.parse(readFileSync(fileOf(project).path, 'utf8')) as PlanDocument;

/** Carries out the plan that was made. */
export const carryOut = (project: Project, options: MigrateOptions = {}, settings: Settings = withNote) =>
  project.migrate({ ...options, fromPlan: fileOf(project) }, settings);

/** What a plan is refused for, a line each. */
export async function differencesOf(refused: Promise<unknown>): Promise<string[]> {
  const error = await refused.then(
    () => new Error('it was not refused'),
    (error: EduschemaError) => error,
  );
  expect(error).toMatchObject({ code: 'plan-differs' });
  const { differences } = (error as EduschemaError).details as { differences: Difference[] };
  return differences.map(({ change, name, detail }) => `${change} ${name}${detail ? `: ${detail}` : ''}`);
}
